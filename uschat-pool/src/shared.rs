//! A few long-lived connections that many users share at the same time.

use std::{
    fmt,
    ops::{Deref, DerefMut},
    sync::Arc,
};

use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::{
    ConfigError, Manager, PoolError, SharedConfig, SharedSnapshot,
    attempt::attempt,
    breaker::{Admission, Breaker},
    observe::{Meters, Outcome, Step},
    slot::{Lent, Look, Slot, User},
    waiters::Waiters,
};

/// Hands out clones of connections that multiplex: gRPC channels, pipelined Redis connections.
///
/// A caller gets the connection that has the fewest handles in use. Connections are made when a call
/// finds none less loaded, up to [`SharedConfig::size`], and stay. One that is broken is replaced by the
/// next caller that meets its place. While the peer cannot be connected to, calls use the connections that are left;
/// if there are none they fail at once, except for one after each pause, which tries again. Clones are the same set
/// of connections.
pub struct Shared<M: Manager> {
    inner: Arc<Inner<M>>,
}

struct Inner<M: Manager> {
    name: Box<str>,
    manager: M,
    config: SharedConfig,
    slots: Box<[Arc<Slot<M::Connection>>]>,
    waiters: Waiters,
    breaker: Breaker,
    meters: Arc<Meters>,
    closed: CancellationToken,
}

impl<M: Manager<Connection: Clone>> Shared<M> {
    /// Builds the set without connecting. `name` says in logs and snapshots whose it is.
    ///
    /// # Errors
    /// Names the value of `config` that is out of range.
    pub fn new(name: impl Into<Box<str>>, manager: M, config: SharedConfig) -> Result<Self, ConfigError> {
        config.validate()?;
        let name = name.into();
        let meters = Arc::new(Meters::of_shared(&name));
        let inner = Inner {
            name,
            manager,
            slots: (0..config.size).map(|_| Arc::new(Slot::new(Arc::clone(&meters)))).collect(),
            waiters: Waiters::new(config.max_waiters),
            breaker: Breaker::new(config.backoff, config.max_backoff, config.create, meters.breaker()),
            meters,
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
            Some(Ok(lent)) => Ok(Handle { lent }),
            Some(Err(error)) => {
                self.inner.meters.refused(&error);
                Err(error)
            }
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

    pub(crate) fn manager(&self) -> &M {
        &self.inner.manager
    }

    /// Counts at this moment, for health pages and logs.
    #[must_use]
    pub fn snapshot(&self) -> SharedSnapshot {
        let Inner { name, slots, waiters, breaker, meters, .. } = &*self.inner;
        let snapshot = SharedSnapshot {
            name: name.clone(),
            size: slots.len(),
            live: slots.iter().filter(|slot| slot.is_live()).count(),
            in_flight: slots.iter().map(|slot| slot.load()).sum(),
            waiting: waiters.count(),
            connected_total: meters.connected_total(),
            closed_total: meters.closed_total(),
            breaker: breaker.shown(),
        };
        meters.counts(snapshot.size, [snapshot.live, snapshot.in_flight, snapshot.waiting]);
        snapshot
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
        let (mut failed, mut connecting) = (None, None);
        for slot in by_load {
            match self.look(slot) {
                Look::Live(lent) => return Ok(lent),
                Look::Closed => return Err(PoolError::Closed),
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
        match (failed, connecting) {
            (Some(error), _) => Err(error),
            (None, Some(slot)) => match self.breaker.refusal() {
                Some(refusal) => Err(refusal),
                None => self.wait_for(slot).await,
            },
            (None, None) => Err(PoolError::Closed), // needs a set without slots, which `new` refuses
        }
    }

    /// Waits until the caller that connects `slot` has finished or given up.
    async fn wait_for(&self, slot: &Arc<Slot<M::Connection>>) -> Result<Lent<M::Connection>, PoolError<M::Error>> {
        let user = User::new(slot);
        let waiter = self.waiters.join()?;
        let after = self.config.wait;
        let start = Instant::now();
        let gate = timeout(after, slot.gate.lock()).await;
        self.meters.record(Step::Wait, if gate.is_ok() { Outcome::Ok } else { Outcome::Timeout }, start.elapsed());
        let _gate = gate.map_err(|_| PoolError::Wait { after })?;
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
            Look::Vacant => {
                let connection = self.connect().await?;
                slot.install(connection, user).ok_or(PoolError::Closed)
            }
        }
    }

    async fn connect(&self) -> Result<M::Connection, PoolError<M::Error>> {
        let _probe = (self.breaker.admit()? == Admission::Probe).then(|| Probe(&self.breaker));
        let outcome = attempt(&self.name, &self.manager, self.config.create, &self.breaker, &self.meters).await;
        if let Err(error) = &outcome {
            // Most callers meanwhile use another connection, or are told no more than that a pause is on. What a peer says may
            // hold line breaks, and a log line is one.
            let cause = match error {
                PoolError::Connect(cause) => cause.to_string(),
                other => other.to_string(),
            };
            warn!(pool = %self.name, error = cause.replace(char::is_control, " "), "connecting failed");
        }
        outcome
    }
}

/// A caller that gives up half-way leaves the probe to the next.
struct Probe<'a>(&'a Breaker);

impl Drop for Probe<'_> {
    fn drop(&mut self) {
        // Without effect after an outcome.
        self.0.give_up();
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
