//! The process of one server, and its return when it ends unasked.

use std::{
    io,
    process::{ExitStatus, Stdio},
    time::Duration,
};

use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    process::{Child, ChildStdin, Command},
    sync::mpsc,
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

use super::child::{ARGUMENT, Report};
use crate::{
    StartError,
    config::{ServerSettings, Service},
    server::Started,
};

/// A server reports within this, or is ended and counts as failed.
const START_DEADLINE: Duration = Duration::from_secs(40);
/// Between a child's second failed start and the next; it doubles.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// A child that lived as long as this has started well.
const SETTLED: Duration = Duration::from_secs(10);
/// A child that ended in good order was sent a signal. So were we, if it went to the whole group, and that arrives within
/// this time.
const GROUP_SIGNAL: Duration = Duration::from_millis(200);

/// A server's process.
pub(super) struct Running {
    settings: ServerSettings,
    process: Child,
    /// Its end tells the child to drain.
    input: ChildStdin,
    since: Instant,
}

impl Running {
    /// Starts a server and waits for its report. From then on its ports are fixed.
    pub(super) async fn start(mut settings: ServerSettings) -> Result<(Self, Started), StartError> {
        let name = settings.service.name().to_owned();
        let (process, input, report) = match timeout(START_DEADLINE, spawn(&settings)).await {
            Ok(Ok(spawned)) => spawned,
            Ok(Err(error)) => {
                return Err(StartError::new(name, format!("its process does not start: {error}"), "see the log above"));
            }
            Err(_) => return Err(StartError::new(name, "it did not start in time", "see the log above")),
        };
        let started = match report {
            Report::Started(started) => started,
            Report::Failed(error) => return Err(error),
        };
        fix_ports(&mut settings, &started);
        Ok((Self { settings, process, input, since: Instant::now() }, started))
    }

    /// Keeps the server running until `stop`, then lets it drain. Every new process is told through `restarted`.
    ///
    /// `ending` is cancelled first when everything ends: from then on nothing is restarted.
    pub(super) async fn keep(
        mut self,
        ending: CancellationToken,
        stop: CancellationToken,
        restarted: mpsc::Sender<Started>,
    ) {
        loop {
            let ended = tokio::select! {
                ended = self.process.wait() => ended,
                () = stop.cancelled() => {
                    drop(self.input);
                    drop(self.process.wait().await);
                    return;
                }
            };
            let in_good_order = ended.as_ref().is_ok_and(ExitStatus::success);
            if in_good_order && timeout(GROUP_SIGNAL, ending.cancelled()).await.is_ok() || ending.is_cancelled() {
                return;
            }
            let name = self.settings.service.name().to_owned();
            let how = ended.map_or_else(|error| error.to_string(), |status| status.to_string());
            error!(server = name, how, "a server ended unasked, starting it again");
            let settled = self.since.elapsed() >= SETTLED;
            let Some(next) = ending.run_until_cancelled(start_again(self.settings, settled)).await else { return };
            metrics::counter!("uschat_process_restarts_total", "server" => name).increment(1);
            let started;
            (self, started) = next;
            // Nobody listens once everything ends.
            let _ = restarted.send(started).await;
        }
    }
}

/// Tries until it starts; at once if it had settled.
async fn start_again(settings: ServerSettings, settled: bool) -> (Running, Started) {
    let mut pause = if settled { Duration::ZERO } else { FIRST_PAUSE };
    loop {
        sleep(pause).await;
        match Running::start(settings.clone()).await {
            Ok(running) => return running,
            Err(error) => warn!(server = settings.service.name(), %error, "a server does not start, trying again"),
        }
        pause = (pause * 2).clamp(FIRST_PAUSE, LONGEST_PAUSE);
    }
}

async fn spawn(settings: &ServerSettings) -> io::Result<(Child, ChildStdin, Report)> {
    let mut process = Command::new(std::env::current_exe()?)
        .arg(ARGUMENT)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let missing = || io::Error::other("a pipe is missing");
    let mut input = process.stdin.take().ok_or_else(missing)?;
    let output = process.stdout.take().ok_or_else(missing)?;
    let mut line = serde_json::to_vec(settings)?;
    line.push(b'\n');
    input.write_all(&line).await?;
    input.flush().await?;

    let mut report = String::new();
    BufReader::new(output).read_line(&mut report).await?;
    if report.is_empty() {
        return Err(io::Error::other(format!("it ended with {}", process.wait().await?)));
    }
    Ok((process, input, serde_json::from_str(&report)?))
}

/// A server comes back on the ports that clients and peers know.
fn fix_ports(settings: &mut ServerSettings, started: &Started) {
    let listens = match &mut settings.service {
        Service::Gate(gate) => vec![&mut gate.listen],
        Service::Verify(verify) => vec![&mut verify.listen],
        Service::Status(status) => vec![&mut status.listen],
        Service::Chat(chat) => vec![&mut chat.clients, &mut chat.peers],
    };
    let port = |address: &str| address.rsplit_once(':').and_then(|(_, port)| port.parse().ok());
    for (listen, address) in listens.into_iter().zip(&started.addresses) {
        if let Some(port) = port(address) {
            listen.value.set_port(port);
        }
    }
    let metrics = started.metrics.as_deref().and_then(|url| port(url.trim_end_matches("/metrics")));
    if let (Some(metrics), Some(port)) = (&mut settings.metrics, metrics) {
        metrics.value.set_port(port);
    }
}
