use std::{
    env,
    io::{self, IsTerminal, Write},
    process::ExitCode,
};

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader, stdin};
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::{
    StartError,
    config::ServerSettings,
    logging,
    server::{Started, block_on, exit, no_signals, run_one, status},
    signals,
};

/// The first argument of a child. Not for people, so no help shows it.
pub(super) const ARGUMENT: &str = "server-process";

/// The one line that a child says to its parent.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Report {
    /// It accepts connections.
    Started(Started),
    /// It could not start.
    Failed(StartError),
}

/// Whether this process was started as a child.
pub(in crate::topology) fn is_child() -> bool {
    env::args_os().nth(1).is_some_and(|first| first == ARGUMENT)
}

/// A child's program.
pub(in crate::topology) fn main() -> ExitCode {
    exit(block_on(async {
        if io::stdin().is_terminal() {
            let remedy = "to run a server alone start gate, verify, status or chat";
            return Err(StartError::new(ARGUMENT, "this is how topology --processes starts its servers", remedy));
        }
        match run().await {
            Ok(failed) => Ok(status(failed)),
            // The parent says why, unless it has gone.
            Err(error) if report(&Report::Failed(error.clone())).is_ok() => Ok(ExitCode::from(StartError::EXIT_STATUS)),
            Err(error) => Err(error),
        }
    }))
}

async fn run() -> Result<bool, StartError> {
    let mut parent = BufReader::new(stdin());
    let settings = settings(&mut parent).await?;
    let name = settings.service.name().to_owned();
    logging::install(&settings.log, Some(&name))?;
    let shutdown = signals::cancel_on_signal().map_err(no_signals)?;
    tokio::spawn(until_parent_ends_it(parent, shutdown.clone()));
    run_one(settings, Some(&name), shutdown, |started| {
        // A parent that does not read has gone; the end of its pipe will tell.
        let _ = report(&Report::Started(started));
        Ok(())
    })
    .await
}

async fn settings(parent: &mut BufReader<tokio::io::Stdin>) -> Result<ServerSettings, StartError> {
    let mut line = String::new();
    let read = parent.read_line(&mut line).await.map_err(|error| error.to_string());
    read.and_then(|_| serde_json::from_str(&line).map_err(|error| format!("line 1, column {}", error.column())))
        .map_err(|error| {
            let problem = format!("no settings on standard input ({error})");
            StartError::new(ARGUMENT, problem, "to run a server alone start gate, verify, status or chat")
        })
}

/// The parent closes the pipe, or ends.
async fn until_parent_ends_it(mut parent: BufReader<tokio::io::Stdin>, shutdown: CancellationToken) {
    let mut nothing = [0; 64];
    while matches!(parent.read(&mut nothing).await, Ok(read) if read > 0) {}
    if !shutdown.is_cancelled() {
        info!("told to end by the parent, draining");
    }
    shutdown.cancel();
}

fn report(report: &Report) -> io::Result<()> {
    let mut line = serde_json::to_vec(report)?;
    line.push(b'\n');
    let mut stdout = io::stdout();
    stdout.write_all(&line)?;
    stdout.flush()
}
