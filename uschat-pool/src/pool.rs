//! A pool that lends each connection to one user at a time.

use std::{fmt, sync::Arc, time::Duration};

use deadpool::{
    Runtime,
    managed::{self, Object, QueueMode, TimeoutType, Timeouts},
};

use crate::{
    ConfigError, Lease, Manager, PoolConfig, PoolError,
    recycle::{Adapter, Core},
};

/// Lends connections that one user needs for itself: SQL, transactions, blocking commands.
///
/// Connections are made when they are needed, up to [`PoolConfig::size`]; the one given back last is
/// lent first. When all are lent, callers wait in the order in which they came. Clones are the same
/// pool; dropping the last one drops the idle connections.
pub struct Pool<M: Manager> {
    core: Arc<Core<M>>,
    inner: managed::Pool<Adapter<M>>,
}

impl<M: Manager> Pool<M> {
    /// Builds a pool without connecting. `name` says in logs and snapshots whose pool it is.
    ///
    /// # Errors
    /// Names the value of `config` that is out of range.
    pub fn new(name: impl Into<Box<str>>, manager: M, config: PoolConfig) -> Result<Self, ConfigError> {
        config.validate()?;
        let size = config.size;
        let core = Arc::new(Core::new(name.into(), manager, config));
        let inner = managed::Pool::builder(Adapter(Arc::clone(&core)))
            .max_size(size)
            .queue_mode(QueueMode::Lifo)
            .runtime(Runtime::Tokio1)
            .build()
            .expect("deadpool refuses only time-outs without a runtime, and there is one");
        Ok(Self { core, inner })
    }

    /// Lends a connection: an idle one, else a new one, else the next one that is given back.
    ///
    /// Takes at most [`wait`](PoolConfig::wait), then one [`recycle`](PoolConfig::recycle) for each
    /// connection that fails its verification at once (only one if the peer is silent), then one
    /// [`create`](PoolConfig::create).
    ///
    /// Cancel safe: a caller that gives up leaves the queue, and a connection that was being made or
    /// verified for it is dropped and its place is free again.
    ///
    /// # Errors
    /// Names the step that failed, see [`PoolError`].
    pub async fn get(&self) -> Result<Lease<M>, PoolError<M::Error>> {
        // Without a wait deadpool arms no timer; most calls end here.
        let object = match self.inner.timeout_get(&timeouts(Duration::ZERO)).await {
            Err(managed::PoolError::Timeout(TimeoutType::Wait)) => {
                let _waiter = self.core.waiters.join()?;
                self.inner.timeout_get(&timeouts(self.core.config.wait)).await
            }
            outcome => outcome,
        };
        match object {
            // Closed while this caller was connecting: the connection goes with the pool.
            Ok(object) if self.inner.is_closed() => {
                drop(Object::take(object));
                Err(PoolError::Closed)
            }
            Ok(object) => Ok(Lease::new(object)),
            Err(managed::PoolError::Backend(error)) => Err(error),
            Err(managed::PoolError::Timeout(_)) => Err(PoolError::Wait { after: self.core.config.wait }),
            // The other two cannot come: they need a missing runtime or a hook.
            Err(_) => Err(PoolError::Closed),
        }
    }

    /// Closes the pool: idle connections are dropped now, lent ones when their lease ends, and every
    /// waiting or later caller gets [`PoolError::Closed`]. A caller that is connecting gets it when its
    /// connect has ended.
    pub fn close(&self) {
        self.inner.close();
    }

    /// Counts at this moment, for health pages and logs. Takes the pool's lock; not for every request.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let idle = self.inner.retain(|_, _| true).retained;
        let size = self.inner.status().size;
        Snapshot {
            name: self.core.name.clone(),
            size,
            idle,
            in_use: size.saturating_sub(idle),
            waiting: self.core.waiters.count(),
        }
    }
}

impl<M: Manager> Clone for Pool<M> {
    fn clone(&self) -> Self {
        Self { core: Arc::clone(&self.core), inner: self.inner.clone() }
    }
}

impl<M: Manager> fmt::Debug for Pool<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Pool").field(&self.snapshot()).finish()
    }
}

/// What a [`Pool`] holds at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Snapshot {
    /// The pool's name.
    pub name: Box<str>,
    /// Connections that exist, idle or not.
    pub size: usize,
    /// Connections ready to be lent.
    pub idle: usize,
    /// Connections that are lent, being verified or being cleaned.
    pub in_use: usize,
    /// Callers that found no free place when they came and have no lease yet.
    pub waiting: usize,
}

/// Deadlines for connecting and verifying are the adapter's: deadpool would arm timers for them on
/// every call.
fn timeouts(wait: Duration) -> Timeouts {
    Timeouts { wait: Some(wait), create: None, recycle: None }
}
