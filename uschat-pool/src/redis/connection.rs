//! One type for a connection to one server and for all connections to a cluster.

use std::{
    fmt,
    ops::{Deref, DerefMut},
    sync::Arc,
    time::Duration,
};

use redis::{
    Arg, Cmd, ErrorKind, Pipeline, RedisFuture, RedisResult, Value,
    aio::{ConnectionLike, MultiplexedConnection},
    cluster_async::ClusterConnection,
};

use super::{
    RedisError,
    cluster::following,
    effect::Effect,
    error::explain,
    health::{Health, Pending},
};

/// A multiplexed connection to one Redis server, or to every node of a cluster. Clones are the same connection, and may be
/// used at the same time.
///
/// Every command is answered or fails within [`RedisConfig::command_deadline`](super::RedisConfig::command_deadline), or
/// that of [`within`](Self::within); one that lets the server wait (`BLPOP key 30`) has the time that it names on top of
/// that, and one that would wait for ever has nothing on top. None is sent twice, except that a cluster's answer "not here"
/// (`MOVED`, `ASK`) is followed.
///
/// A command that does not fit the connection fails without being sent, see [there](super#dedicated-connections).
///
/// Cancel safe in that a dropped call leaves the connection usable; its command may or may not have happened.
#[derive(Clone)]
pub struct RedisConnection {
    link: Link,
    health: Arc<Health>,
    purpose: Purpose,
    /// Of the commands that are sent through this clone.
    deadline: Duration,
}

#[derive(Clone)]
enum Link {
    Server(MultiplexedConnection),
    Cluster(ClusterConnection),
}

/// Who uses a connection at one time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    Shared,
    Dedicated,
}

impl RedisConnection {
    /// `driver` is what the driver crate wants to be run for this connection; it ends when the connection has ended.
    pub(super) fn server(
        connection: MultiplexedConnection,
        driver: impl Future<Output = ()> + Send + 'static,
        purpose: Purpose,
        deadline: Duration,
    ) -> Self {
        Self { link: Link::Server(connection), health: Arc::new(Health::of_server(driver)), purpose, deadline }
    }

    pub(super) fn cluster(connection: ClusterConnection, deadline: Duration) -> Self {
        let health = Arc::new(Health::of_cluster());
        Self { link: Link::Cluster(connection), health, purpose: Purpose::Shared, deadline }
    }

    /// Gives the commands that are sent through the returned value another deadline: for a script that takes long, say. On a
    /// cluster's connection it changes nothing.
    ///
    /// ```no_run
    /// # async fn example(mut lease: uschat_pool::Lease<uschat_pool::redis::RedisManager>) -> Result<(), Box<dyn std::error::Error>> {
    /// use std::time::Duration;
    /// use uschat_pool::redis::redis::cmd;
    ///
    /// let minute = Duration::from_secs(60);
    /// cmd("FLUSHDB").exec_async(&mut *lease.within(minute)).await?;
    /// # Ok(()) }
    /// ```
    pub fn within(&mut self, deadline: Duration) -> Within<'_> {
        let usual = std::mem::replace(&mut self.deadline, deadline);
        Within { connection: self, usual }
    }

    pub(super) fn is_broken(&self) -> bool {
        self.health.is_broken()
    }

    pub(super) fn is_dirty(&self) -> bool {
        self.health.is_dirty()
    }

    /// Gives the connection back the state it began with, by commands that do that. Their answers come behind those that
    /// nobody waited for.
    pub(super) async fn reset(&mut self, commands: &Pipeline) -> Result<(), RedisError> {
        let Link::Server(server) = &mut self.link else {
            return Ok(());
        };
        if self.health.is_beyond_reset() {
            let reason = "what was left in the connection cannot be reset";
            return Err(RedisError::Driver((ErrorKind::Client, reason).into()));
        }
        server.set_response_timeout(self.deadline);
        for answer in server.send_packed_commands(commands, 0, commands.len()).await.map_err(explain)? {
            answer.extract_error().map_err(explain)?;
        }
        self.health.cleaned();
        Ok(())
    }
}

