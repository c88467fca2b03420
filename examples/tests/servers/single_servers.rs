//! The servers started one by one, each with its example file.

mod real_server {
    use std::{fs, path::Path};

    use tempfile::TempDir;

    use crate::support::{
        Gate, RawClient, in_time,
        mariadb::MariaDb,
        numbers_of,
        redis::RedisServer,
        rows_of,
        servers::{Server, execute, free_port, new_database, rows},
    };

    /// Copies of the example files that name free ports and backends of the test's own.
    struct Files {
        folder: TempDir,
        replaced: Vec<(String, String)>,
        sql: String,
        _redis: RedisServer,
    }

    impl Files {
        async fn new() -> Self {
            // The user, the passwords and the database are those of compose.yaml.
            let redis = RedisServer::start_with(&["--requirepass", "uschat"]).await;
            let sql = new_database().await;
            let schema = sql.rsplit('/').next().unwrap().to_owned();
            execute(&sql, "CREATE USER IF NOT EXISTS 'uschat'@'127.0.0.1' IDENTIFIED BY 'uschat'").await;
            execute(&sql, &format!("GRANT ALL ON {schema}.* TO 'uschat'@'127.0.0.1'")).await;
            let mut replaced = vec![
                ("Schema = llfc".to_owned(), format!("Schema = {schema}")),
                ("/llfc".to_owned(), format!("/{schema}")),
                ("3308".to_owned(), MariaDb::shared().await.port().to_string()),
                ("6380".to_owned(), redis.port().to_string()),
            ];
            let ports = [50051, 50052, 50055, 50056, 8080, 8090, 8091, 9464, 9465, 9466, 9467, 9468];
            replaced.extend(ports.map(|port| (port.to_string(), free_port().to_string())));
            Self { folder: tempfile::tempdir().unwrap(), replaced, sql, _redis: redis }
        }

        /// The copy of an example.
        fn copy(&self, name: &str) -> String {
            let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("config").join(name);
            self.write(name, &fs::read_to_string(example).unwrap())
        }

        /// A file with this text, in which ports and backends are replaced.
        fn write(&self, name: &str, text: &str) -> String {
            // One pass: what was put in for one port must not be taken for another.
            let (mut text, mut done) = (text, String::new());
            while let Some((at, old, new)) = self
                .replaced
                .iter()
                .filter_map(|(old, new)| Some((text.find(old.as_str())?, old, new)))
                .min_by_key(|(at, ..)| *at)
            {
                done += &text[..at];
                done += new;
                text = &text[at + old.len()..];
            }
            let path = self.folder.path().join(name);
            fs::write(&path, done + text).unwrap();
            path.to_str().unwrap().to_owned()
        }

        /// What stands for a port of the examples.
        fn port(&self, port: u16) -> &str {
            let port = port.to_string();
            &self.replaced.iter().find(|(old, _)| *old == port).unwrap().1
        }
    }

