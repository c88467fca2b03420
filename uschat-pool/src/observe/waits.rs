//! How long callers waited, on its way to the histogram.
//!
//! In a crowd every hand-over ends a wait, and a histogram takes a tenth of a hand-over's time for a value that comes
//! alone. So the waits are collected where the giver of a connection holds a lock and knows the time anyway, and whoever
//! fills a batch records it, outside of the lock.

use std::time::Duration;

use metrics::Histogram;

/// Recording as many holds nobody up for more than two microseconds or so.
const BATCH: usize = 32;

/// Waits that ended with a hand-over and are not recorded yet.
#[derive(Default)]
pub(crate) struct Waits(Vec<Duration>);

impl Waits {
    /// Adds one. Returns them all if they are many enough to be recorded.
    #[must_use]
    pub(crate) fn add(&mut self, waited: Duration) -> Self {
        if self.0.capacity() == 0 {
            self.0.reserve_exact(BATCH);
        }
        self.0.push(waited);
        if self.0.len() < BATCH { Self::default() } else { std::mem::take(self) }
    }
}

/// Where waits are recorded.
pub(crate) struct WaitMeter(pub(super) Histogram);

impl WaitMeter {
    pub(crate) fn record(&self, waits: Waits) {
        for waited in waits.0 {
            self.0.record(waited);
        }
    }
}
