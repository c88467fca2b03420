//! What a pool counts and times: totals for its snapshots and, with the feature `metrics`, all of it for the `metrics`
//! facade.
//!
//! Only what takes time anyway is timed: a caller that was handed a connection at once costs no clock reading and no
//! metric.

#[cfg(feature = "metrics")]
mod facade;
#[cfg(not(feature = "metrics"))]
mod silent;
#[cfg(feature = "metrics")]
mod waits;

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use tokio::time::error::Elapsed;

#[cfg(feature = "metrics")]
use self::facade::Facade;
#[cfg(not(feature = "metrics"))]
use self::silent::Facade;
#[cfg(not(feature = "metrics"))]
pub(crate) use self::silent::{BreakerGauge, WaitMeter, Waits};
#[cfg(feature = "metrics")]
pub(crate) use self::{
    facade::BreakerGauge,
    waits::{WaitMeter, Waits},
};
use crate::PoolError;

/// What took time.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Step {
    /// A caller waited for a place, or for a connect that another makes.
    Wait,
    Connect,
    Verify,
    Clean,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Outcome {
    Ok,
    Failed,
    Timeout,
}

impl Outcome {
    pub(crate) fn of<T, E>(outcome: &Result<Result<T, E>, Elapsed>) -> Self {
        match outcome {
            Ok(Ok(_)) => Self::Ok,
            Ok(Err(_)) => Self::Failed,
            Err(_) => Self::Timeout,
        }
    }
}

/// Why a connection left its pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Closed {
    Broken,
    Lifetime,
    Idle,
    Unverified,
    Unclean,
    Surplus,
    Discarded,
    Taken,
    Shutdown,
}

impl Closed {
    /// As the label `reason` says it, in the order above.
    const LABELS: [&str; 9] =
        ["broken", "lifetime", "idle", "unverified", "unclean", "surplus", "discarded", "taken", "shutdown"];

    pub(crate) fn label(self) -> &'static str {
        Self::LABELS[self as usize]
    }
}

/// Why a caller got nothing although that cost no time.
#[derive(Debug, Clone, Copy)]
enum Refusal {
    Exhausted,
    BackingOff,
    Full,
}

/// The meters of one pool, registered when it is built.
pub(crate) struct Meters {
    connected: AtomicU64,
    closed: AtomicU64,
    facade: Facade,
}

impl Meters {
    pub(crate) fn of_pool(pool: &str) -> Self {
        Self::new(Facade::new(pool, ["idle", "in_use", "waiting"]))
    }

    pub(crate) fn of_shared(pool: &str) -> Self {
        Self::new(Facade::new(pool, ["live", "in_flight", "waiting"]))
    }

    fn new(facade: Facade) -> Self {
        Self { connected: AtomicU64::new(0), closed: AtomicU64::new(0), facade }
    }

    pub(crate) fn record(&self, step: Step, outcome: Outcome, took: Duration) {
        self.facade.record(step, outcome, took);
    }

    /// A connection was made.
    pub(crate) fn connected(&self) {
        self.connected.fetch_add(1, Ordering::Relaxed);
    }

    /// A connection left the pool.
    pub(crate) fn closed(&self, why: Closed) {
        self.closed.fetch_add(1, Ordering::Relaxed);
        self.facade.closed(why);
    }

    /// A caller is told of this error; it counts if that cost no time.
    pub(crate) fn refused<E>(&self, error: &PoolError<E>) {
        self.facade.refused(match error {
            PoolError::Exhausted { .. } => Refusal::Exhausted,
            PoolError::BackingOff { .. } => Refusal::BackingOff,
            PoolError::Wait { after } if after.is_zero() => Refusal::Full,
            _ => return,
        });
    }

    /// Publishes what a snapshot has just read; the counts in the order of the states.
    pub(crate) fn counts(&self, max_size: usize, counts: [usize; 3]) {
        self.facade.counts(max_size, counts);
    }

    /// Connections made since the pool was built.
    pub(crate) fn connected_total(&self) -> u64 {
        self.connected.load(Ordering::Relaxed)
    }

    /// Connections that left since the pool was built.
    pub(crate) fn closed_total(&self) -> u64 {
        self.closed.load(Ordering::Relaxed)
    }

    pub(crate) fn breaker(&self) -> BreakerGauge {
        self.facade.breaker()
    }

    pub(crate) fn waits(&self) -> WaitMeter {
        self.facade.waits()
    }
}
