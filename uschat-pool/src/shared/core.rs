//! What a set, its handles and its upkeep share, and how a caller gets a connection from it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::{
    sync::{Notify, futures::Notified, oneshot},
    time::{Instant, timeout, timeout_at},
};

use super::{
    Handle,
    roster::{Order, Roster},
    upkeep::Upkeep,
    waiters::Waiters,
};
use crate::{
    Manager, PoolError, SharedConfig,
    breaker::Breaker,
    observe::{Closed, Meters, Outcome, Step},
};

pub(super) struct Core<M: Manager> {
    pub(super) name: Box<str>,
    pub(super) manager: M,
    pub(super) config: SharedConfig,
    pub(super) breaker: Breaker,
    pub(super) meters: Meters,
    pub(super) waiters: Waiters,
    pub(super) upkeep: Upkeep,
    /// Wakes upkeep.
    pub(super) changed: Notify,
    /// Wakes the callers that wait for a connect somebody else ordered.
    connect_ended: Notify,
    /// Wakes whoever drains the set, each time a connection that was replaced has lost its last handle.
    pub(super) emptied: Notify,
    roster: Mutex<Roster<M>>,
}

/// What a caller does that finds no live connection.
enum Turn<'a, M: Manager> {
    /// One has come in between.
    Look,
    /// Waits for the connect that it ordered.
    Ordered(oneshot::Receiver<Result<Handle<M>, PoolError<M::Error>>>),
    /// Waits for the end of a connect that was ordered before.
    Wait(Notified<'a>),
}

impl<M: Manager> Core<M> {
    pub(super) fn new(name: Box<str>, manager: M, config: SharedConfig) -> Self {
        let meters = Meters::of_shared(&name);
        Self {
            name,
            manager,
            breaker: Breaker::new(config.backoff, config.max_backoff, config.create, meters.breaker()),
            meters,
            waiters: Waiters::new(config.max_waiters),
            upkeep: Upkeep::new(),
            changed: Notify::new(),
            connect_ended: Notify::new(),
            emptied: Notify::new(),
            roster: Mutex::new(Roster::new(config.size, config.stall_after.is_zero())),
            config,
        }
    }

    pub(super) fn roster(&self) -> MutexGuard<'_, Roster<M>> {
        self.roster.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn close(&self) {
        let (members, order) = self.roster().close();
        members.iter().for_each(|_| self.meters.closed(Closed::Shutdown));
        // Dropped only here, where the lock is free: a connection's drop is foreign code.
        drop((members, order));
        self.connect_ended.notify_waiters();
        self.changed.notify_one();
    }

    /// Waits until no handle is in use; of a set that is closed.
    pub(super) async fn no_handles(&self) {
        loop {
            let emptied = self.emptied.notified();
            if self.roster().handles() == 0 {
                return;
            }
            emptied.await;
        }
    }

    /// Live connections, and handles in use with the callers that wait for one.
    pub(super) fn counts(&self) -> (usize, usize) {
        let roster = self.roster();
        let ordering = roster.order.as_ref().and_then(|order| order.caller.as_ref());
        let waiting = self.waiters.count() + usize::from(ordering.is_some_and(|caller| !caller.is_closed()));
        (roster.live(), roster.handles() + waiting)
    }
}

impl<M: Manager<Connection: Clone + Sync>> Core<M> {
    /// The least loaded live connection.
    pub(super) fn pick(self: &Arc<Self>) -> Option<Handle<M>> {
        loop {
            let mut roster = self.roster();
            let at = roster.least_loaded()?;
            if self.manager.is_broken(roster.connection(at)) {
                let broken = roster.take(at);
                drop(roster);
                self.meters.closed(Closed::Broken);
                drop(broken);
                self.wake_upkeep();
                continue;
            }
            let (member, news) = roster.lend(at);
            drop(roster);
            if news {
                self.wake_upkeep();
            }
            return Some(member.handle());
        }
    }

    /// A connection that somebody makes.
    ///
    /// # Panics
    /// Outside of a runtime.
    pub(super) async fn wait(self: &Arc<Self>) -> Result<Handle<M>, PoolError<M::Error>> {
        tokio::runtime::Handle::current();
        let start = Instant::now();
        loop {
            if let Some(handle) = self.pick() {
                return Ok(handle);
            }
            match self.turn()? {
                Turn::Look => {}
                Turn::Ordered(outcome) => {
                    self.wake_upkeep();
                    let after = self.config.create;
                    match timeout(after, outcome).await {
                        Ok(Ok(outcome)) => return outcome,
                        // The set was closed, the runtime of upkeep has ended, or the manager has panicked.
                        Ok(Err(_)) => {}
                        Err(_) => return Err(PoolError::ConnectTimeout { after }),
                    }
                }
                Turn::Wait(ended) => {
                    let _waiter = self.waiters.join()?;
                    let after = self.config.wait;
                    let in_time = timeout_at(start + after, ended).await.is_ok();
                    let outcome = if in_time { Outcome::Ok } else { Outcome::Timeout };
                    self.meters.record(Step::Wait, outcome, start.elapsed());
                    if !in_time {
                        return Err(PoolError::Wait { after });
                    }
                }
            }
        }
    }

    fn turn(&self) -> Result<Turn<'_, M>, PoolError<M::Error>> {
        let mut roster = self.roster();
        if roster.closed {
            return Err(PoolError::Closed);
        }
        if roster.live() > 0 {
            return Ok(Turn::Look);
        }
        if roster.order.is_some() {
            return self.breaker.refusal().map_or_else(|| Ok(Turn::Wait(self.connect_ended.notified())), Err);
        }
        self.breaker.admit()?;
        let (caller, outcome) = oneshot::channel();
        roster.order = Some(Order { caller: Some(caller), started: false });
        Ok(Turn::Ordered(outcome))
    }

    /// Replaces a connection that is of no use any more. Says if it was there.
    pub(super) fn replace(self: &Arc<Self>, number: u64, why: Closed) -> bool {
        let removed = self.roster().remove(number);
        let was_there = removed.is_some();
        drop(removed);
        if was_there {
            self.meters.closed(why);
            self.wake_upkeep();
        }
        was_there
    }

    /// The connect that was under way has ended; with `None` nobody knows how.
    pub(super) fn connected(self: &Arc<Self>, outcome: Option<Result<M::Connection, PoolError<M::Error>>>) {
        let mut roster = self.roster();
        let caller = roster.order.take().and_then(|order| order.caller);
        let (answer, unused) = match outcome {
            Some(Ok(connection)) if roster.closed => (None, Some(connection)),
            Some(Ok(connection)) => (roster.add(connection, self, caller.is_some()).map(Ok), None),
            Some(Err(error)) => (Some(Err(error)), None),
            None => (None, None),
        };
        drop(roster);
        if unused.is_some() {
            self.meters.closed(Closed::Shutdown);
        }
        drop(unused);
        if let (Some(caller), Some(answer)) = (caller, answer) {
            // Whoever gave up leaves the connection to those to come.
            let _ = caller.send(answer);
        }
        self.connect_ended.notify_waiters();
    }
}
