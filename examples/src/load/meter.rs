//! Rates and latencies of one run.

use std::time::{Duration, Instant};

use hdrhistogram::{CreationError, Histogram};
use serde::Serialize;

/// What is measured: acknowledgements and deliveries within one stretch of time.
#[derive(Debug)]
pub(super) struct Meter {
    start: Instant,
    end: Instant,
    pub(super) acknowledged: Track,
    pub(super) delivered: Track,
}

/// One of the two.
#[derive(Debug)]
pub(super) struct Track {
    /// Of what happened within the stretch.
    pub(super) count: u64,
    pub(super) in_each_second: Vec<u64>,
    /// In microseconds, of texts that were to be sent within the stretch, whenever they arrived: to leave out those that come
    /// after its end would leave out the slowest.
    pub(super) latency: Histogram<u64>,
}

/// A latency is cut at ten minutes.
const LONGEST_MICROSECONDS: u64 = 600_000_000;
const DIGITS: u8 = 3;

impl Meter {
    pub(super) fn new(start: Instant, duration: Duration) -> Result<Self, CreationError> {
        let seconds = duration.as_secs_f64().ceil() as usize;
        Ok(Self { start, end: start + duration, acknowledged: Track::new(seconds)?, delivered: Track::new(seconds)? })
    }

    pub(super) fn acknowledged(&mut self, intended: Instant, now: Instant) {
        self.acknowledged.add(intended, now, self.start, self.end);
    }

    pub(super) fn delivered(&mut self, intended: Instant, now: Instant) {
        self.delivered.add(intended, now, self.start, self.end);
    }
}

impl Track {
    fn new(seconds: usize) -> Result<Self, CreationError> {
        let latency = Histogram::new_with_max(LONGEST_MICROSECONDS, DIGITS)?;
        Ok(Self { count: 0, in_each_second: vec![0; seconds], latency })
    }

    fn add(&mut self, intended: Instant, now: Instant, start: Instant, end: Instant) {
        if (start..end).contains(&now) {
            self.count += 1;
            let second = now.duration_since(start).as_secs() as usize;
            if let Some(count) = self.in_each_second.get_mut(second) {
                *count += 1;
            }
        }
        if (start..end).contains(&intended) {
            let microseconds = now.saturating_duration_since(intended).as_micros();
            self.latency.saturating_record(u64::try_from(microseconds).unwrap_or(LONGEST_MICROSECONDS));
        }
    }
}

/// A latency in numbers, in microseconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Latency {
    pub(super) count: u64,
    pub(super) p50_us: u64,
    pub(super) p90_us: u64,
    pub(super) p99_us: u64,
    pub(super) p99_9_us: u64,
    pub(super) max_us: u64,
    /// How many lay up to each bound and above the one before, for a histogram.
    pub(super) buckets: Vec<Bucket>,
}

/// A step of a histogram.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(super) struct Bucket {
    pub(super) up_to_us: u64,
    pub(super) count: u64,
}

impl Latency {
    /// Each bucket reaches this much further than the one before.
    pub(super) const STEP: f64 = 1.25;

    pub(super) fn of(latency: &Histogram<u64>) -> Self {
        let at = |quantile| latency.value_at_quantile(quantile);
        let mut buckets: Vec<_> = latency
            .iter_log(10, Self::STEP)
            .map(|step| Bucket { up_to_us: step.value_iterated_to(), count: step.count_since_last_iteration() })
            .skip_while(|bucket| bucket.count == 0)
            .collect();
        if latency.is_empty() {
            buckets.clear();
        }
        Self {
            count: latency.len(),
            p50_us: at(0.5),
            p90_us: at(0.9),
            p99_us: at(0.99),
            p99_9_us: at(0.999),
            max_us: latency.max(),
            buckets,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_count_arrivals_and_latencies_count_intentions() {
        let start = Instant::now();
        let at = |milliseconds| start + Duration::from_millis(milliseconds);
        let mut meter = Meter::new(at(1_000), Duration::from_millis(1_500)).unwrap();
        // Sent in the warm-up, arrived in the stretch; within it; sent within it, arrived later; both later.
        for (intended, now) in [(900, 1_100), (1_200, 2_100), (2_400, 4_400), (2_600, 2_700)] {
            meter.acknowledged(at(intended), at(now));
        }
        let track = &meter.acknowledged;
        assert_eq!((track.count, track.in_each_second.as_slice()), (2, &[1, 1][..]));
        let latency = Latency::of(&track.latency);
        assert_eq!(latency.count, 2);
        assert!((900_000..901_000).contains(&latency.p50_us), "{latency:?}");
        assert!((2_000_000..2_002_000).contains(&latency.max_us), "{latency:?}");
        assert_eq!(latency.buckets.iter().map(|bucket| bucket.count).sum::<u64>(), 2);
        assert_eq!(Latency::of(&meter.delivered.latency).buckets, []);
    }
}
