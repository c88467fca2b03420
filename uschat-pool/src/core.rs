//! What a pool, its leases and its upkeep share, and the manager that deadpool sees.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use deadpool::managed::{Metrics, Object, RecycleResult, WeakPool};
use tokio::{
    runtime::Handle,
    sync::oneshot,
    time::{Instant, timeout},
};
use tracing::{Instrument, debug, debug_span};

use crate::{
    Manager, PoolConfig, PoolError,
    attempt::attempt,
    breaker::Breaker,
    gate::Gate,
    jitter,
    lease::{Fresh, Turn},
    observe::{Closed, Meters, Outcome, Step},
    upkeep::{Request, Upkeep},
};

pub(crate) struct Core<M: Manager> {
    pub(crate) name: Box<str>,
    pub(crate) manager: M,
    pub(crate) config: PoolConfig,
    pub(crate) gate: Gate<Boxed<M>, Turn<M>>,
    pub(crate) breaker: Breaker,
    pub(crate) meters: Meters,
    pub(crate) upkeep: Upkeep<M>,
    /// Makes the connections and bounds their number. Weak: it knows us through its manager.
    pub(crate) managed: OnceLock<WeakPool<Adapter<M>>>,
    pub(crate) resizing: Mutex<()>,
    /// When a peer last failed to answer a verification.
    silent_at: Mutex<Option<Instant>>,
}

impl<M: Manager> Core<M> {
    pub(crate) fn new(name: Box<str>, manager: M, config: PoolConfig) -> Self {
        let meters = Meters::of_pool(&name);
        Self {
            gate: Gate::new(config.size, config.min_idle, config.wait, meters.waits()),
            breaker: Breaker::new(config.backoff, config.max_backoff, config.create, meters.breaker()),
            meters,
            upkeep: Upkeep::new(),
            managed: OnceLock::new(),
            resizing: Mutex::new(()),
            silent_at: Mutex::new(None),
            name,
            manager,
            config,
        }
    }

    /// Has upkeep look at the queue's time and at how many connections rest.
    ///
    /// # Panics
    /// Outside of a runtime, if upkeep does not run.
    pub(crate) fn wake_upkeep(self: &Arc<Self>) {
        match self.upkeep.requests(self) {
            // A full channel wakes upkeep, too.
            Some(requests) => drop(requests.try_send(Request::Look)),
            None => drop(Handle::current()),
        }
    }

    /// A new connection, made by upkeep so that it is not lost when the caller gives up.
    ///
    /// # Panics
    /// Outside of a runtime.
    pub(crate) async fn connect(self: &Arc<Self>) -> Result<Fresh<M>, PoolError<M::Error>> {
        let after = self.config.create;
        let outcome = match self.breaker.admit() {
            Ok(_) => timeout(after, self.order()).await.unwrap_or(Err(PoolError::ConnectTimeout { after })),
            Err(refusal) => Err(refusal),
        };
        outcome.inspect_err(|error| self.meters.refused(error))
    }

    async fn order(self: &Arc<Self>) -> Result<Fresh<M>, PoolError<M::Error>> {
        loop {
            let Some(requests) = self.upkeep.requests(self) else {
                return Err(PoolError::Closed);
            };
            let (caller, outcome) = oneshot::channel();
            if requests.send(Request::Connect(caller)).await.is_ok()
                && let Ok(outcome) = outcome.await
            {
                return outcome;
            }
            // Closed, or upkeep ended with its runtime; then it starts again on this one.
            if self.gate.is_closed() {
                return Err(PoolError::Closed);
            }
            self.breaker.admit()?;
        }
    }

    /// Whether a connection that has rested may be lent; if not, why.
    pub(crate) async fn check(&self, pooled: &mut Pooled<M>) -> Result<(), Closed> {
        let now = Instant::now();
        let verdict = match self.unfit(pooled, now) {
            Some(why) => Err(why),
            None if now.duration_since(pooled.rests_since) < self.config.verify_after => Ok(()),
            None => self.verify(pooled).await.then_some(()).ok_or(Closed::Unverified),
        };
        verdict.inspect_err(|why| debug!(pool = %self.name, reason = why.label(), "replacing an idle connection"))
    }

    /// Why the connection is of no use, as far as one can tell without asking the peer.
    fn unfit(&self, pooled: &Pooled<M>, now: Instant) -> Option<Closed> {
        if pooled.is_over(now) {
            Some(Closed::Lifetime)
        } else {
            self.manager.is_broken(&pooled.connection).then_some(Closed::Broken)
        }
    }

