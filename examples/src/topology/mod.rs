//! A whole UsChat installation in one process: gate, verification, status and chat servers, talking to each other over
//! gRPC on real ports as they would from machine to machine.

mod banner;
mod listeners;
mod services;
mod stage;
mod storage;

use std::{io::Write, process::ExitCode, time::Duration};

use tokio::{
    runtime::Runtime,
    time::{Instant, timeout_at},
};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use self::{listeners::Listeners, services::Services, storage::Storage};
use crate::{
    StartError,
    config::{Invocation, Settings},
    logging, metrics,
    ready_file::ReadyFile,
    signals,
};

/// Everything is up well within this, or something waits that will never come.
const START_DEADLINE: Duration = Duration::from_secs(30);

/// The program: reads its options, runs until it is told to end. What could not start says so in one line.
#[must_use]
pub fn main() -> ExitCode {
    let outcome = Invocation::of_this_process().and_then(|invocation| match invocation {
        Invocation::Print(text) => {
            say(&text);
            Ok(ExitCode::SUCCESS)
        }
        Invocation::Run(settings) => run_to_the_end(&settings),
    });
    outcome.unwrap_or_else(|error| {
        // Not eprintln: it panics where nobody reads standard error.
        let _ = writeln!(std::io::stderr(), "uschat: {error}");
        ExitCode::from(StartError::EXIT_STATUS)
    })
}

fn run_to_the_end(settings: &Settings) -> Result<ExitCode, StartError> {
    logging::install(settings)?;
    let runtime = Runtime::new()
        .map_err(|error| StartError::new("topology", format!("no threads to run on: {error}"), "free some memory"))?;
    let outcome = runtime.block_on(run(settings));
    // A password that is still being hashed for nobody must not keep the process from ending.
    runtime.shutdown_background();
    outcome
}

async fn run(settings: &Settings) -> Result<ExitCode, StartError> {
    let shutdown = signals::cancel_on_signal().map_err(|error| {
        StartError::new("topology", format!("no signal handlers: {error}"), "ask who runs this machine")
    })?;
    let lock = storage::lock(&settings.database)?;
    let listeners = Listeners::bind(settings).await?;
    if let Some(path) = &settings.ready_file {
        ReadyFile::prepare(path).map_err(|error| ready_file_error(&error))?;
    }
    let recorder = metrics::install()
        .map_err(|error| StartError::new("--metrics-port", format!("no metrics: {error}"), "report this, please"))?;
    let storage = Storage::open(&settings.database).await?;
    let ready = listeners.ready();
    let mut services = Services::start(settings, listeners, &storage, recorder)?;

    let failed = serve(settings, &mut services, &storage, &ready, &shutdown).await?;
    let deadline = Instant::now() + settings.drain_deadline;
    services.drain(deadline).await;
    if timeout_at(deadline, storage.close()).await.is_err() {
        warn!("the database was not closed within the drain deadline; the next start recovers it, nothing is lost");
    }
    drop(lock);
    info!("ended");
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Waits until everything accepts, says so, and waits on until the end is wished for or a service ended by itself, which
/// is a failure.
async fn serve(
    settings: &Settings,
    services: &mut Services,
    storage: &Storage,
    ready: &crate::ready_file::Ready,
    shutdown: &CancellationToken,
) -> Result<bool, StartError> {
    let starting = timeout_at(Instant::now() + START_DEADLINE, storage.chats_announced(settings.chats));
    tokio::select! {
        ended = services.ended() => return Ok(report(&ended)),
        () = shutdown.cancelled() => return Ok(false),
        announced = starting => if announced.is_err() {
            return Err(StartError::new("--chats", "the chat servers did not start in time", "see the log above"));
        }
    }
    let file = settings.ready_file.as_ref().map(|path| ReadyFile::write(path, ready)).transpose();
    let _file = file.map_err(|error| ready_file_error(&error))?;
    say(&banner::text(settings, ready));
    tokio::select! {
        ended = services.ended() => Ok(report(&ended)),
        () = shutdown.cancelled() => Ok(false),
    }
}

fn report(ended: &str) -> bool {
    error!(service = ended, "a service ended by itself, ending everything");
    true
}

fn ready_file_error(error: &std::io::Error) -> StartError {
    StartError::new(
        "--ready-file",
        format!("cannot be written: {error}"),
        "name a file in a directory that may be written",
    )
}

/// Nobody listening is no reason to end.
fn say(text: &str) {
    let mut stdout = std::io::stdout();
    let _ = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
}
