//! Starts `redis-server` for tests: a process of its own on loopback, with a temporary folder.
//!
//! Included with `#[path]` by tests of several packages, so it knows only std, tokio and tempfile. The process ends with its
//! handle and, however the test program ends, with that: a shell in between waits for the end of a pipe that only the test
//! program holds, and then kills the server.
#![allow(dead_code, unreachable_pub, reason = "every test program uses a part of it")]

use std::{
    io::{BufRead, BufReader, Write},
    net::TcpListener,
    path::Path,
    process::{Child, ChildStdout, Command, Stdio},
    sync::atomic::{AtomicU16, Ordering},
    time::Duration,
};

use tempfile::TempDir;
use tokio::sync::oneshot;

const READY_WITHIN: Duration = Duration::from_secs(30);
const TO_TLS_PORT: u16 = 5_000;
/// Says the server's process id. At the end of its own input it removes the folder, unless it was told to keep it, and kills
/// the server: so nothing is left of a test program that was killed itself.
const GUARD: &str = r#"
    folder=$1
    shift
    exec 3<&0
    sh -c 'echo "$$"; exec redis-server "$@" 2>&1 3<&-' redis-server "$@" & server=$!
    exec >/dev/null 2>&1
    { told=$(cat <&3); [ "$told" = keep ] || rm -rf "$folder"; kill -9 "$server"; } & guard=$!
    wait "$server"
    kill "$guard"
"#;

/// A running Redis server; dropped, it is gone.
pub struct RedisServer {
    port: u16,
    arguments: Vec<String>,
    folder: TempDir,
    /// None while it is killed.
    running: Option<Running>,
}

struct Running {
    guard: Child,
    pid: u32,
}

impl Drop for Running {
    fn drop(&mut self) {
        // The folder is the handle's, which may start the server again.
        if let Some(mut input) = self.guard.stdin.take() {
            let _ = input.write_all(b"keep");
        }
        let _ = self.guard.wait();
    }
}

impl RedisServer {
    /// A server without password, with 16 databases, that keeps nothing on disk.
    pub async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// The same with further arguments of `redis-server`, such as `["--requirepass", "secret"]`. In them `{port}` and
    /// `{tls-port}` stand for the server's ports.
    pub async fn start_with(arguments: &[&str]) -> Self {
        let arguments: Vec<_> = arguments.iter().map(|&argument| argument.to_owned()).collect();
        // Another program may take the port between the look and the start.
        for _ in 0..5 {
            let folder = tempfile::tempdir().expect("a temporary folder");
            let port = free_port();
            match start(port, &arguments, folder.path()).await {
                Ok(running) => return Self { port, arguments, folder, running: Some(running) },
                Err(log) if log.contains("Address already in use") => {}
                Err(log) => panic!("redis-server did not become ready:\n{log}"),
            }
        }
        panic!("no free port for redis-server");
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// A port for TLS that belongs to this server as well.
    pub fn tls_port(&self) -> u16 {
        self.port + TO_TLS_PORT
    }

    /// `redis://127.0.0.1:PORT`, without a database.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Stops the process where it is: connections stay open and nothing is answered.
    pub fn freeze(&self) {
        self.signal("STOP");
    }

    /// Lets it go on.
    pub fn thaw(&self) {
        self.signal("CONT");
    }

    /// Kills the process, and waits until it is gone.
    pub fn kill(&mut self) {
        self.running = None;
    }

    /// Starts it again on its port, empty.
    pub async fn restart(&mut self) {
        self.kill();
        let started = start(self.port, &self.arguments, self.folder.path()).await;
        self.running = Some(started.unwrap_or_else(|log| panic!("redis-server did not start again:\n{log}")));
    }

    fn signal(&self, signal: &str) {
        let pid = self.running.as_ref().expect("the server runs").pid;
        let sent = Command::new("sh").arg("-c").arg(format!("kill -{signal} {pid}")).status().expect("sh runs");
        assert!(sent.success(), "kill -{signal} {pid}");
    }
}

/// Below the ports that the system gives to others, so that a killed server finds its own free again.
fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = u16::try_from(std::process::id() * 37 % 4_000).expect("small");
    loop {
        let port = 18_000 + (first + NEXT.fetch_add(1, Ordering::Relaxed)) % 4_000;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// Waits until the server says that it is ready; what it said instead is the error.
async fn start(port: u16, arguments: &[String], folder: &Path) -> Result<Running, String> {
    let (port, tls_port) = (port.to_string(), (port + TO_TLS_PORT).to_string());
    let mut guard = Command::new("sh")
        .args(["-c", GUARD, "redis-server"])
        .arg(folder)
        .args(["--bind", "127.0.0.1", "--port", &port, "--save", "", "--appendonly", "no", "--dir"])
        .arg(folder)
        .args(arguments.iter().map(|argument| argument.replace("{port}", &port).replace("{tls-port}", &tls_port)))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("sh runs");
    let mut log = BufReader::new(guard.stdout.take().expect("it is piped"));
    let mut pid = String::new();
    log.read_line(&mut pid).expect("the shell says the process id");
    let running = Running { guard, pid: pid.trim().parse().expect("a process id") };
    let (ready, when_ready) = oneshot::channel();
    std::thread::spawn(move || read_log(log, ready));
    match tokio::time::timeout(READY_WITHIN, when_ready).await {
        Ok(outcome) => outcome.expect("the log is read").map(|()| running),
        Err(_) => panic!("redis-server was not ready within {READY_WITHIN:?}"),
    }
}

/// Reads to the end, since a full pipe would stop the server. The end before it was ready is a failure.
fn read_log(log: BufReader<ChildStdout>, ready: oneshot::Sender<Result<(), String>>) {
    let (mut ready, mut text) = (Some(ready), String::new());
    for line in log.lines().map_while(Result::ok) {
        if ready.is_some() {
            text = text + &line + "\n";
        }
        if line.contains("Ready to accept connections")
            && let Some(ready) = ready.take()
        {
            let _ = ready.send(Ok(()));
        }
    }
    if let Some(ready) = ready {
        let _ = ready.send(Err(text + "(is redis-server installed? Debian has it in the package redis-server)"));
    }
}
