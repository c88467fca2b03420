//! Turns by key: whoever looks at a counter and acts on it must not be overtaken in between.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::OwnedMutexGuard;

/// A lock for every key in use; a key nobody holds or waits for takes no memory. Fair: first come, first served.
#[derive(Debug, Default)]
pub(crate) struct KeyedLocks {
    keys: Mutex<HashMap<String, Entry>>,
}

#[derive(Debug, Default)]
struct Entry {
    lock: Arc<tokio::sync::Mutex<()>>,
    users: usize,
}

/// A turn. Ends when dropped.
#[derive(Debug)]
pub(crate) struct Turn<'a> {
    // Before `_user`, so that the lock is free before its entry may go.
    _held: OwnedMutexGuard<()>,
    _user: User<'a>,
}

impl KeyedLocks {
    /// Waits for one's turn. Cancel safe; whoever is dropped loses its place in the queue.
    pub(crate) async fn turn(&self, key: String) -> Turn<'_> {
        let lock = {
            let mut keys = self.keys();
            let entry = keys.entry(key.clone()).or_default();
            entry.users += 1;
            Arc::clone(&entry.lock)
        };
        let user = User { locks: self, key };
        Turn { _held: lock.lock_owned().await, _user: user }
    }

    fn keys(&self) -> MutexGuard<'_, HashMap<String, Entry>> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One that holds a key or waits for it.
#[derive(Debug)]
struct User<'a> {
    locks: &'a KeyedLocks,
    key: String,
}

impl Drop for User<'_> {
    fn drop(&mut self) {
        let mut keys = self.locks.keys();
        if let Some(entry) = keys.get_mut(&self.key) {
            entry.users -= 1;
            if entry.users == 0 {
                keys.remove(&self.key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::KeyedLocks;

    #[tokio::test]
    async fn one_turn_a_key_at_a_time() {
        let locks = KeyedLocks::default();
        let first = locks.turn("a".into()).await;
        let _other_key = locks.turn("b".into()).await;
        let mut second = Box::pin(locks.turn("a".into()));
        assert!(futures_util::poll!(&mut second).is_pending());
        drop(first);
        assert!(futures_util::poll!(&mut second).is_ready());
    }

    #[tokio::test]
    async fn keys_nobody_uses_are_forgotten() {
        let locks = KeyedLocks::default();
        let held = locks.turn("a".into()).await;
        {
            let mut gives_up = Box::pin(locks.turn("a".into()));
            assert!(futures_util::poll!(&mut gives_up).is_pending());
        }
        assert_eq!(locks.keys().len(), 1);
        drop(held);
        assert!(locks.keys().is_empty());
    }
}
