use std::process::Stdio;

use tokio::process::Command;

use super::in_time;

/// What a run of `topology` that ends by itself left behind.
#[derive(Debug)]
pub struct Outcome {
    pub status: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Outcome {
    /// That it was refused as the run contract says: status 2, one line that begins with `key`, no panic; returns the line.
    #[track_caller]
    pub fn assert_refused(&self, key: &str) -> &str {
        self.refused(key).unwrap_or_else(|fault| panic!("{fault}: {self:?}"))
    }

    /// The same; what is not so is the error.
    pub fn refused(&self, key: &str) -> Result<&str, &'static str> {
        let line = self.stderr.strip_suffix('\n').ok_or("the last line does not end")?;
        let named = line.strip_prefix("uschat: ").is_some_and(|line| line.starts_with(key));
        match () {
            () if self.status != Some(2) => Err("the status is not 2"),
            () if !self.stdout.is_empty() => Err("something is on standard output"),
            () if line.contains('\n') => Err("more than one line"),
            () if !named => Err("another key is named"),
            () => Ok(line),
        }
    }
}

/// Runs `topology` to its end.
pub async fn run(arguments: &[&str]) -> Outcome {
    run_with(arguments, &[]).await
}

/// The same with environment variables.
pub async fn run_with(arguments: &[&str], environment: &[(&str, &str)]) -> Outcome {
    to_the_end(topology(), arguments, environment).await
}

/// Runs one of the servers that are started alone (`gate`, `verify`, `status`, `chat`) to its end.
pub async fn run_server(name: &str, arguments: &[&str], environment: &[(&str, &str)]) -> Outcome {
    to_the_end(server(name), arguments, environment).await
}

async fn to_the_end(mut command: Command, arguments: &[&str], environment: &[(&str, &str)]) -> Outcome {
    command.args(arguments).envs(environment.iter().copied());
    let output = in_time("the program ends", command.output()).await.unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Outcome { status: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

/// The program, unaffected by the variables of whoever runs the tests, ended with its handle.
pub fn topology() -> Command {
    clean(Command::new(env!("CARGO_BIN_EXE_topology")))
}

/// A server that is started alone.
pub(super) fn server(name: &str) -> Command {
    clean(Command::new(match name {
        "gate" => env!("CARGO_BIN_EXE_gate"),
        "verify" => env!("CARGO_BIN_EXE_verify"),
        "status" => env!("CARGO_BIN_EXE_status"),
        "chat" => env!("CARGO_BIN_EXE_chat"),
        other => panic!("{other} is no server"),
    }))
}

/// The same with at most this many open files.
pub(super) fn topology_with_open_files(most: u32) -> Command {
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("ulimit -n {most} && exec \"$@\""), "sh", env!("CARGO_BIN_EXE_topology")]);
    clean(shell)
}

fn clean(mut command: Command) -> Command {
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("USCHAT_") {
            command.env_remove(name);
        }
    }
    command.stdin(Stdio::null()).kill_on_drop(true);
    command
}
