use std::{future::Future, path::Path, sync::Arc, time::Duration};

use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use super::{
    bind::Bound,
    monitor::{self, Process},
    start::{Listening, Services},
    storage::{Needs, Storage},
};
use crate::{
    StartError,
    config::Backends,
    ready_file::{self, ReadyFile},
};

/// Everything is up well within this, or something waits that will never come.
const START_DEADLINE: Duration = Duration::from_secs(30);

/// Servers that live in this process.
pub(crate) struct Hosted<'a> {
    /// They listen already.
    pub(crate) servers: Vec<Listening>,
    /// What stands behind all of them.
    pub(crate) backends: Backends,
    /// Where metrics and health are served, if they are.
    pub(crate) metrics: Option<Bound>,
    /// A label for all metrics of the process.
    pub(crate) process_label: Option<&'a str>,
    /// How long ending may take.
    pub(crate) drain_deadline: Duration,
    /// Where it will be said that they accept; what an earlier run left there goes first.
    pub(crate) ready_file: Option<&'a Path>,
}

/// Runs servers until `shutdown`, then drains. Calls `on_started` when all of them accept. True if one ended by itself,
/// which ends all and is a failure.
pub(crate) async fn host(
    hosted: Hosted<'_>,
    shutdown: CancellationToken,
    on_started: impl FnOnce() -> Result<(), StartError>,
) -> Result<bool, StartError> {
    let recorder = monitor::install(hosted.process_label)
        .map_err(|error| StartError::new("--metrics-port", format!("no metrics: {error}"), "report this, please"))?;
    let chats: Vec<_> = hosted.servers.iter().filter_map(Listening::chat_name).map(str::to_owned).collect();
    let needs = Needs {
        database: hosted.servers.iter().any(Listening::keeps_data),
        originals: hosted.servers.iter().flat_map(Listening::original_names).collect(),
        code_lifetime: hosted.servers.iter().find_map(Listening::code_lifetime),
    };
    let storage = Arc::new(Storage::open(&hosted.backends, needs).await?);
    // Who is refused until here touches nothing.
    hosted.ready_file.map_or(Ok(()), ReadyFile::prepare).map_err(ready_file::error)?;

    let mut services = Services::default();
    for server in hosted.servers {
        services.start(server, &storage, hosted.drain_deadline)?;
    }
    if let Some(metrics) = hosted.metrics {
        let process = Process::new(recorder, Arc::clone(&storage));
        services.watch(|stop| monitor::serve(metrics.listener, process, stop));
    }
    let failed = serve(&mut services, storage.announced(&chats), &shutdown, on_started).await?;

    let deadline = Instant::now() + hosted.drain_deadline;
    services.drain(deadline).await;
    if timeout_at(deadline, storage.close()).await.is_err() {
        warn!("the database was not closed within the drain deadline; the next start recovers it, nothing is lost");
    }
    info!("ended");
    Ok(failed)
}

/// Waits until everything accepts, says so, and waits on until the end is wished for or a service ended by itself.
async fn serve(
    services: &mut Services,
    announced: impl Future<Output = ()>,
    shutdown: &CancellationToken,
    on_started: impl FnOnce() -> Result<(), StartError>,
) -> Result<bool, StartError> {
    tokio::select! {
        ended = services.ended() => return Ok(report(&ended)),
        () = shutdown.cancelled() => return Ok(false),
        announced = timeout_at(Instant::now() + START_DEADLINE, announced) => if announced.is_err() {
            return Err(StartError::new("--chats", "the chat servers did not start in time", "see the log above"));
        }
    }
    on_started()?;
    tokio::select! {
        ended = services.ended() => Ok(report(&ended)),
        () = shutdown.cancelled() => Ok(false),
    }
}

fn report(ended: &str) -> bool {
    error!(service = ended, "a service ended by itself, ending everything");
    true
}
