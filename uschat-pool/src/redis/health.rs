//! What is known about a connection without asking the server.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU8, Ordering},
    },
    time::Duration,
};

use redis::{ErrorKind, RedisError as DriverError, ServerError, ServerErrorKind};
use tokio::{task::AbortHandle, time::Instant};

use super::effect::{BEYOND_RESET, Effect};

/// A command was given up before it was answered.
const UNANSWERED: u8 = 1 << 6;
/// The server waits for something to happen before it answers, and what comes behind waits, too.
const WAITING: u8 = 1 << 7;

/// A cluster's connection finds nodes that moved by itself. One that cannot is replaced, but no more often than this: while
/// a node is down, commands to the others need a connection, too.
const CLUSTER_REST: Duration = Duration::from_secs(5);

/// Shared by all clones of a connection.
pub(super) struct Health {
    broken: Arc<AtomicBool>,
    /// Of a dedicated connection, what its next user must not inherit: marks of [`Effect`] and the two above.
    left: AtomicU8,
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

impl Health {
    /// Runs `driver`, which ends when the connection has ended.
    pub(super) fn of_server(driver: impl Future<Output = ()> + Send + 'static) -> Self {
        let broken = Arc::new(AtomicBool::new(false));
        let ended = Arc::clone(&broken);
        let driver = tokio::spawn(async move {
            driver.await;
            ended.store(true, Ordering::Relaxed);
        });
        Self::new(broken, Some(driver.abort_handle()))
    }

    pub(super) fn of_cluster() -> Self {
        Self::new(Arc::default(), None)
    }

    fn new(broken: Arc<AtomicBool>, driver: Option<AbortHandle>) -> Self {
        Self { broken, left: AtomicU8::new(0), connected_at: Instant::now(), driver }
    }

    pub(super) fn is_broken(&self) -> bool {
        self.broken.load(Ordering::Relaxed)
    }

    /// After a lost connection, and after a command that was not answered in time: on one stream, the next answer would
    /// come behind the missing one.
    pub(super) fn failed(&self, error: &DriverError) {
        let fatal = error.is_io_error() || error.is_unrecoverable_error() || error.kind() == ErrorKind::Parse;
        if fatal && (self.is_server() || self.connected_at.elapsed() >= CLUSTER_REST) {
            self.broken.store(true, Ordering::Relaxed);
        }
        if error.kind() == ErrorKind::Server(ServerErrorKind::ExecAbort)
            && let Some(errors) = error.clone().into_server_errors()
        {
            errors.iter().for_each(|(_, error)| self.refused(error));
        }
    }

    /// After a failover the server is a replica, and a new connection may lead to the one that is not. A cluster's connection
    /// finds it by itself.
    pub(super) fn refused(&self, error: &ServerError) {
        if error.kind() == Some(ServerErrorKind::ReadOnly) && self.is_server() {
            self.broken.store(true, Ordering::Relaxed);
        }
    }

    fn is_server(&self) -> bool {
        self.driver.is_some()
    }

    /// Something is left that the next user must not inherit.
    pub(super) fn is_dirty(&self) -> bool {
        self.left.load(Ordering::Relaxed) != 0
    }

    /// Resetting would leave something behind, or be answered no sooner than the command before it.
    pub(super) fn is_beyond_reset(&self) -> bool {
        self.left.load(Ordering::Relaxed) & (WAITING | BEYOND_RESET) != 0
    }

    pub(super) fn cleaned(&self) {
        self.left.store(0, Ordering::Relaxed);
    }

    /// Before a command is sent.
    pub(super) fn send(&self, effect: Effect) -> Pending<'_> {
        if effect.leaves != 0 {
            self.left.fetch_or(effect.leaves, Ordering::Relaxed);
        }
        let given_up = if effect.waits.is_some() { UNANSWERED | WAITING } else { UNANSWERED };
        Pending { health: self, given_up, ends: effect.ends }
    }
}

/// A command that was sent and is not answered yet. Dropped, it is given up.
pub(super) struct Pending<'a> {
    health: &'a Health,
    given_up: u8,
    ends: u8,
}

impl Pending<'_> {
    /// With an error, or with an answer that is one.
    pub(super) fn refused(mut self) {
        self.given_up = 0;
    }

    pub(super) fn done(mut self) {
        self.given_up = 0;
        if self.ends != 0 {
            self.health.left.fetch_and(!self.ends, Ordering::Relaxed);
        }
    }
}

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        if self.given_up != 0 {
            self.health.left.fetch_or(self.given_up, Ordering::Relaxed);
        }
    }
}
