//! The connections that rest at the gate, of which some are kept ready and others must go.

use std::cell::Cell;

use super::Gate;
use crate::observe::Closed;

impl<R, T> Gate<R, T> {
    /// Another resting connection for somebody who has a place, if any rests.
    pub(crate) fn take_resting(&self) -> Option<R> {
        self.state().resting.pop()
    }

    /// Lets a connection rest that nobody has used, behind the others. Comes back if the gate is closed.
    pub(crate) fn add_resting(&self, connection: R) -> Result<(), R> {
        let mut state = self.state();
        if state.closed {
            return Err(connection);
        }
        state.resting.insert(0, connection);
        Ok(())
    }

    /// Takes out those resting for which `unfit` has a reason, and those that are `idle` for too long, but of these no
    /// more than leaves as many as wanted; and those without a place, which a connect that a `resize` overtook leaves.
    /// Of each kind, the one that has rested longest comes first.
    pub(crate) fn sweep(&self, unfit: impl Fn(&R) -> Option<Closed>, idle: impl Fn(&R) -> bool) -> Vec<(R, Closed)> {
        let mut out = Vec::new();
        let mut state = self.state();
        let reason = Cell::new(Closed::Broken);
        let is_unfit = |connection: &mut R| unfit(connection).inspect(|why| reason.set(*why)).is_some();
        out.extend(state.resting.extract_if(.., is_unfit).map(|connection| (connection, reason.get())));
        let excess = state.excess();
        out.extend(state.resting.drain(..excess).map(|connection| (connection, Closed::Surplus)));
        let mut spare = state.resting.len().saturating_sub(state.wanted);
        let idle = |connection: &mut R| {
            let goes = spare > 0 && idle(connection);
            spare -= usize::from(goes);
            goes
        };
        out.extend(state.resting.extract_if(.., idle).map(|connection| (connection, Closed::Idle)));
        out
    }

    /// How many more are to rest than do, as far as there are places. A later shortage is reported only if there is
    /// none now.
    pub(crate) fn missing(&self) -> usize {
        let mut state = self.state();
        let rest = state.resting.len();
        let missing = state.wanted.saturating_sub(rest).min(state.places.saturating_sub(state.taken + rest));
        state.reported = missing > 0;
        missing
    }

    pub(crate) fn resting(&self) -> usize {
        self.state().resting.len()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{super::Entry, *};
    use crate::observe::Meters;

    fn gate(places: usize, wanted: usize) -> Gate<u8, ()> {
        Gate::new(places, wanted, Duration::ZERO, Meters::of_pool("test").waits())
    }

    #[test]
    fn a_shortage_is_reported_once_until_it_was_seen_to() {
        let gate = gate(4, 1);
        assert!(matches!(gate.enter(), Entry::Entered { few: true, .. }));
        assert!(matches!(gate.enter(), Entry::Entered { few: false, .. }));
        assert_eq!(gate.missing(), 1);
        assert!(matches!(gate.enter(), Entry::Entered { few: false, .. }), "somebody works on it");
        gate.add_resting(1).unwrap();
        assert_eq!(gate.missing(), 0);
        assert!(matches!(gate.enter(), Entry::Entered { rested: Some(1), few: true }));
        assert_eq!(gate.missing(), 0, "no place is left");
    }

    #[test]
    fn a_sweep_leaves_as_many_as_wanted_unless_they_are_unfit() {
        let gate = gate(4, 2);
        for number in [1, 2, 3, 4] {
            gate.add_resting(number).unwrap();
        }
        let third = |number: &u8| (*number == 3).then_some(Closed::Broken);
        assert_eq!(gate.sweep(third, |_| true), [(3, Closed::Broken), (4, Closed::Idle)]);
        assert_eq!(gate.sweep(|_| None, |_| true), []);
        assert_eq!(gate.sweep(|_| Some(Closed::Lifetime), |_| true), [(2, Closed::Lifetime), (1, Closed::Lifetime)]);
    }
}
