//! Random parts of times, so that many pools do not act at the same instant.

use std::{
    hash::{BuildHasher, RandomState},
    time::Duration,
};

/// A time between `least` percent of `of` and all of it.
pub(crate) fn at_least_percent(least: u32, of: Duration) -> Duration {
    // Spreading load needs no better source than the keys the standard library gives to hash maps.
    let random = RandomState::new().hash_one(0u8);
    let part = u32::try_from(random % 1_001).unwrap_or(0);
    let floor = of * least / 100;
    floor + (of - floor) * part / 1_000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stays_within_its_bounds_and_spreads() {
        let of = Duration::from_secs(100);
        let times: Vec<_> = (0..200).map(|_| at_least_percent(50, of)).collect();
        assert!(times.iter().all(|time| (of / 2..=of).contains(time)));
        assert!(times.iter().any(|time| *time < of * 70 / 100));
        assert!(times.iter().any(|time| *time > of * 80 / 100));
    }
}
