//! A few long-lived connections that many users share at the same time.

use std::{
    fmt,
    ops::{Deref, DerefMut},
    sync::Arc,
};

use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::{
    ConfigError, FailedStep, Manager, PoolError, SharedConfig,
    slot::{Lent, Look, Slot, User},
    waiters::Waiters,
};

/// Hands out clones of connections that multiplex: gRPC channels, pipelined Redis connections.
///
/// A caller gets the connection that has the fewest handles in use. Connections are made when a call
/// finds none less loaded, up to [`SharedConfig::size`], and stay. One that is broken is replaced by the
/// next caller that meets its place; while connecting fails, that place pauses and calls use the
/// others. Clones are the same set of connections.
pub struct Shared<M: Manager> {
    inner: Arc<Inner<M>>,
}

struct Inner<M: Manager> {
    name: Box<str>,
    manager: M,
    config: SharedConfig,
    slots: Box<[Arc<Slot<M::Connection>>]>,
    waiters: Waiters,
    closed: CancellationToken,
}

impl<M: Manager<Connection: Clone>> Shared<M> {
    /// Builds the set without connecting. `name` says in logs and snapshots whose it is.
    ///
    /// # Errors
    /// Names the value of `config` that is out of range.
    pub fn new(name: impl Into<Box<str>>, manager: M, config: SharedConfig) -> Result<Self, ConfigError> {
        config.validate()?;
        let inner = Inner {
            name: name.into(),
            manager,
            slots: (0..config.size).map(|_| Arc::new(Slot::new())).collect(),
            waiters: Waiters::new(config.max_waiters),
            closed: CancellationToken::new(),
            config,
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Hands out a clone of the least loaded connection.
    ///
    /// Returns at once if that one is live. If its place is empty, this caller connects it (one caller
    /// at a time does), and others use a live connection or, if there is none, wait for the outcome.
    /// Takes at most [`wait`](SharedConfig::wait) and one [`create`](SharedConfig::create).
    ///
    /// Cancel safe: if the caller that connects gives up, one of those waiting connects instead.
    ///
    /// # Errors
    /// Names the step that failed, see [`PoolError`]; only if no other connection is live.
    pub async fn handle(&self) -> Result<Handle<M>, PoolError<M::Error>> {
        if let Some(slot) = self.inner.slots.iter().min_by_key(|slot| slot.load())
            && let Look::Live(lent) = self.inner.look(slot)
        {
            return Ok(Handle { lent });
        }
        match self.inner.closed.run_until_cancelled(self.inner.find_or_connect()).await {
            Some(outcome) => outcome.map(|lent| Handle { lent }),
            None => Err(PoolError::Closed),
        }
    }

    /// Closes the set: its connections are dropped as soon as the handles in use are, and every waiting
    /// or later caller gets [`PoolError::Closed`].
    pub fn close(&self) {
        self.inner.closed.cancel();
        for slot in &self.inner.slots {
            slot.close();
        }
    }

    /// Counts at this moment, for health pages and logs.
    #[must_use]
    pub fn snapshot(&self) -> SharedSnapshot {
        let slots = &self.inner.slots;
        SharedSnapshot {
            name: self.inner.name.clone(),
            size: slots.len(),
            live: slots.iter().filter(|slot| slot.is_live()).count(),
            in_flight: slots.iter().map(|slot| slot.load()).sum(),
            waiting: self.inner.waiters.count(),
        }
    }
}

impl<M: Manager<Connection: Clone>> Inner<M> {
    fn look(&self, slot: &Arc<Slot<M::Connection>>) -> Look<M::Connection> {
        slot.look(|connection| self.manager.is_broken(connection))
    }

    /// Goes through the slots, least loaded first: the first that is live, or empty and nobody's, ends
    /// the search. At most one connect and one wait, whatever the number of slots.
    async fn find_or_connect(&self) -> Result<Lent<M::Connection>, PoolError<M::Error>> {
        let mut by_load: Vec<_> = self.slots.iter().collect();
        by_load.sort_by_cached_key(|slot| slot.load());
        let (mut failed, mut pausing, mut connecting) = (None, None, None);
        for slot in by_load {
            match self.look(slot) {
                Look::Live(lent) => return Ok(lent),
                Look::Closed => return Err(PoolError::Closed),
                Look::Pausing { step, retry_in } => {
                    pausing.get_or_insert(PoolError::BackingOff { step, retry_in });
                }
                Look::Vacant if failed.is_some() => {}
                Look::Vacant => match slot.gate.try_lock() {
                    Ok(_gate) => match self.lend_or_connect(slot, User::new(slot)).await {
                        Ok(lent) => return Ok(lent),
                        Err(error) => failed = Some(error),
                    },
                    Err(_) => {
                        connecting.get_or_insert(slot);
                    }
                },
            }
        }
        match (failed, connecting, pausing) {
            (Some(error), _, _) => Err(error),
            (None, Some(slot), _) => self.wait_for(slot).await,
            (None, None, Some(error)) => Err(error),
            (None, None, None) => Err(PoolError::Closed), // needs a set without slots, which `new` refuses
        }
    }

    /// Waits until the caller that connects `slot` has finished or given up.
    async fn wait_for(&self, slot: &Arc<Slot<M::Connection>>) -> Result<Lent<M::Connection>, PoolError<M::Error>> {
        let user = User::new(slot);
        let waiter = self.waiters.join()?;
        let after = self.config.wait;
        let _gate = timeout(after, slot.gate.lock()).await.map_err(|_| PoolError::Wait { after })?;
        drop(waiter);
        self.lend_or_connect(slot, user).await
    }

    /// For the holder of the gate: what the last holder left, or else a new connection.
    async fn lend_or_connect(
        &self,
        slot: &Arc<Slot<M::Connection>>,
        user: User<M::Connection>,
    ) -> Result<Lent<M::Connection>, PoolError<M::Error>> {
        match self.look(slot) {
            Look::Live(lent) => Ok(lent),
            Look::Closed => Err(PoolError::Closed),
            Look::Pausing { step, retry_in } => Err(PoolError::BackingOff { step, retry_in }),
            Look::Vacant => {
                let connection = self.connect(slot).await?;
                slot.install(connection, user).ok_or(PoolError::Closed)
            }
        }
    }

    async fn connect(&self, slot: &Slot<M::Connection>) -> Result<M::Connection, PoolError<M::Error>> {
        let SharedConfig { create, backoff, max_backoff, .. } = self.config;
        match timeout(create, self.manager.connect()).await {
            Ok(Ok(connection)) => Ok(connection),
            Ok(Err(error)) => {
                // What a peer says may hold line breaks, and a log line is one.
                let error_text = error.to_string().replace(char::is_control, " ");
                warn!(pool = %self.name, error = error_text, "connecting failed");
                slot.fail(FailedStep::Connect, backoff, max_backoff);
                Err(PoolError::Connect(error))
            }
            Err(_) => {
                warn!(pool = %self.name, after = ?create, "connecting took too long");
                slot.fail(FailedStep::ConnectTimeout, backoff, max_backoff);
                Err(PoolError::ConnectTimeout { after: create })
            }
        }
    }
}

impl<M: Manager> Clone for Shared<M> {
    fn clone(&self) -> Self {
        Self { inner: Arc::clone(&self.inner) }
    }
}

impl<M: Manager<Connection: Clone>> fmt::Debug for Shared<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Shared").field(&self.snapshot()).finish()
    }
}

