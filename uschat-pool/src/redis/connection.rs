//! One type for a connection to one server and for all connections to a cluster.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use redis::{
    Cmd, ErrorKind, Pipeline, RedisFuture, ServerErrorKind, Value,
    aio::{ConnectionLike, MultiplexedConnection},
    cluster_async::ClusterConnection,
    cluster_routing::SingleNodeRoutingInfo,
};
use tokio::{task::AbortHandle, time::Instant};

/// A multiplexed connection to one Redis server, or to every node of a cluster. Clones are the same connection, and may be
/// used at the same time.
///
/// Every command is answered or fails within [`RedisConfig::command_deadline`](super::RedisConfig::command_deadline). None
/// is sent twice, except that a cluster's answer "not here" (`MOVED`, `ASK`) is followed.
///
/// Cancel safe in that a dropped call leaves the connection usable; its command may or may not have happened.
#[derive(Clone)]
pub struct RedisConnection {
    link: Link,
    health: Arc<Health>,
}

#[derive(Clone)]
enum Link {
    Server(MultiplexedConnection),
    Cluster(ClusterConnection),
}

struct Health {
    broken: Arc<AtomicBool>,
    connected_at: Instant,
    /// Reads and writes; ended with the last clone, which it would otherwise outlive while the server is silent.
    driver: Option<AbortHandle>,
}

impl Drop for Health {
    fn drop(&mut self) {
        if let Some(driver) = &self.driver {
            driver.abort();
        }
    }
}

/// A cluster's connection finds nodes that moved by itself. One that cannot is replaced, but no more often than this: while
/// a node is down, commands to the others need a connection, too.
const CLUSTER_REST: Duration = Duration::from_secs(5);
/// Redirections that one command follows.
const REDIRECTS: usize = 4;

impl RedisConnection {
    /// `driver` is what the driver crate wants to be run for this connection; it ends when the connection has ended.
    pub(super) fn server(connection: MultiplexedConnection, driver: impl Future<Output = ()> + Send + 'static) -> Self {
        let broken = Arc::new(AtomicBool::new(false));
        let ended = Arc::clone(&broken);
        let driver = tokio::spawn(async move {
            driver.await;
            ended.store(true, Ordering::Relaxed);
        });
        let health = Health { broken, connected_at: Instant::now(), driver: Some(driver.abort_handle()) };
        Self { link: Link::Server(connection), health: Arc::new(health) }
    }

    pub(super) fn cluster(connection: ClusterConnection) -> Self {
        let health = Health { broken: Arc::default(), connected_at: Instant::now(), driver: None };
        Self { link: Link::Cluster(connection), health: Arc::new(health) }
    }

    pub(super) fn is_broken(&self) -> bool {
        self.health.broken.load(Ordering::Relaxed)
    }

    /// After a lost connection, and after a command that was not answered in time: on one stream, the next answer would
    /// come behind the missing one.
    fn note(&self, error: &redis::RedisError) {
        let fatal = error.is_io_error() || error.is_unrecoverable_error() || error.kind() == ErrorKind::Parse;
        let rested = match self.link {
            Link::Server(_) => true,
            Link::Cluster(_) => self.health.connected_at.elapsed() >= CLUSTER_REST,
        };
        if fatal && rested {
            self.health.broken.store(true, Ordering::Relaxed);
        }
    }
}

impl ConnectionLike for RedisConnection {
    fn req_packed_command<'a>(&'a mut self, command: &'a Cmd) -> RedisFuture<'a, Value> {
        Box::pin(async move {
            let outcome = match &mut self.link {
                Link::Server(server) => server.req_packed_command(command).await,
                Link::Cluster(cluster) => following(cluster, command).await,
            };
            outcome.inspect_err(|error| self.note(error))
        })
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        Box::pin(async move {
            let outcome = match &mut self.link {
                Link::Server(server) => server.req_packed_commands(pipeline, offset, count).await,
                Link::Cluster(cluster) => cluster.req_packed_commands(pipeline, offset, count).await,
            };
            outcome.inspect_err(|error| self.note(error))
        })
    }

    fn get_db(&self) -> i64 {
        match &self.link {
            Link::Server(server) => server.get_db(),
            Link::Cluster(cluster) => cluster.get_db(),
        }
    }
}

/// The driver's own retries are off, since it also repeats what may have happened already. A node that answers that the
/// key is elsewhere has done nothing; the driver then learns the cluster's map anew before it takes the next command.
async fn following(cluster: &mut ClusterConnection, command: &Cmd) -> redis::RedisResult<Value> {
    let mut followed = 0;
    loop {
        match cluster.req_packed_command(command).await {
            Err(error) if followed < REDIRECTS && error.kind() == ErrorKind::Server(ServerErrorKind::Moved) => {
                followed += 1;
            }
            Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::Ask) => {
                return asking(cluster, command, error).await;
            }
            outcome => return outcome,
        }
    }
}

/// While a slot moves, its keys are on either of two nodes; the one that is asked first names the other.
async fn asking(cluster: &mut ClusterConnection, command: &Cmd, error: redis::RedisError) -> redis::RedisResult<Value> {
    let node = error.redirect_node().and_then(|(node, _)| node.rsplit_once(':'));
    let Some((host, port)) = node.and_then(|(host, port)| Some((host.to_owned(), port.parse().ok()?))) else {
        return Err(error);
    };
    let mut pipeline = redis::pipe();
    pipeline.cmd("ASKING").ignore().add_command(command.clone());
    let route = SingleNodeRoutingInfo::ByAddress { host, port };
    cluster.route_pipeline(pipeline, 1, 1, route).await?.pop().ok_or(error)?.extract_error()
}

impl fmt::Debug for RedisConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.link {
            Link::Server(_) => "server",
            Link::Cluster(_) => "cluster",
        };
        f.debug_struct("RedisConnection")
            .field("kind", &kind)
            .field("broken", &self.is_broken())
            .finish_non_exhaustive()
    }
}
