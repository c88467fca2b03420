//! A pool that lends each connection to one user at a time.

use std::{
    fmt,
    sync::{Arc, PoisonError},
    time::Duration,
};

use deadpool::managed;
use tokio::{
    runtime::Handle,
    time::{Instant, timeout},
};

use crate::{
    ConfigError, Lease, Manager, PoolConfig, PoolError, Snapshot, config,
    core::{Adapter, Boxed, Core},
    gate::{Entry, Gate, Queued},
    lease::{Entered, Turn, hand_place},
    observe::{Closed, Outcome, Step},
};

/// Lends connections that one user needs for itself: SQL, transactions, blocking commands.
///
/// Connections are made when they are needed, up to [`PoolConfig::size`]; the one given back last is
/// lent first. When all are lent, callers wait in the order in which they came. Clones are the same
/// pool; dropping the last one drops the idle connections.
pub struct Pool<M: Manager> {
    inner: Arc<Inner<M>>,
}

/// What all clones of a pool share. Leases do not hold it, so that it ends with the last clone.
struct Inner<M: Manager> {
    core: Arc<Core<M>>,
    managed: managed::Pool<Adapter<M>>,
}

impl<M: Manager> Pool<M> {
    /// Builds a pool without connecting. `name` says in logs, metrics and snapshots whose pool it is.
    ///
    /// # Errors
    /// Names the value of `config` that is out of range.
    pub fn new(name: impl Into<Box<str>>, manager: M, config: PoolConfig) -> Result<Self, ConfigError> {
        config.validate()?;
        let size = config.size;
        let core = Arc::new(Core::new(name.into(), manager, config));
        let managed = managed::Pool::builder(Adapter(Arc::clone(&core)))
            .max_size(size)
            .build()
            .expect("deadpool refuses only time-outs without a runtime, and there is one");
        // It was empty until now.
        let _ = core.managed.set(managed.weak());
        if Handle::try_current().is_ok() {
            core.wake_upkeep();
        }
        Ok(Self { inner: Arc::new(Inner { core, managed }) })
    }

    /// Lends a connection: an idle one, else a new one, else the next one that is given back.
    ///
    /// Takes at most [`wait`](PoolConfig::wait), then one [`recycle`](PoolConfig::recycle) for each
    /// connection that fails its verification at once (only one if the peer is silent), then one
    /// [`create`](PoolConfig::create).
    ///
    /// Cancel safe: a caller that gives up leaves the queue or its place. A connection that was being verified for it
    /// is dropped; one that was being made is made all the same, and the next caller gets it.
    ///
    /// # Errors
    /// Names the step that failed, see [`PoolError`].
    ///
    /// # Panics
    /// If the caller has to wait or connect and is not on a tokio runtime with its timer enabled.
    pub async fn get(&self) -> Result<Lease<M>, PoolError<M::Error>> {
        let core = &self.inner.core;
        // Whoever may not wait must look, too.
        let full = core.gate.is_crowded() && !core.config.wait.is_zero();
        let (mut place, mut rested) = match if full { Entry::Full } else { core.gate.enter() } {
            Entry::Entered { rested, few } => entered(core, rested, few),
            Entry::Full => match wait(core).await? {
                Waited::Lease(lease) => return Ok(lease),
                Waited::Entered(place, rested) => (place, rested),
            },
            Entry::Closed => return Err(PoolError::Closed),
        };
        while let Some(object) = rested {
            place = match place.check(object).await {
                Ok(lease) => return Ok(lease),
                Err(place) => place,
            };
            rested = core.gate.take_resting();
        }
        let fresh = core.connect().await?;
        Ok(place.lend(fresh))
    }

    /// Closes the pool: idle connections are dropped now, lent ones when their lease ends, and every
    /// waiting or later caller gets [`PoolError::Closed`].
    pub fn close(&self) {
        self.inner.close();
    }

    /// Closes the pool and waits until the last lease has ended, for at most `within`. Returns how many had not.
    ///
    /// Cancel safe; the pool stays closed.
    ///
    /// # Panics
    /// If leases are out and the caller is not on a tokio runtime with its timer enabled.
    pub async fn drain(&self, within: Duration) -> usize {
        self.close();
        let gate = &self.inner.core.gate;
        if gate.taken() > 0 {
            // Whether it came in time shows in the count.
            let _ = timeout(within, gate.emptied()).await;
        }
        gate.taken()
    }

