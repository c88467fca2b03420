//! The binary `chaos`: what it prints, what it refuses, how it ends.

use std::{net::SocketAddr, process::Stdio};

use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines},
    net::TcpStream,
    process::{Child, ChildStdout, Command},
};

use crate::harness::{echo_server, in_time, pattern, read_all, read_exactly};

fn chaos(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_chaos"));
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}

/// The program, and what it said when it was ready.
struct Running {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    address: SocketAddr,
    seed: u64,
}

impl Running {
    async fn start(arguments: &[&str]) -> Self {
        let mut child = chaos(arguments).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut told = Vec::new();
        for key in ["address ", "seed "] {
            let line = in_time("it says so", lines.next_line()).await.unwrap().unwrap();
            told.push(line.strip_prefix(key).unwrap().to_owned());
        }
        Self { child, lines, address: told[0].parse().unwrap(), seed: told[1].parse().unwrap() }
    }

    /// Ends it with this signal; returns its status and its last line.
    async fn end(mut self, signal: &str) -> (Option<i32>, String) {
        let pid = self.child.id().unwrap().to_string();
        assert!(Command::new("kill").args(["-s", signal, &pid]).status().await.unwrap().success());
        let status = in_time("it ends", self.child.wait()).await.unwrap();
        (status.code(), self.lines.next_line().await.unwrap().unwrap_or_default())
    }
}

#[tokio::test]
async fn it_proxies_until_a_signal_ends_it_in_good_order() {
    let server = echo_server().await;
    for signal in ["INT", "TERM"] {
        let running = Running::start(&["--to", &server.to_string(), "--seed", "99"]).await;
        assert_eq!(running.seed, 99);
        let mut client = TcpStream::connect(running.address).await.unwrap();
        client.write_all(&pattern(1_000)).await.unwrap();
        assert_eq!(read_exactly(&mut client, 1_000).await, pattern(1_000));
        let (status, last) = running.end(signal).await;
        assert_eq!(status, Some(0), "SIG{signal}");
        assert!(last.starts_with("seed 99, connections 1 (live 0, ") && last.contains("1000 of 1000 bytes"), "{last}");
    }
}

#[tokio::test]
async fn options_become_faults() {
    let server = echo_server().await;
    let to = ["--to", &format!("localhost:{}", server.port())];
    let fault =
        ["--direction", "to-client", "--cut-after", "10", "--cut-with", "fin", "--dribble", "3", "--delay", "1"];
    let running = Running::start(&[&to[..], &fault].concat()).await;
    let mut client = TcpStream::connect(running.address).await.unwrap();
    client.write_all(&pattern(100)).await.unwrap();
    assert_eq!(read_all(&mut client).await, (pattern(10), None));
    let (status, last) = running.end("TERM").await;
    assert_eq!(status, Some(0));
    assert!(last.contains("cut 1") && last.contains("to client 10 of 100 bytes"), "{last}");
}

#[tokio::test]
async fn the_help_names_every_option() {
    let output = in_time("it ends", chaos(&["--help"]).output()).await.unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0));
    for option in [
        "listen",
        "to",
        "seed",
        "direction",
        "delay",
        "jitter",
        "bandwidth",
        "stall",
        "black-hole",
        "cut-after",
        "cut-with",
        "cut-once",
        "dribble",
        "dribble-pause",
        "corrupt",
        "corrupt-at",
        "buffer",
        "connections",
    ] {
        assert!(text.contains(&format!("--{option}")), "--{option}: {text}");
    }
}

#[tokio::test]
async fn what_it_does_not_understand_is_one_line_and_status_2() {
    let taken = echo_server().await.to_string();
    let to = ["--to", "127.0.0.1:1"];
    for (arguments, named) in [
        (vec![], "--to"),
        (vec!["--to"], "--to"),
        (vec!["--to", "nowhere"], "--to"),
        (vec!["--to", "192.0.2.1:80"], "--to"),
        ([&to[..], &["--listen", "0.0.0.0:0"]].concat(), "--listen"),
        ([&to[..], &["--listen", &taken]].concat(), "--listen"),
        ([&to[..], &["--delai", "1"]].concat(), "--delai"),
        ([&to[..], &["--delay", "long"]].concat(), "--delay"),
        ([&to[..], &["--seed", "-1"]].concat(), "-1"),
        ([&to[..], &["--corrupt", "1.5"]].concat(), "--corrupt"),
        ([&to[..], &["--corrupt", "NaN"]].concat(), "--corrupt"),
        ([&to[..], &["--direction", "up"]].concat(), "--direction"),
        ([&to[..], &["--cut-once"]].concat(), "--cut-after"),
        ([&to[..], &["stray"]].concat(), "stray"),
    ] {
        let output = in_time("it ends", chaos(&arguments).output()).await.unwrap();
        let line = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), line.lines().count()), (Some(2), 1), "{arguments:?}: {line}");
        assert!(line.starts_with("uschat: ") && line.contains(named), "{arguments:?}: {line}");
        assert!(output.stdout.is_empty(), "{arguments:?}");
    }
}
