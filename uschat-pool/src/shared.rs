//! A few long-lived connections that many users share at the same time.

use std::{
    fmt,
    ops::{Deref, DerefMut},
    sync::Arc,
    time::Duration,
};

use tokio::time::timeout;

use self::{core::Core, roster::Member};
use crate::{ConfigError, Manager, PoolError, SharedConfig, SharedSnapshot, observe::Closed};

mod core;
mod roster;
mod upkeep;
mod waiters;

/// Hands out clones of connections that multiplex: gRPC channels, pipelined Redis connections.
///
/// A caller gets the connection that has the fewest handles in use, and waits only if none is live. Connections are made
/// one after another in the background: the first when somebody needs it, one more, up to [`SharedConfig::size`], when the
/// least loaded one is in use already, and one for each that was lost. They stay.
///
/// A connection is replaced when its manager or a [user](Handle::broken) says that it is broken, or when nothing has come
/// back from it for a while and it does not pass a verification, see [`SharedConfig::stall_after`]. Handles of it stay with
/// their users.
///
/// While the peer cannot be connected to, calls use the connections that are left; if there are none they fail at once,
/// except for one after each pause, which tries again. Clones are the same set of connections.
pub struct Shared<M: Manager> {
    inner: Arc<Inner<M>>,
}

/// What all clones of a set share. Handles do not hold it, so that it ends with the last clone.
struct Inner<M: Manager> {
    core: Arc<Core<M>>,
}

impl<M: Manager<Connection: Clone + Sync>> Shared<M> {
    /// Builds the set without connecting. `name` says in logs and snapshots whose it is.
    ///
    /// # Errors
    /// Names the value of `config` that is out of range.
    pub fn new(name: impl Into<Box<str>>, manager: M, config: SharedConfig) -> Result<Self, ConfigError> {
        config.validate()?;
        let core = Arc::new(Core::new(name.into(), manager, config));
        Ok(Self { inner: Arc::new(Inner { core }) })
    }

    /// Hands out a clone of the least loaded connection.
    ///
    /// Returns at once if any connection is live. If none is, the first caller orders a connect, and the others wait for
    /// its outcome. Takes at most [`wait`](SharedConfig::wait) and one [`create`](SharedConfig::create).
    ///
    /// Cancel safe: a connect goes on when the caller that ordered it gives up, and serves the next.
    ///
    /// # Errors
    /// Names the step that failed, see [`PoolError`]; only if no connection is live.
    ///
    /// # Panics
    /// If no connection is live and the caller is not on a tokio runtime with its timer enabled.
    pub async fn handle(&self) -> Result<Handle<M>, PoolError<M::Error>> {
        match self.inner.core.pick() {
            Some(handle) => Ok(handle),
            // Boxed, so that the future of the usual case is small enough to cost nothing.
            None => Box::pin(self.inner.core.wait()).await.inspect_err(|error| self.inner.core.meters.refused(error)),
        }
    }

    /// Closes the set: its connections are dropped as soon as the handles in use are, and every waiting
    /// or later caller gets [`PoolError::Closed`].
    pub fn close(&self) {
        self.inner.core.close();
    }

    /// Closes the set and waits until the last handle was dropped, for at most `within`. Returns how many were not.
    ///
    /// Cancel safe; the set stays closed.
    ///
    /// # Panics
    /// If handles are out and the caller is not on a tokio runtime with its timer enabled.
    pub async fn drain(&self, within: Duration) -> usize {
        self.close();
        let core = &self.inner.core;
        if core.roster().handles() > 0 {
            // Whether it came in time shows in the count.
            let _ = timeout(within, core.no_handles()).await;
        }
        core.roster().handles()
    }

    pub(crate) fn manager(&self) -> &M {
        &self.inner.core.manager
    }

    /// Counts at this moment, for health pages and logs.
    #[must_use]
    pub fn snapshot(&self) -> SharedSnapshot {
        let core = &self.inner.core;
        let (live, in_flight) = core.counts();
        let snapshot = SharedSnapshot {
            name: core.name.clone(),
            size: core.config.size,
            live,
            in_flight,
            waiting: core.waiters.count(),
            connected_total: core.meters.connected_total(),
            closed_total: core.meters.closed_total(),
            breaker: core.breaker.shown(),
        };
        let SharedSnapshot { size, live, in_flight, waiting, .. } = snapshot;
        core.meters.counts(size, [live, in_flight, waiting]);
        snapshot
    }
}

/// The last clone is gone.
impl<M: Manager> Drop for Inner<M> {
    fn drop(&mut self) {
        self.core.close();
    }
}

impl<M: Manager> Clone for Shared<M> {
    fn clone(&self) -> Self {
        Self { inner: Arc::clone(&self.inner) }
    }
}

impl<M: Manager<Connection: Clone + Sync>> fmt::Debug for Shared<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Shared").field(&self.snapshot()).finish()
    }
}

/// A clone of a shared connection. Keep it for one call or one stream: while it lives, its connection
/// counts as busier by one, and when it is dropped, that counts as a sign of life.
pub struct Handle<M: Manager> {
    connection: M::Connection,
    member: Arc<Member<M>>,
    /// Its call is under way: if it is dropped now, nothing came back.
    unanswered: bool,
}

impl<M: Manager> Handle<M> {
    fn new(connection: M::Connection, member: Arc<Member<M>>) -> Self {
        Self { connection, member, unanswered: false }
    }

    pub(crate) fn set_unanswered(&mut self, unanswered: bool) {
        self.unanswered = unanswered;
    }
}

impl<M: Manager<Connection: Clone + Sync>> Handle<M> {
    /// Reports that the connection no longer works, or does not answer. It is replaced at once, as far as the peer can be
    /// connected to; handles of the same connection stay as they are, and a report about a connection that was replaced
    /// already changes nothing.
    pub fn broken(self) {
        if let Some((set, number)) = self.member.place() {
            set.replace(number, Closed::Broken);
        }
    }
}

impl<M: Manager> Drop for Handle<M> {
    fn drop(&mut self) {
        if !self.unanswered {
            self.member.note_return();
        }
    }
}

impl<M: Manager> Deref for Handle<M> {
    type Target = M::Connection;

    fn deref(&self) -> &M::Connection {
        &self.connection
    }
}

impl<M: Manager> DerefMut for Handle<M> {
    fn deref_mut(&mut self) -> &mut M::Connection {
        &mut self.connection
    }
}

/// Without the connection, which may hold a secret.
impl<M: Manager> fmt::Debug for Handle<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").finish_non_exhaustive()
    }
}
