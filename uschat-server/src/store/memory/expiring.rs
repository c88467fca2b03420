use std::{
    borrow::Borrow,
    collections::HashMap,
    hash::{BuildHasher, Hash, RandomState},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

const SHARDS: usize = 16;
/// A shard is swept at the latest this long after the last time, if it is used.
const SWEEP_EVERY: Duration = Duration::from_secs(30);
/// A shard with fewer entries is not swept for its size.
const SMALL: usize = 64;
/// Stands for "never" where a time to live is beyond what the clock can count.
const FOR_EVER: Duration = Duration::from_secs(30 * 365 * 24 * 60 * 60);

/// A map whose entries expire. Look-ups of different keys rarely meet: each shard has a lock of its own. What has expired is never seen, and is
/// swept while the map is used, so that it holds at most about twice what is alive.
#[derive(Debug)]
pub(super) struct Expiring<K, V> {
    shards: [Mutex<Shard<K, V>>; SHARDS],
    hasher: RandomState,
}

#[derive(Debug)]
struct Shard<K, V> {
    entries: HashMap<K, Entry<V>>,
    sweep_at_len: usize,
    sweep_at: Instant,
}

/// A value and when it ends.
#[derive(Debug)]
pub(super) struct Entry<V> {
    pub(super) value: V,
    pub(super) expires_at: Instant,
}

impl<V> Entry<V> {
    pub(super) fn new(value: V, time_to_live: Duration) -> Self {
        let now = Instant::now();
        let expires_at = now.checked_add(time_to_live).unwrap_or_else(|| now + FOR_EVER);
        Self { value, expires_at }
    }
}

impl<K: Eq + Hash, V> Expiring<K, V> {
    pub(super) fn new() -> Self {
        let shard = || {
            let sweep_at = Instant::now() + SWEEP_EVERY;
            Mutex::new(Shard { entries: HashMap::new(), sweep_at_len: SMALL, sweep_at })
        };
        Self { shards: std::array::from_fn(|_| shard()), hasher: RandomState::new() }
    }

    /// The entry of a key, if it is alive.
    pub(super) fn read<Q, R>(&self, key: &Q, look: impl FnOnce(&Entry<V>) -> R) -> Option<R>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        let shard = self.shard(key);
        shard.entries.get(key).filter(|entry| entry.expires_at > Instant::now()).map(look)
    }

    /// Shows `change` the entry of a key, if it is alive, and keeps what it leaves there: one step for all others.
    pub(super) fn update<R>(&self, key: K, change: impl FnOnce(&mut Option<Entry<V>>) -> R) -> R {
        let now = Instant::now();
        let mut shard = self.shard(&key);
        shard.sweep(now);
        let mut entry = shard.entries.remove(&key).filter(|entry| entry.expires_at > now);
        let result = change(&mut entry);
        if let Some(entry) = entry {
            shard.entries.insert(key, entry);
        }
        result
    }

    fn shard<Q: Hash + ?Sized>(&self, key: &Q) -> MutexGuard<'_, Shard<K, V>> {
        let index = self.hasher.hash_one(key) as usize % SHARDS;
        self.shards[index].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Eq + Hash, V> Shard<K, V> {
    fn sweep(&mut self, now: Instant) {
        if now < self.sweep_at && self.entries.len() < self.sweep_at_len {
            return;
        }
        self.entries.retain(|_, entry| entry.expires_at > now);
        self.sweep_at = now + SWEEP_EVERY;
        self.sweep_at_len = SMALL.max(self.entries.len() * 2);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(map: &Expiring<u32, ()>) -> usize {
        map.shards.iter().map(|shard| shard.lock().unwrap().entries.len()).sum()
    }

    fn put(map: &Expiring<u32, ()>, keys: std::ops::Range<u32>, time_to_live: Duration) {
        for key in keys {
            map.update(key, |entry| *entry = Some(Entry::new((), time_to_live)));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_map_in_use_drops_what_expired() {
        let map = Expiring::new();
        put(&map, 0..10_000, Duration::from_secs(1));
        tokio::time::advance(Duration::from_secs(1)).await;
        put(&map, 10_000..20_000, Duration::from_secs(1));
        assert!(held(&map) <= 2 * 10_000 + SMALL * SHARDS, "{}", held(&map));

        tokio::time::advance(SWEEP_EVERY).await;
        put(&map, 20_000..20_500, Duration::from_secs(1));
        assert_eq!(held(&map), 500);
    }

    #[tokio::test(start_paused = true)]
    async fn a_time_to_live_beyond_the_clock_does_not_end() {
        let map = Expiring::new();
        put(&map, 0..1, Duration::MAX);
        tokio::time::advance(Duration::from_secs(365 * 24 * 60 * 60)).await;
        assert_eq!(map.read(&0, |_| ()), Some(()));
    }
}
