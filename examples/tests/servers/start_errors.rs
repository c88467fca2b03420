//! What each server says when something that it needs is not there: one line, no secret, exit status 2, and soon. Shows all
//! of it as a table with `cargo test --test servers -- --nocapture start_errors`.

mod real_server {
    use std::{
        fs,
        net::TcpListener,
        path::Path,
        time::{Duration, Instant},
    };

    use futures_util::{StreamExt, stream};
    use tempfile::TempDir;

    use crate::support::{
        Outcome,
        mariadb::MariaDb,
        redis::RedisServer,
        run_server, run_with,
        servers::{execute, free_port, new_database, smtp::SmtpServer},
    };

    /// Longer than any server waits for an answer, on a busy machine.
    const SOON: Duration = Duration::from_secs(15);

    /// In every password here, right or wrong.
    const SECRET: &str = "hunter2";

    /// A name too long for any resolver, so that none is asked.
    const NO_HOST: &str = "this-label-is-longer-than-the-sixty-three-letters-that-a-label-may-have";

    #[derive(Clone, Copy, PartialEq)]
    enum Program {
        Topology,
        Processes,
        Gate,
        Verify,
        Status,
        Chat,
    }
    use Program::{Chat, Gate, Processes, Status, Topology, Verify};

    const ALL: [Program; 6] = [Topology, Processes, Gate, Verify, Status, Chat];
    const WITH_SQL: [Program; 4] = [Topology, Processes, Gate, Chat];
    const WITH_SMTP: [Program; 3] = [Topology, Processes, Verify];

    impl Program {
        fn name(self) -> &'static str {
            match self {
                Topology => "topology",
                Processes => "topology --processes",
                Gate => "gate",
                Verify => "verify",
                Status => "status",
                Chat => "chat",
            }
        }

