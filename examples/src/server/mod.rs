//! Servers in this process: what they listen on, what stands behind them, how they start, are watched and end.
//!
//! The topology runs all of them in one process this way; `gate`, `verify`, `status` and `chat` run one each, and so does
//! each process of `topology --processes`.

mod bind;
mod health;
mod monitor;
mod run;
mod stage;
mod start;
mod storage;

use std::{
    future::Future,
    io::Write,
    process::{self, ExitCode},
};

use serde::{Deserialize, Serialize};
use tokio::runtime::Runtime;
use tracing::warn;

pub(crate) use self::{
    bind::Bound,
    monitor::{Monitored, install as install_recorder, serve as serve_monitor},
    run::{Hosted, host},
    start::Listening,
    storage::{Needs, Storage, open_error},
};
use crate::{
    StartError,
    config::{Role, ServerInvocation, ServerSettings, Service},
    logging,
    ready_file::{self, ReadyFile},
    signals,
};

/// What a server says once it accepts connections.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Started {
    /// `gate`, `verify`, `status` or the chat server's name.
    pub name: String,
    /// As reached from this machine: HTTP or gRPC; of a chat server, TCP and then gRPC.
    pub addresses: Vec<String>,
    /// The URL of its metrics, if it serves them.
    pub metrics: Option<String>,
    /// Its process.
    pub pid: u32,
}

/// The program of a server that is started alone: reads its options, runs until it is told to end. What could not start
/// says so in one line.
#[must_use]
pub fn main(role: Role) -> ExitCode {
    exit(ServerInvocation::of_this_process(role).and_then(|invocation| match invocation {
        ServerInvocation::Print(text) => {
            say(&text);
            Ok(ExitCode::SUCCESS)
        }
        ServerInvocation::Check(settings) => {
            say(&format!("The configuration is good.\n{}", describe(&settings)));
            Ok(ExitCode::SUCCESS)
        }
        ServerInvocation::Run { settings, unknown_sections } => {
            logging::install(&settings.log, None)?;
            note_unknown(&unknown_sections);
            block_on(alone(*settings))
        }
    }))
}

async fn alone(settings: ServerSettings) -> Result<ExitCode, StartError> {
    let shutdown = signals::cancel_on_signal().map_err(no_signals)?;
    let ready_file = settings.ready_file.clone();
    // Held until the end.
    let mut file = None;
    let failed = run_one(settings, None, shutdown, |started| {
        if let Some(path) = &ready_file {
            file = Some(ReadyFile::write(path, &started).map_err(ready_file::error)?);
        }
        say(&format!("{} is ready on {}\n", started.name, started.addresses.join(" and ")));
        Ok(())
    })
    .await?;
    drop(file);
    Ok(status(failed))
}

/// Runs one server until `shutdown`; tells `on_started` when it accepts. True if it ended by itself, which is a failure.
pub(crate) async fn run_one(
    settings: ServerSettings,
    process_label: Option<&str>,
    shutdown: tokio_util::sync::CancellationToken,
    on_started: impl FnOnce(Started) -> Result<(), StartError>,
) -> Result<bool, StartError> {
    let ServerSettings { service, backends, metrics, drain_deadline, ready_file, .. } = settings;
    let name = service.name().to_owned();
    let listening = Listening::begin(service).await?;
    let metrics = match metrics {
        Some(metrics) => Some(Bound::listen(&metrics).await?),
        None => None,
    };
    let started = Started {
        name,
        addresses: listening.addresses(),
        metrics: metrics.as_ref().map(|bound| format!("http://{}/metrics", bound.address)),
        pid: process::id(),
    };
    let ready_file = ready_file.as_deref();
    let hosted = Hosted { servers: vec![listening], backends, metrics, process_label, drain_deadline, ready_file };
    host(hosted, shutdown, || on_started(started)).await
}

/// Runs a process's future to its end.
pub(crate) fn block_on(running: impl Future<Output = Result<ExitCode, StartError>>) -> Result<ExitCode, StartError> {
    let runtime = Runtime::new()
        .map_err(|error| StartError::new("runtime", format!("no threads to run on: {error}"), "free some memory"))?;
    let outcome = runtime.block_on(running);
    // A password that is still being hashed for nobody must not keep the process from ending.
    runtime.shutdown_background();
    outcome
}

/// The exit status of a program, and its last word if it could not start.
pub(crate) fn exit(outcome: Result<ExitCode, StartError>) -> ExitCode {
    outcome.unwrap_or_else(|error| {
        // Not eprintln: it panics where nobody reads standard error.
        let _ = writeln!(std::io::stderr(), "uschat: {error}");
        ExitCode::from(StartError::EXIT_STATUS)
    })
}

pub(crate) fn status(failed: bool) -> ExitCode {
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

pub(crate) fn no_signals(error: std::io::Error) -> StartError {
    StartError::new("signals", format!("no signal handlers: {error}"), "ask who runs this machine")
}

/// Nobody listening is no reason to end.
pub(crate) fn say(text: &str) {
    let mut stdout = std::io::stdout();
    let _ = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
}

/// A section that nobody reads may be misspelt.
pub(crate) fn note_unknown(sections: &[String]) {
    for section in sections {
        warn!(section, "no server reads this section of the configuration file; it is ignored");
    }
}

fn describe(settings: &ServerSettings) -> String {
    let listens = match &settings.service {
        Service::Gate(gate) => format!("{} (verify {}, status {})", gate.listen.value, gate.verify, gate.status),
        Service::Verify(verify) => verify.listen.value.to_string(),
        Service::Status(status) => status.listen.value.to_string(),
        Service::Chat(chat) => format!("{} for clients, {} for peers", chat.clients.value, chat.peers.value),
    };
    format!("  {} on {listens}\n{}", settings.service.name(), settings.backends.describe())
}
