//! One place for a connection in a [`Shared`](crate::Shared): empty or live.

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicUsize, Ordering},
};

use crate::observe::{Closed, Meters};

pub(crate) struct Slot<C> {
    users: AtomicUsize,
    meters: Arc<Meters>,
    state: Mutex<State<C>>,
    /// Held by the caller that connects this slot; others queue here for its outcome. A caller that
    /// gives up releases it, and the next in the queue connects in its place.
    pub(crate) gate: tokio::sync::Mutex<()>,
}

struct State<C> {
    live: Option<C>,
    /// Counts the connections this slot has had, so that a report about an old one is not taken for
    /// the present one.
    generation: u64,
    closed: bool,
}

/// What a caller finds in a slot.
pub(crate) enum Look<C> {
    Live(Lent<C>),
    Vacant,
    Closed,
}

/// A clone of a slot's connection, counted as one user of it.
pub(crate) struct Lent<C> {
    pub(crate) connection: C,
    pub(crate) user: User<C>,
    pub(crate) generation: u64,
}

impl<C> Slot<C> {
    pub(crate) fn new(meters: Arc<Meters>) -> Self {
        let state = State { live: None, generation: 0, closed: false };
        Self { users: AtomicUsize::new(0), meters, state: Mutex::new(state), gate: tokio::sync::Mutex::new(()) }
    }

    /// Handles in use and callers that wait for this slot.
    pub(crate) fn load(&self) -> usize {
        self.users.load(Ordering::Relaxed)
    }

    pub(crate) fn is_live(&self) -> bool {
        self.state().live.is_some()
    }

    /// Removes the connection of that generation; a report about an earlier one changes nothing.
    pub(crate) fn remove(&self, generation: u64) {
        let mut state = self.state();
        // Dropped only after the lock is free: the drop is foreign code.
        let removed = if state.generation == generation { state.live.take() } else { None };
        drop(state);
        self.count(removed, Closed::Broken);
    }

    pub(crate) fn close(&self) {
        let mut state = self.state();
        state.closed = true;
        let removed = state.live.take();
        drop(state);
        self.count(removed, Closed::Shutdown);
    }

    fn count(&self, removed: Option<C>, why: Closed) {
        if removed.is_some() {
            self.meters.closed(why);
        }
    }

    fn state(&self) -> MutexGuard<'_, State<C>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<C: Clone> Slot<C> {
    /// Lends the connection if there is one that is not broken; a broken one is removed.
    pub(crate) fn look(self: &Arc<Self>, is_broken: impl Fn(&C) -> bool) -> Look<C> {
        let mut state = self.state();
        if state.closed {
            return Look::Closed;
        }
        if let Some(live) = &state.live {
            if !is_broken(live) {
                let (connection, generation) = (live.clone(), state.generation);
                return Look::Live(Lent { connection, generation, user: User::new(self) });
            }
            let removed = state.live.take();
            drop(state);
            self.count(removed, Closed::Broken);
            return Look::Vacant;
        }
        Look::Vacant
    }

    /// Puts a new connection in and lends it; `None` if the slot was closed meanwhile.
    pub(crate) fn install(&self, connection: C, user: User<C>) -> Option<Lent<C>> {
        let mut state = self.state();
        if state.closed {
            self.meters.closed(Closed::Shutdown);
            return None;
        }
        state.generation += 1;
        state.live = Some(connection.clone());
        Some(Lent { connection, generation: state.generation, user })
    }
}

/// Counts one user of a slot until it is dropped.
pub(crate) struct User<C>(pub(crate) Arc<Slot<C>>);

impl<C> User<C> {
    pub(crate) fn new(slot: &Arc<Slot<C>>) -> Self {
        slot.users.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(slot))
    }
}

impl<C> Drop for User<C> {
    fn drop(&mut self) {
        self.0.users.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_late_report_about_an_old_connection_changes_nothing() {
        let slot = Arc::new(Slot::new(Arc::new(Meters::of_shared("test"))));
        let old = slot.install("old", User::new(&slot)).unwrap();
        slot.remove(old.generation);
        let _new = slot.install("new", User::new(&slot)).unwrap();

        slot.remove(old.generation);

        assert!(matches!(slot.look(|_| false), Look::Live(lent) if lent.connection == "new"));
    }
}