    /// Changes the most connections that exist at one time, [`PoolConfig::size`], while the pool is in use. Idle
    /// connections that are now too many are closed at once, lent ones when their lease ends; after growth the callers
    /// that waited longest are served at once. Of [`min_idle`](PoolConfig::min_idle) as many are kept as there is room
    /// for.
    ///
    /// # Errors
    /// `size` is out of range.
    pub fn resize(&self, size: usize) -> Result<(), ConfigError> {
        config::size(size)?;
        let Inner { core, managed } = &*self.inner;
        let _one_at_a_time = core.resizing.lock().unwrap_or_else(PoisonError::into_inner);
        // deadpool is to have room for everybody who has a place.
        if size > core.gate.places() {
            managed.resize(size);
        }
        let (surplus, callers) = core.gate.resize(size, Instant::now());
        for object in surplus {
            core.close(object, Closed::Surplus);
        }
        for caller in callers {
            hand_place(core, caller);
        }
        managed.resize(size);
        core.upkeep.look();
        Ok(())
    }

    pub(crate) fn name(&self) -> &str {
        &self.inner.core.name
    }

    pub(crate) fn manager(&self) -> &M {
        &self.inner.core.manager
    }

    /// Counts at this moment, for health pages and logs. Takes the pool's lock; not for every request.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let Inner { core, managed } = &*self.inner;
        let idle = core.gate.resting();
        let size = managed.status().size;
        let snapshot = Snapshot {
            name: core.name.clone(),
            max_size: core.gate.places(),
            size,
            idle,
            in_use: size.saturating_sub(idle),
            waiting: core.gate.waiting(),
            connected_total: core.meters.connected_total(),
            closed_total: core.meters.closed_total(),
            breaker: core.breaker.shown(),
        };
        core.gate.record_waits();
        core.meters.counts(snapshot.max_size, [idle, snapshot.in_use, snapshot.waiting]);
        snapshot
    }
}

impl<M: Manager> Clone for Pool<M> {
    fn clone(&self) -> Self {
        Self { inner: Arc::clone(&self.inner) }
    }
}

impl<M: Manager> fmt::Debug for Pool<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Pool").field(&self.snapshot()).finish()
    }
}

impl<M: Manager> Inner<M> {
    fn close(&self) {
        for object in self.core.gate.close() {
            self.core.close(object, Closed::Shutdown);
        }
        self.managed.close();
        self.core.upkeep.look();
    }
}

/// The last clone is gone.
impl<M: Manager> Drop for Inner<M> {
    fn drop(&mut self) {
        self.core.upkeep.end();
        self.close();
    }
}

type Rested<M> = Option<Boxed<M>>;

fn entered<M: Manager>(core: &Arc<Core<M>>, rested: Rested<M>, few: bool) -> (Entered<'_, M>, Rested<M>) {
    let place = Entered(core);
    if few {
        core.wake_upkeep();
    }
    (place, rested)
}

enum Waited<'a, M: Manager> {
    Lease(Lease<M>),
    Entered(Entered<'a, M>, Rested<M>),
}

/// Queues until somebody leaves.
async fn wait<M: Manager>(core: &Arc<Core<M>>) -> Result<Waited<'_, M>, PoolError<M::Error>> {
    let refused = |error| {
        core.meters.refused(&error);
        Err(error)
    };
    let after = core.config.wait;
    if after.is_zero() {
        return refused(PoolError::Wait { after });
    }
    let max = core.config.max_waiters;
    let start = Instant::now();
    loop {
        let (turn, unwatched) = match core.gate.enter_or_queue(start, max) {
            Queued::Now(Entry::Entered { rested, few }) => {
                let (place, rested) = entered(core, rested, few);
                return Ok(Waited::Entered(place, rested));
            }
            Queued::Now(Entry::Full | Entry::Closed) => return Err(PoolError::Closed),
            Queued::TooMany(waiting) => return refused(PoolError::Exhausted { waiting, max }),
            Queued::Waiting { turn, unwatched } => (turn, unwatched),
        };
        if unwatched {
            core.wake_upkeep();
        }
        let giving_up = GivingUp(&core.gate);
        let turn = turn.await;
        std::mem::forget(giving_up);
        // Waits that were worth it are recorded by whoever ended them.
        match turn {
            Ok(Turn::Lease(lease)) => return Ok(Waited::Lease(lease)),
            Ok(Turn::Place(place)) => return Ok(Waited::Entered(place.arrive(core), core.gate.take_resting())),
            Ok(Turn::Unwatched) => {}
            Err(_) if core.gate.is_closed() => {
                core.meters.record(Step::Wait, Outcome::Failed, start.elapsed());
                return Err(PoolError::Closed);
            }
            Err(_) => {
                core.meters.record(Step::Wait, Outcome::Timeout, start.elapsed());
                return Err(PoolError::Wait { after });
            }
        }
    }
}

/// Dropped by a waiter that ends before its turn.
struct GivingUp<'a, R, T>(&'a Gate<R, T>);

impl<R, T> Drop for GivingUp<'_, R, T> {
    fn drop(&mut self) {
        self.0.desert();
    }
}
