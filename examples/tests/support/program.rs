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
        assert_eq!(self.status, Some(2), "{self:?}");
        assert_eq!(self.stdout, "", "{self:?}");
        assert_eq!(self.stderr.matches('\n').count(), 1, "one line, and it ends: {self:?}");
        assert!(self.stderr.starts_with(&format!("uschat: {key}")), "names {key}: {self:?}");
        self.stderr.trim_end()
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
