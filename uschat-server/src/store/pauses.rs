use std::time::Duration;

use tokio::time::Instant;

/// Growing pauses between attempts.
pub(crate) struct Pauses {
    until: Option<Instant>,
    next: Duration,
}

impl Pauses {
    const FIRST: Duration = Duration::from_millis(4);
    const LONGEST: Duration = Duration::from_millis(200);

    /// For attempts that something else ends.
    pub(crate) fn endless() -> Self {
        Self { until: None, next: Self::FIRST }
    }

    /// Up to an instant.
    #[cfg(feature = "mysql")]
    pub(crate) fn until(until: Instant) -> Self {
        Self { until: Some(until), next: Self::FIRST }
    }

    /// Waits before the next attempt; false if there is no time for one. Each pause is between half and all of its length,
    /// so that two that met do not meet again.
    pub(crate) async fn pause(&mut self) -> bool {
        let pause = self.next.mul_f64(rand::random_range(0.5..=1.0));
        self.next = (self.next * 2).min(Self::LONGEST);
        if self.until.is_some_and(|until| Instant::now() + pause >= until) {
            return false;
        }
        tokio::time::sleep(pause).await;
        true
    }
}