        async fn run(self, arguments: &[String], environment: &[(&str, &str)]) -> Outcome {
            let mut arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
            if self == Processes {
                arguments.push("--processes");
            }
            match self {
                Topology | Processes => run_with(&arguments, environment).await,
                _ => run_server(self.name(), &arguments, environment).await,
            }
        }
    }

    /// One wrong thing.
    struct Case {
        program: Program,
        wrong: &'static str,
        key: String,
        arguments: Vec<String>,
        variable: Option<&'static str>,
    }

    /// What stands behind the servers, all of it reachable.
    struct Behind {
        folder: TempDir,
        redis: String,
        sql: String,
        _redis: RedisServer,
        _smtp: SmtpServer,
        /// It accepts and never says a word.
        _silent: TcpListener,
        cases: Vec<Case>,
    }

    impl Behind {
        async fn new() -> Self {
            let redis = RedisServer::start_with(&["--requirepass", &format!("{SECRET}-redis")]).await;
            let sql = new_database().await;
            execute(
                &sql,
                &format!(
                    "CREATE USER 'able'@'127.0.0.1' IDENTIFIED BY '{SECRET}-sql';
                     GRANT ALL ON *.* TO 'able'@'127.0.0.1';
                     CREATE USER 'nobody'@'127.0.0.1' IDENTIFIED BY '{SECRET}-sql'"
                ),
            )
            .await;
            let (database, sql_port) = (sql.rsplit('/').next().unwrap().to_owned(), MariaDb::shared().await.port());
            let smtp = SmtpServer::start(&["--user", "able", "--password", &format!("{SECRET}-smtp")]).await;
            let silent = TcpListener::bind("127.0.0.1:0").unwrap();
            let (silent_port, closed) = (silent.local_addr().unwrap().port(), free_port());

            let mut behind = Self {
                folder: tempfile::tempdir().unwrap(),
                redis: format!("redis://:{SECRET}-redis@127.0.0.1:{}/0", redis.port()),
                sql: format!("mysql://able:{SECRET}-sql@127.0.0.1:{sql_port}/{database}"),
                cases: Vec::new(),
                _silent: silent,
                _smtp: smtp,
                _redis: redis,
            };
            let (redis_port, smtp_port) = (behind._redis.port(), behind._smtp.port());
            let url = |password: &str, host: &str, port: u16, number: u16| {
                format!("redis://:{SECRET}-{password}@{host}:{port}/{number}")
            };
            for (wrong, redis) in [
                ("Redis: wrong password", url("wrong", "127.0.0.1", redis_port, 0)),
                ("Redis: no password", format!("redis://127.0.0.1:{redis_port}/0")),
                ("Redis: nobody listens", url("redis", "127.0.0.1", closed, 0)),
                ("Redis: no such host", url("redis", NO_HOST, redis_port, 0)),
                ("Redis: never answers", url("redis", "127.0.0.1", silent_port, 0)),
                ("Redis: no such database", url("redis", "127.0.0.1", redis_port, 99)),
                ("Redis: it is a MariaDB", url("redis", "127.0.0.1", sql_port, 0)),
            ] {
                behind.with(&ALL, wrong, "--redis", &redis);
            }
            let url = |user: &str, password: &str, host: &str, port: u16, database: &str| {
                format!("mysql://{user}:{SECRET}-{password}@{host}:{port}/{database}")
            };
            for (wrong, sql) in [
                ("MariaDB: wrong password", url("able", "wrong", "127.0.0.1", sql_port, &database)),
                ("MariaDB: no such user", url("unknown", "sql", "127.0.0.1", sql_port, &database)),
                ("MariaDB: a user without rights", url("nobody", "sql", "127.0.0.1", sql_port, &database)),
                ("MariaDB: nobody listens", url("able", "sql", "127.0.0.1", closed, &database)),
                ("MariaDB: no such host", url("able", "sql", NO_HOST, sql_port, &database)),
                ("MariaDB: never answers", url("able", "sql", "127.0.0.1", silent_port, &database)),
                ("MariaDB: no such database", url("able", "sql", "127.0.0.1", sql_port, "missing")),
                ("MariaDB: it is a Redis", url("able", "sql", "127.0.0.1", redis_port, &database)),
            ] {
                behind.with(&WITH_SQL, wrong, "--sql", &sql);
            }
            let url = |password: &str, host: &str, port: u16| {
                format!("smtp://able:{SECRET}-{password}@{host}:{port}?from=chat@example.org")
            };
            for (wrong, smtp) in [
                ("SMTP: wrong password", url("wrong", "127.0.0.1", smtp_port)),
                ("SMTP: nobody listens", url("smtp", "127.0.0.1", closed)),
                ("SMTP: no such host", url("smtp", NO_HOST, smtp_port)),
                ("SMTP: never answers", url("smtp", "127.0.0.1", silent_port)),
                ("SMTP: it is a Redis", url("smtp", "127.0.0.1", redis_port)),
            ] {
                behind.with(&WITH_SMTP, wrong, "--smtp", &smtp);
            }
            let alone = [Gate, Verify, Status, Chat];
            let redis = format!("[Redis]\nHost = 127.0.0.1\nPort = {redis_port}\nPasswd = {SECRET}-wrong");
            behind.with_section(&alone, "Redis of the file: wrong password", "--redis", &redis);
            let sql = format!(
                "[Mysql]\nHost = 127.0.0.1\nPort = {sql_port}\nUser = able\nPasswd = {SECRET}-sql\nSchema = missing"
            );
            behind.with_section(&[Gate, Chat], "MariaDB of the file: no such database", "--sql", &sql);
            behind.options_and_keys(silent_port);
            behind
        }

        /// A case of these programs with one option that replaces a good one.
        fn with(&mut self, programs: &[Program], wrong: &'static str, key: &str, value: &str) {
            for &program in programs {
                let arguments = [self.good(program, key, ""), vec![key.to_owned(), value.to_owned()]].concat();
                self.cases.push(Case { program, wrong, key: format!("{key}: "), arguments, variable: None });
            }
        }

        /// What each program runs with, without this option and with this line more in its file.
        fn good(&self, program: Program, without: &str, line: &str) -> Vec<String> {
            let mut arguments = Vec::new();
            match program {
                Topology | Processes => arguments.push("--ephemeral-ports".to_owned()),
                _ => {
                    let section = match program {
                        Gate => "GateServer",
                        Verify => "VarifyServer",
                        Status => "StatusServer",
                        _ => "SelfServer",
                    };
                    let name = if program == Chat { "Name = chatserver1\nRPCPort = 0\n" } else { "" };
                    let port = if line.starts_with("Port = ") { "" } else { "Port = 0\n" };
                    let text = format!("[{section}]\nHost = 127.0.0.1\n{name}{port}{line}\n");
                    let number = fs::read_dir(self.folder.path()).unwrap().count();
                    let file = self.folder.path().join(format!("{}{number}.ini", program.name()));
                    fs::write(&file, text).unwrap();
                    arguments.extend(["--config".to_owned(), file.to_str().unwrap().to_owned()]);
                }
            }
            let backends = [("--redis", &self.redis, true), ("--sql", &self.sql, WITH_SQL.contains(&program))];
            for (key, value, used) in backends {
                if used && key != without {
                    arguments.extend([key.to_owned(), value.clone()]);
                }
            }
            arguments
        }

        /// The same fault in the file of a server: its key is the file's.
        fn with_section(&mut self, programs: &[Program], wrong: &'static str, option: &str, section: &str) {
            for &program in programs {
                let name = section.split_once(']').unwrap().0;
                let key = format!("{name}] in ");
                let arguments = self.good(program, option, section);
                self.cases.push(Case { program, wrong, key, arguments, variable: None });
            }
        }

        fn options_and_keys(&mut self, taken: u16) {
            for program in ALL {
                let good = self.good(program, "", "");
                let port = match program {
                    Topology | Processes => {
                        let mut arguments = good.clone();
                        arguments[0] = format!("--gate-port={taken}");
                        for other in ["status", "verify", "chat", "chat-grpc", "metrics"] {
                            arguments.push(format!("--{other}-port=0"));
                        }
                        ("--gate-port: ".to_owned(), arguments)
                    }
                    _ => ("Port of [".to_owned(), self.good(program, "", &format!("Port = {taken}"))),
                };
                let unknown = [&good[..], &["--colour".to_owned(), SECRET.to_owned()]].concat();
                let in_file = match program {
                    Topology | Processes => {
                        let file = self.folder.path().join(format!("{}.toml", self.cases.len()));
                        fs::write(&file, format!("colour = \"{SECRET}\"\n")).unwrap();
                        (
                            "colour in ".to_owned(),
                            [&good[..], &["--config".to_owned(), file.display().to_string()]].concat(),
                        )
                    }
                    _ => ("Colour of [".to_owned(), self.good(program, "", &format!("Colour = {SECRET}"))),
                };
                for (wrong, (key, arguments), variable) in [
                    ("a port in use", port, None),
                    ("an unknown option", ("--colour: ".to_owned(), unknown), None),
                    ("an unknown key in the file", in_file, None),
                    ("an unknown variable", ("USCHAT_COLOUR: ".to_owned(), good), Some("USCHAT_COLOUR")),
                ] {
                    self.cases.push(Case { program, wrong, key, arguments, variable });
                }
            }
        }
    }

    /// The row of the table, and what is wrong with it.
    async fn outcome(case: &Case, folder: &Path) -> (String, Option<String>) {
        let begin = Instant::now();
        let environment: Vec<_> = case.variable.iter().map(|name| (*name, SECRET)).collect();
        let outcome = case.program.run(&case.arguments, &environment).await;
        let took = begin.elapsed();
        let (program, status) = (case.program.name(), outcome.status);
        // Without the folder, which has another name each time.
        let said = outcome.stderr.trim_end().replace(&format!("{}/", folder.display()), "");
        let row = format!("| {program} | {} | `{said}` | {} |", case.wrong, status.unwrap_or(-1));
        let fault = match outcome.refused(&case.key) {
            Err(fault) => Some(fault),
            Ok(_) if outcome.stderr.contains(SECRET) => Some("a secret is shown"),
            Ok(line) if !line.contains("; ") => Some("no remedy is named"),
            Ok(line) if line.contains("report this") => Some("it is no mistake of the program's"),
            Ok(_) if took > SOON => Some("it took too long"),
            Ok(_) => None,
        };
        (row, fault.map(|fault| format!("{program}, {}: {fault} ({took:?}): {outcome:?}", case.wrong)))
    }

    /// Who is refused leaves the ready file of another alone.
    async fn ready_files_stay(behind: &Behind) {
        for program in ALL {
            let ready_file = behind.folder.path().join("ready.json");
            fs::write(&ready_file, "of another").unwrap();
            let nobody = format!("redis://127.0.0.1:{}/0", free_port());
            let more = ["--redis", &nobody, "--ready-file", ready_file.to_str().unwrap()].map(str::to_owned);
            let outcome = program.run(&[behind.good(program, "--redis", ""), more.to_vec()].concat(), &[]).await;
            outcome.assert_refused("--redis: ");
            assert_eq!(fs::read_to_string(&ready_file).unwrap(), "of another", "{}", program.name());
        }
    }

    #[tokio::test]
    async fn what_is_missing_is_said_in_one_line() {
        let behind = Behind::new().await;
        // What is right must be right, or the cases would be about something else.
        for (program, more) in [(Topology, "--check-config"), (Chat, "--check-config")] {
            let good = [behind.good(program, "", ""), vec![more.to_owned()]].concat();
            assert_eq!(program.run(&good, &[]).await.status, Some(0));
        }
        ready_files_stay(&behind).await;
        // Most of them wait for something, not for the processor.
        let outcomes: Vec<_> =
            stream::iter(&behind.cases).map(|case| outcome(case, behind.folder.path())).buffered(16).collect().await;
        println!("\n| server | wrong | line | status |\n|---|---|---|---|");
        for (row, _) in &outcomes {
            println!("{row}");
        }
        let faults: Vec<_> = outcomes.into_iter().filter_map(|(_, fault)| fault).collect();
        assert!(faults.is_empty(), "{} of {}:\n{}", faults.len(), behind.cases.len(), faults.join("\n"));
    }
}
