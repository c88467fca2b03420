//! What a pool tells the `metrics` facade; nothing without the feature `metrics`.
//!
//! Only what takes time anyway is timed: a caller that was handed a connection at once costs no clock reading and no
//! metric.

use std::time::Duration;

#[cfg(feature = "metrics")]
use metrics::{Histogram, gauge, histogram};

/// The histograms of one pool, registered when it is built.
pub(crate) struct Meters {
    #[cfg(feature = "metrics")]
    steps: [[Histogram; 2]; 3],
}

/// What took time.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Step {
    /// A caller waited for a place.
    Wait,
    Connect,
    Verify,
}

#[cfg(feature = "metrics")]
impl Meters {
    pub(crate) fn new(pool: &str) -> Self {
        let of = |step: &'static str| {
            ["failed", "ok"].map(|outcome| {
                histogram!("uschat_pool_step_seconds", "pool" => pool.to_owned(), "step" => step, "outcome" => outcome)
            })
        };
        Self { steps: ["wait", "connect", "verify"].map(of) }
    }

    pub(crate) fn record(&self, step: Step, ok: bool, took: Duration) {
        self.steps[step as usize][usize::from(ok)].record(took);
    }
}

#[cfg(not(feature = "metrics"))]
impl Meters {
    pub(crate) fn new(_: &str) -> Self {
        Self {}
    }

    #[allow(clippy::unused_self, reason = "there is something to do with the feature")]
    pub(crate) fn record(&self, _: Step, _: bool, _: Duration) {}
}

/// Publishes counts that were just read.
#[cfg(feature = "metrics")]
#[allow(clippy::cast_precision_loss, reason = "no pool is that large")]
pub(crate) fn counts<const N: usize>(pool: &str, counts: [(&'static str, usize); N]) {
    for (state, count) in counts {
        gauge!("uschat_pool_connections", "pool" => pool.to_owned(), "state" => state).set(count as f64);
    }
}

#[cfg(not(feature = "metrics"))]
pub(crate) fn counts<const N: usize>(_: &str, _: [(&'static str, usize); N]) {}
