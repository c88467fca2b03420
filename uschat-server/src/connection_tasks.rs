//! The connections of a server that speaks HTTP: accepted until it stops, then drained, then aborted.

use std::{future::Future, net::SocketAddr, time::Duration};

use tokio::{
    net::{TcpListener, TcpStream},
    time::timeout,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::warn;

use crate::accept::Accepting;

/// What is left of the work after its tasks were told to abort: writes that must not be cut in half.
const AFTER_ABORT: Duration = Duration::from_secs(1);

/// Bounds of one listener.
#[derive(Debug, Clone)]
pub(crate) struct AcceptConfig {
    /// Names the server in the log.
    pub(crate) server: &'static str,
    /// Connections at one time; more of them wait in the kernel's backlog.
    pub(crate) max_connections: usize,
    /// How long connections may go on after shutdown began.
    pub(crate) drain: Duration,
}

/// What the tasks of one server share.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tasks {
    /// Everything that must have ended before the server has.
    pub(crate) running: TaskTracker,
    /// Finish what is under way and take nothing new.
    pub(crate) drain: CancellationToken,
    /// The deadline of draining has passed: end now.
    pub(crate) abort: CancellationToken,
}

impl Tasks {
    /// Spawns work that ends at once when the server gives up draining.
    pub(crate) fn spawn_abortable<F>(&self, work: F)
    where
        F: Future<Output: Send> + Send + 'static,
    {
        self.running.spawn(self.abort.clone().run_until_cancelled_owned(work));
    }
}

/// Accepts connections until `shutdown`, then drains them, and returns when none is left. Dropping the future aborts them.
pub(crate) async fn accept_until<F, Fut>(
    listener: TcpListener,
    config: &AcceptConfig,
    tasks: Tasks,
    shutdown: CancellationToken,
    serve: F,
) where
    F: Fn(TcpStream, SocketAddr) -> Fut,
    Fut: Future<Output = ()> + Send + 'static,
{
    let _abort_when_dropped = tasks.abort.clone().drop_guard();
    let accepting = Accepting::new(listener, config.server, config.max_connections);
    shutdown.run_until_cancelled(accept(accepting, &tasks, serve)).await;
    tasks.drain.cancel();
    tasks.running.close();
    if timeout(config.drain, tasks.running.wait()).await.is_err() {
        warn!(server = config.server, left = tasks.running.len(), "the drain deadline passed, aborting");
        tasks.abort.cancel();
        if timeout(AFTER_ABORT, tasks.running.wait()).await.is_err() {
            warn!(server = config.server, left = tasks.running.len(), "work is left behind");
        }
    }
}

async fn accept<F, Fut>(mut accepting: Accepting, tasks: &Tasks, serve: F)
where
    F: Fn(TcpStream, SocketAddr) -> Fut,
    Fut: Future<Output = ()> + Send + 'static,
{
    loop {
        let (stream, peer, place) = accepting.next().await;
        // Fails only on a connection that is gone already, which its first read will tell.
        let _ = stream.set_nodelay(true);
        let connection = serve(stream, peer);
        tasks.spawn_abortable(async move {
            connection.await;
            drop(place);
        });
    }
}