/// A clone of a shared connection. Keep it for one call or one stream: while it lives, its connection
/// counts as busier by one.
pub struct Handle<M: Manager> {
    lent: Lent<M::Connection>,
}

impl<M: Manager> Handle<M> {
    /// Reports that the connection no longer works. The next caller that meets its place replaces it;
    /// handles of the same connection stay as they are, and a report about a connection that was
    /// replaced already changes nothing.
    pub fn broken(self) {
        self.lent.user.0.remove(self.lent.generation);
    }
}

impl<M: Manager> Deref for Handle<M> {
    type Target = M::Connection;

    fn deref(&self) -> &M::Connection {
        &self.lent.connection
    }
}

impl<M: Manager> DerefMut for Handle<M> {
    fn deref_mut(&mut self) -> &mut M::Connection {
        &mut self.lent.connection
    }
}

/// Without the connection, which may hold a secret.
impl<M: Manager> fmt::Debug for Handle<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").finish_non_exhaustive()
    }
}

/// What a [`Shared`] holds at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SharedSnapshot {
    /// The set's name.
    pub name: Box<str>,
    /// Most connections it makes.
    pub size: usize,
    /// Connections that exist and were not reported broken.
    pub live: usize,
    /// Handles in use, and callers that connect or wait for a connect.
    pub in_flight: usize,
    /// Callers that wait for a connect another caller makes.
    pub waiting: usize,
}
