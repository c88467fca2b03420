//! What the tests of `load` share: running it, and a gate and a chat server that misbehave as they are told.

mod double;

pub use double::{Double, Fault};

use std::{path::Path, process::Stdio, time::Duration};

use serde_json::Value;
use tokio::process::Command;

/// What `load` left behind.
#[derive(Debug)]
pub struct Outcome {
    pub status: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

/// Runs `load` to its end.
pub async fn load(arguments: &[&str]) -> Outcome {
    let mut command = Command::new(env!("CARGO_BIN_EXE_load"));
    command.args(arguments).env_remove("USCHAT_GATE").stdin(Stdio::null()).kill_on_drop(true);
    let output = tokio::time::timeout(Duration::from_secs(60), command.output()).await;
    let output = output.expect("load ends").unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Outcome { status: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

impl Outcome {
    /// That it was refused: status 2, one line that begins with the option, nothing else.
    #[track_caller]
    pub fn assert_refused(&self, key: &str) -> &str {
        let line = self.stderr.strip_suffix('\n').unwrap_or_default();
        let named = line.strip_prefix("load: ").is_some_and(|line| line.starts_with(key));
        assert!(self.status == Some(2) && self.stdout.is_empty() && !line.contains('\n') && named, "{self:?}");
        line
    }
}

pub fn json(file: &Path) -> Value {
    serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap()
}