    #[tokio::test]
    async fn the_example_files_make_an_installation() {
        let files = Files::new().await;
        // Clients are told what the status server's file says, not what the chat servers announce.
        let status = fs::read_to_string(files.copy("status.ini")).unwrap();
        let (before, after) = status.split_once("[chatserver1]\nHost = 127.0.0.1").unwrap();
        fs::write(files.folder.path().join("status.ini"), format!("{before}[chatserver1]\nHost = localhost{after}"))
            .unwrap();
        let status = files.folder.path().join("status.ini");

        let verify = Server::start("verify", &["--config", &files.copy("verify.ini")]).await;
        let status = Server::start("status", &["--config", status.to_str().unwrap()]).await;
        let chats = [
            Server::start("chat", &["--config", &files.copy("chat1.ini")]).await,
            Server::start("chat", &["--config", &files.copy("chat2.ini")]).await,
        ];
        let gate = Server::start("gate", &["--config", &files.copy("gate.ini")]).await;
        let here = |port| format!("127.0.0.1:{}", files.port(port));
        for (server, name, addresses, metrics) in [
            (&verify, "verify", vec![here(50051)], 9465),
            (&status, "status", vec![here(50052)], 9466),
            (&chats[0], "chatserver1", vec![here(8090), here(50055)], 9467),
            (&chats[1], "chatserver2", vec![here(8091), here(50056)], 9468),
            (&gate, "gate", vec![here(8080)], 9464),
        ] {
            let ready = &server.ready;
            assert_eq!((ready.name.as_str(), &ready.addresses, ready.pid), (name, &addresses, server.pid()));
            assert_eq!(ready.metrics, Some(format!("http://{}/metrics", here(metrics))));
        }

        let http = Gate(format!("http://{}", gate.ready.addresses[0]));
        let (ada, mut bob) = (http.sign_up("ada").await, http.sign_up("bob").await);
        let (mut a, _) = RawClient::log_in(&ada).await;
        let told = |host: &str, port| (host.to_owned(), files.port(port).to_owned());
        let servers = [told("localhost", 8090), told("127.0.0.1", 8091)];
        let of_ada = servers.iter().position(|server| *server == (ada.host.clone(), ada.port.clone())).unwrap();
        // A token is good on every chat server.
        (bob.host, bob.port) = servers[1 - of_ada].clone();
        let (mut b, _) = RawClient::log_in(&bob).await;
        befriend(&mut a, &mut b, &bob, ada.uid).await;
        let said = a.say(&bob, "across", "hello on the other server").await;
        assert_eq!(numbers_of(&said), [2], "after the line that they are friends");
        let heard = b.skip_to(1019).await;
        assert_eq!(rows_of(&heard)[0]["content"], "hello on the other server");
        let stored = rows(&files.sql, "SELECT content FROM chat_message WHERE seq = 2").await;
        assert_eq!(stored, ["hello on the other server"]);

        for (server, metric) in [
            (&verify, "uschat_verify_requests_total{error=\"0\"} 2"),
            (&status, "uschat_status_requests_total"),
            (&chats[0], "uschat_sessions_open 1"),
            (&chats[1], "uschat_sessions_open 1"),
            (&gate, "uschat_gate_requests_total"),
        ] {
            let page = in_time("metrics", reqwest::get(server.ready.metrics.as_ref().unwrap())).await.unwrap();
            let page = in_time("metrics", page.text()).await.unwrap();
            assert!(page.contains(metric), "{}: {page}", server.ready.name);
            let url = server.ready.metrics.as_ref().unwrap().replace("/metrics", "/readyz");
            let told = in_time("readiness", reqwest::get(url)).await.unwrap();
            let told: serde_json::Value = in_time("readiness", told.json()).await.unwrap();
            let kinds = (&told["ready"], &told["state"]["kind"]);
            assert_eq!(kinds, (&true.into(), &"redis".into()), "{}: {told}", server.ready.name);
        }

        let [one, two] = chats;
        for server in [gate, one, two, status, verify] {
            let name = server.ready.name.clone();
            let log = server.stop().await;
            assert!(log.contains("told to end") && log.trim_end().ends_with("ended"), "{name}: {log}");
            assert!(!log.contains(" WARN ") && !log.contains(" ERROR "), "{name}: {log}");
        }
    }

    async fn befriend(a: &mut RawClient, b: &mut RawClient, bob: &crate::support::User, ada: i64) {
        let applied = a.ask(1009, &serde_json::json!({ "touid": bob.uid })).await;
        assert_eq!(applied["error"], 0, "{applied}");
        let approved = b.ask(1013, &serde_json::json!({ "touid": ada })).await;
        assert_eq!(approved["error"], 0, "{approved}");
        a.skip_to(1015).await;
    }

    #[tokio::test]
    async fn toml_and_the_original_json_do_as_well() {
        let files = Files::new().await;
        // Without `email` there is nobody to send mails, so they go to the outbox.
        let json = r#"{"mysql":{"host":"127.0.0.1","port":3308,"passwd":"uschat"},
            "redis":{"host":"127.0.0.1","port":6380,"passwd":"uschat"},
            "VarifyServer":{"Port":50051}}"#;
        let json = files.write("config.json", json);
        let _verify = Server::start("verify", &["--config", &json, "--bind", "127.0.0.1"]).await;
        let _status = Server::start("status", &["--config", &files.copy("status.ini")]).await;
        let chat = Server::start("chat", &["--config", &files.copy("chat.toml")]).await;
        assert_eq!(chat.ready.name, "chatserver1");
        let gate = Server::start("gate", &["--config", &files.copy("gate.ini")]).await;
        let ada = Gate(format!("http://{}", gate.ready.addresses[0])).sign_up("ada").await;
        assert_eq!(ada.chat_address(), chat.ready.addresses[0]);
        let (mut client, profile) = RawClient::log_in(&ada).await;
        assert_eq!(profile["name"], "ada");
        client.assert_alive().await;
    }
}