    async fn verify(&self, pooled: &mut Pooled<M>) -> bool {
        // One silent peer would otherwise cost a caller one deadline for each idle connection.
        if self.silent_at().is_some_and(|silent_at| pooled.rests_since <= silent_at) {
            debug!(pool = %self.name, "an idle connection has rested since before the peer fell silent");
            return false;
        }
        let start = Instant::now();
        let verify = self.manager.verify(&mut pooled.connection).instrument(debug_span!("verify", pool = &*self.name));
        let outcome = timeout(self.config.recycle, verify).await;
        self.meters.record(Step::Verify, Outcome::of(&outcome), start.elapsed());
        match outcome {
            Ok(Ok(())) => true,
            Ok(Err(error)) => {
                debug!(pool = %self.name, %error, "an idle connection failed its verification");
                false
            }
            Err(_) => {
                debug!(pool = %self.name, "verifying an idle connection took too long");
                *self.silent_at.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
                false
            }
        }
    }

    /// Cleans a dirty connection within the recycle deadline. False: it must not be lent again.
    pub(crate) async fn clean(&self, connection: &mut M::Connection) -> bool {
        let start = Instant::now();
        let clean = self.manager.clean(connection).instrument(debug_span!("clean", pool = &*self.name));
        let outcome = timeout(self.config.recycle, clean).await;
        self.meters.record(Step::Clean, Outcome::of(&outcome), start.elapsed());
        match outcome {
            Ok(Ok(())) => !self.manager.is_dirty(connection),
            Ok(Err(error)) => {
                debug!(pool = %self.name, %error, "a dirty connection could not be cleaned");
                false
            }
            Err(_) => {
                debug!(pool = %self.name, "cleaning a dirty connection took too long");
                false
            }
        }
    }

    /// Takes out idle connections that are of no use any more.
    pub(crate) fn sweep(&self) {
        let now = Instant::now();
        let unfit = |object: &Boxed<M>| self.unfit(object, now);
        let idle = |object: &Boxed<M>| now.duration_since(object.rests_since) >= self.config.max_idle;
        for (object, why) in self.gate.sweep(unfit, idle) {
            self.close(object, why);
        }
    }

    /// Drops a connection that has no place any more.
    #[allow(clippy::boxed_local, reason = "it is in its box wherever it comes from")]
    pub(crate) fn close(&self, object: Boxed<M>, why: Closed) {
        // First, for the drop is foreign code.
        self.meters.closed(why);
        drop(Object::take(*object));
    }

    fn silent_at(&self) -> Option<Instant> {
        *self.silent_at.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection on its way through the pool. A box, for it goes from hand to hand.
pub(crate) type Boxed<M> = Box<Object<Adapter<M>>>;

/// A connection with what the pool remembers about it.
pub(crate) struct Pooled<M: Manager> {
    pub(crate) connection: M::Connection,
    pub(crate) rests_since: Instant,
    /// Nobody knows what its peer thinks of it. It must not be lent again.
    pub(crate) is_unsure: bool,
    connected_at: Instant,
    lifetime: std::time::Duration,
}

impl<M: Manager> Pooled<M> {
    /// Its lifetime is over.
    pub(crate) fn is_over(&self, now: Instant) -> bool {
        now.duration_since(self.connected_at) >= self.lifetime
    }
}

pub(crate) struct Adapter<M: Manager>(pub(crate) Arc<Core<M>>);

impl<M: Manager> deadpool::managed::Manager for Adapter<M> {
    type Type = Pooled<M>;
    type Error = PoolError<M::Error>;

    async fn create(&self) -> Result<Pooled<M>, Self::Error> {
        let Core { name, manager, config, breaker, meters, .. } = &*self.0;
        let connection = attempt(name, manager, config.create, breaker, meters).await?;
        let now = Instant::now();
        let lifetime = jitter::at_least_percent(90, config.max_lifetime);
        Ok(Pooled { connection, rests_since: now, is_unsure: false, connected_at: now, lifetime })
    }

    /// Idle connections rest at the gate and are checked there, so none comes here.
    async fn recycle(&self, _: &mut Pooled<M>, _: &Metrics) -> RecycleResult<Self::Error> {
        Ok(())
    }
}
