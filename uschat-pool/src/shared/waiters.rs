//! A bounded count of the callers that wait.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::PoolError;

pub(crate) struct Waiters {
    waiting: AtomicUsize,
    max: usize,
}

impl Waiters {
    pub(crate) fn new(max: usize) -> Self {
        Self { waiting: AtomicUsize::new(0), max }
    }

    /// Counts one more waiter until the returned value is dropped, however its wait ends.
    pub(crate) fn join<E>(&self) -> Result<Waiter<'_>, PoolError<E>> {
        let waiting = self.waiting.fetch_add(1, Ordering::Relaxed);
        let waiter = Waiter(self);
        if waiting >= self.max {
            return Err(PoolError::Exhausted { waiting, max: self.max });
        }
        Ok(waiter)
    }

    pub(crate) fn count(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }
}

pub(crate) struct Waiter<'a>(&'a Waiters);

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}
