//! The manager that deadpool sees: puts deadlines on connecting and verifying, and decides whether an
//! idle connection may be lent again.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use deadpool::managed::{Metrics, RecycleError, RecycleResult};
use tokio::time::{Instant, timeout};
use tracing::debug;

use crate::{Manager, PoolConfig, PoolError, jitter, waiters::Waiters};

/// What a pool, its connections and its leases share.
pub(crate) struct Core<M> {
    pub(crate) name: Box<str>,
    pub(crate) manager: M,
    pub(crate) config: PoolConfig,
    pub(crate) waiters: Waiters,
    /// When a peer last failed to answer a verification.
    silent_at: Mutex<Option<Instant>>,
}

impl<M: Manager> Core<M> {
    pub(crate) fn new(name: Box<str>, manager: M, config: PoolConfig) -> Self {
        let waiters = Waiters::new(config.max_waiters);
        Self { name, manager, config, waiters, silent_at: Mutex::new(None) }
    }

    /// Cleans a dirty connection within the recycle deadline. False: it must not be lent again.
    pub(crate) async fn clean(&self, connection: &mut M::Connection) -> bool {
        match timeout(self.config.recycle, self.manager.clean(connection)).await {
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

    async fn verify(&self, pooled: &mut Pooled<M>) -> Result<(), &'static str> {
        // One silent peer would otherwise cost a caller one deadline for each idle connection.
        if self.silent_at().is_some_and(|silent_at| pooled.returned_at <= silent_at) {
            return Err("idle since before the peer fell silent");
        }
        match timeout(self.config.recycle, self.manager.verify(&mut pooled.connection)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => {
                debug!(pool = %self.name, %error, "an idle connection failed its verification");
                Err("failed its verification")
            }
            Err(_) => {
                *self.silent_at.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
                Err("verification took too long")
            }
        }
    }

    fn silent_at(&self) -> Option<Instant> {
        *self.silent_at.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection with what the pool remembers about it.
pub(crate) struct Pooled<M: Manager> {
    pub(crate) connection: M::Connection,
    pub(crate) core: Arc<Core<M>>,
    /// Stamped by the lease: deadpool's own `last_used` counts from the check-out.
    pub(crate) returned_at: Instant,
    connected_at: Instant,
    lifetime: Duration,
}

pub(crate) struct Adapter<M>(pub(crate) Arc<Core<M>>);

impl<M: Manager> deadpool::managed::Manager for Adapter<M> {
    type Type = Pooled<M>;
    type Error = PoolError<M::Error>;

    async fn create(&self) -> Result<Pooled<M>, Self::Error> {
        let config = &self.0.config;
        let connection = timeout(config.create, self.0.manager.connect())
            .await
            .map_err(|_| PoolError::ConnectTimeout { after: config.create })?
            .map_err(PoolError::Connect)?;
        let now = Instant::now();
        Ok(Pooled {
            connection,
            core: Arc::clone(&self.0),
            returned_at: now,
            connected_at: now,
            lifetime: jitter::at_least_percent(90, config.max_lifetime),
        })
    }

    async fn recycle(&self, pooled: &mut Pooled<M>, _: &Metrics) -> RecycleResult<Self::Error> {
        let now = Instant::now();
        let verdict = if now.duration_since(pooled.connected_at) >= pooled.lifetime {
            Err("reached its lifetime")
        } else if self.0.manager.is_broken(&pooled.connection) {
            Err("broke while idle")
        } else if now.duration_since(pooled.returned_at) < self.0.config.verify_after {
            Ok(())
        } else {
            self.0.verify(pooled).await
        };
        verdict.map_err(|reason| {
            debug!(pool = %self.0.name, reason, "replacing an idle connection");
            RecycleError::message(reason)
        })
    }
}