impl ConnectionLike for RedisConnection {
    fn req_packed_command<'a>(&'a mut self, command: &'a Cmd) -> RedisFuture<'a, Value> {
        Box::pin(async move {
            let Self { link, health, purpose, deadline } = self;
            let effect = Effect::of(command);
            admit(effect, *purpose, || Some(command))?;
            let pending = (*purpose == Purpose::Dedicated).then(|| health.send(effect));
            let outcome = match link {
                Link::Server(server) => {
                    server.set_response_timeout(effect.limit(*deadline));
                    server.send_packed_command(command).await
                }
                // Boxed, since it would make the future of every command larger.
                Link::Cluster(cluster) => Box::pin(following(cluster, command)).await,
            };
            // Without waiting for its answer it may still be under way.
            let answered = pending.filter(|_| !command.is_no_response());
            judge(health, answered, &outcome, std::slice::from_ref);
            outcome
        })
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        Box::pin(async move {
            let Self { link, health, purpose, deadline } = self;
            let effect = Effect::of_all(pipeline);
            admit(effect, *purpose, || pipeline.cmd_iter().find(|command| !Effect::of(command).is_plain()))?;
            let pending = (*purpose == Purpose::Dedicated).then(|| health.send(effect));
            let outcome = match link {
                Link::Server(server) => {
                    server.set_response_timeout(effect.limit(*deadline));
                    server.send_packed_commands(pipeline, offset, count).await
                }
                Link::Cluster(cluster) => cluster.req_packed_commands(pipeline, offset, count).await,
            };
            judge(health, pending, &outcome, Vec::as_slice);
            outcome
        })
    }

    fn get_db(&self) -> i64 {
        match &self.link {
            Link::Server(server) => server.get_db(),
            Link::Cluster(cluster) => cluster.get_db(),
        }
    }
}

/// Refuses what does not fit the connection.
fn admit<'a>(effect: Effect, purpose: Purpose, command: impl FnOnce() -> Option<&'a Cmd>) -> RedisResult<()> {
    let reason = if effect.derails {
        "it changes how the server answers, which this driver cannot follow"
    } else if purpose == Purpose::Shared && effect.is_exclusive() {
        "it needs a connection of its own, see RedisManager::dedicated"
    } else {
        return Ok(());
    };
    // Arguments may be secrets.
    let name = match command().and_then(|command| command.args_iter().next()) {
        Some(Arg::Simple(name)) => String::from_utf8_lossy(name).into_owned(),
        _ => String::new(),
    };
    Err((ErrorKind::Client, reason, name).into())
}

/// Notes what the outcome of a command says about its connection.
fn judge<T>(
    health: &Health,
    pending: Option<Pending<'_>>,
    outcome: &RedisResult<T>,
    answers: impl FnOnce(&T) -> &[Value],
) {
    let mut all_went_well = outcome.is_ok();
    match outcome {
        Ok(output) => {
            for answer in answers(output) {
                if let Value::ServerError(error) = answer {
                    all_went_well = false;
                    health.refused(error);
                }
            }
        }
        Err(error) => health.failed(error),
    }
    match pending {
        Some(pending) if all_went_well => pending.done(),
        Some(pending) => pending.refused(),
        None => {}
    }
}

/// A connection whose commands have another deadline, see [`RedisConnection::within`].
pub struct Within<'a> {
    connection: &'a mut RedisConnection,
    usual: Duration,
}

impl Deref for Within<'_> {
    type Target = RedisConnection;

    fn deref(&self) -> &RedisConnection {
        self.connection
    }
}

impl DerefMut for Within<'_> {
    fn deref_mut(&mut self) -> &mut RedisConnection {
        self.connection
    }
}

impl Drop for Within<'_> {
    fn drop(&mut self) {
        self.connection.deadline = self.usual;
    }
}

impl fmt::Debug for Within<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Within").field(&self.connection.deadline).finish()
    }
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
