//! A real SMTP server (aiosmtpd) in a process of its own, on a free loopback port.
//!
//! Arguments of [`SmtpServer::start`]:
//!
//! | argument | effect |
//! |---|---|
//! | `--tls starttls`, `--tls implicit` with `--cert FILE --key FILE` | encrypts |
//! | `--user U --password P` | takes mail only from this user |
//! | `--reject STAGE=REPLY` | refuses there; stages: `greeting`, `ehlo`, `auth`, `mail`, `rcpt`, `message` |
//! | `--hang STAGE`, `--drop STAGE` | never answers there; ends the connection there |
//! | `--idle SECONDS`, `--goodbye` | closes silent connections; says so before |
#![allow(dead_code, clippy::unwrap_used, reason = "tests only, and each file uses a part of it")]

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use tokio::{
    sync::mpsc::{UnboundedReceiver, unbounded_channel},
    time::timeout,
};

/// Longer than anything takes here.
const PATIENCE: Duration = Duration::from_secs(20);

/// Ends with its handle, and with the process that holds the handle: its standard input ends then.
pub(crate) struct SmtpServer {
    child: Child,
    events: UnboundedReceiver<String>,
    port: u16,
}

impl SmtpServer {
    /// Returns when it accepts connections.
    pub(crate) async fn start(arguments: &[&str]) -> Self {
        let mut child = Command::new(python())
            .args(["-W", "ignore", "-c", include_str!("smtp_server.py")])
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let (sender, events) = unbounded_channel();
        thread::spawn(move || output.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        let mut server = Self { child, events, port: 0 };
        let ready = server.next("ready").await;
        server.port = ready.trim_end_matches('}').rsplit(' ').next().unwrap().parse().unwrap();
        server
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// The next event of this kind, as one line of JSON; those before it are skipped. `mail`: one was accepted, as an
    /// independent MIME parser reads it. `connected`, `closed`, `hanging`: what the name says.
    pub(crate) async fn next(&mut self, event: &str) -> String {
        let start = format!("{{\"event\": \"{event}\"");
        let waiting = async {
            while let Some(line) = self.events.recv().await {
                if line.starts_with(&start) {
                    return line;
                }
            }
            panic!("the SMTP server ended without {event:?}; its standard error says why");
        };
        timeout(PATIENCE, waiting).await.unwrap_or_else(|_| panic!("no {event:?} from the SMTP server in {PATIENCE:?}"))
    }

    /// Stops it; all events that were left.
    pub(crate) async fn stop(mut self) -> Vec<String> {
        self.end();
        let mut left = Vec::new();
        while let Some(line) = timeout(PATIENCE, self.events.recv()).await.unwrap() {
            left.push(line);
        }
        left
    }

    fn end(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for SmtpServer {
    fn drop(&mut self) {
        self.end();
    }
}

/// The system's Python has Debian's package; another one first on PATH need not.
fn python() -> &'static str {
    let has_aiosmtpd = |python: &&str| {
        let probe = Command::new(python).args(["-c", "import aiosmtpd.smtp"]).stderr(Stdio::null()).status();
        probe.is_ok_and(|status| status.success())
    };
    let found = ["/usr/bin/python3", "python3"].into_iter().find(has_aiosmtpd);
    found.expect("aiosmtpd is missing; Debian has it as python3-aiosmtpd (scripts/test.sh --install)")
}
