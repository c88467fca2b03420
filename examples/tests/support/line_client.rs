use std::process::Stdio;

use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout, Command},
};

use super::{Topology, in_time};

/// A running `client`, fed line by line. Killed when dropped.
#[derive(Debug)]
pub struct LineClient {
    child: Child,
    input: Option<ChildStdin>,
    output: Lines<BufReader<ChildStdout>>,
}

impl LineClient {
    /// Starts one beside a topology, with these options more.
    pub fn start(topology: &Topology, options: &[&str]) -> Self {
        Self::start_at(&topology.ready.gate, options)
    }

    /// The same with any gate.
    pub fn start_at(gate: &str, options: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_client"));
        command.args(["--gate", gate]).args(options).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.kill_on_drop(true).spawn().unwrap();
        let input = child.stdin.take();
        let output = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, input, output }
    }

    /// Types a line.
    pub async fn enter(&mut self, line: &str) {
        let input = self.input.as_mut().unwrap();
        in_time("typing", input.write_all(format!("{line}\n").as_bytes())).await.unwrap();
    }

    /// The next line it prints; `None` when it has ended.
    pub async fn line(&mut self) -> Option<String> {
        in_time("a line of the client", self.output.next_line()).await.unwrap()
    }

    /// Types a line and returns the next one printed.
    pub async fn ask(&mut self, line: &str) -> String {
        self.enter(line).await;
        self.line().await.unwrap_or_else(|| panic!("{line}: the client has ended"))
    }

    /// Ends its input; returns its exit status and the lines that were left.
    pub async fn finish(mut self) -> (Option<i32>, Vec<String>) {
        self.input = None;
        let mut left = Vec::new();
        while let Some(line) = self.line().await {
            left.push(line);
        }
        (in_time("the client ends", self.child.wait()).await.unwrap().code(), left)
    }
}
