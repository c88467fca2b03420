//! Who may have a connection now, who is next, and which connections rest.
//!
//! A caller enters by taking one of the pool's places, together with the connection that rested last; or it queues
//! for one. Whoever leaves hands its place, with the connection if that is fit, to the caller that waited longest.
//! So nobody overtakes, a hand-over costs one lock and one wake-up, and nothing is touched that is not needed.
//!
//! No waiter has a timer. All wait equally long, so the first in the queue is the first whose time is over, and
//! one timer, upkeep's, serves them all: see [`Gate::expire`].

mod resting;

use std::{
    collections::VecDeque,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::{Notify, oneshot},
    time::Instant,
};

use crate::observe::{WaitMeter, Waits};

/// `R` rests; `T` is what a waiter is handed. One that has given up drops it, so dropping a `T` must give back what it
/// stands for.
pub(crate) struct Gate<R, T> {
    state: Mutex<State<R, T>>,
    /// How long a caller waits at most.
    wait: Duration,
    waits: WaitMeter,
    /// Somebody waits, as far as one can tell without the lock.
    crowded: AtomicBool,
    /// Some of those that wait may have given up.
    deserted: AtomicBool,
    /// Told when the last place is left after a `close`.
    emptied: Notify,
}

struct State<R, T> {
    places: usize,
    /// Places of callers, leases and connections that are cleaned; more than there are after a `resize`.
    taken: usize,
    /// The one that rested last is at the end.
    resting: Vec<R>,
    /// Fewer resting than this are to be reported.
    wanted: usize,
    reported: bool,
    /// Empty while places are free, apart from callers that have given up.
    queue: VecDeque<Waiting<T>>,
    /// Somebody will call `expire` when the time of the first is over.
    watched: bool,
    closed: bool,
    /// Recorded when they are many, by `expire` and when a snapshot is taken.
    waits: Waits,
}

struct Waiting<T> {
    since: Instant,
    turn: oneshot::Sender<T>,
}

/// What a caller finds at the gate.
pub(crate) enum Entry<R> {
    Entered {
        /// The connection that rested last, if any rests.
        rested: Option<R>,
        /// For the first caller who sees that too few are left: tell upkeep.
        few: bool,
    },
    Full,
    Closed,
}

/// What a caller finds that would rather queue than turn away.
pub(crate) enum Queued<R, T> {
    Now(Entry<R>),
    /// The receiver fails when the time is over or the gate was closed.
    Waiting {
        turn: oneshot::Receiver<T>,
        /// Nobody watches the queue's time yet: tell upkeep.
        unwatched: bool,
    },
    /// So many wait already.
    TooMany(usize),
}

/// What became of a connection given back.
pub(crate) enum Given<R, T> {
    Rests,
    /// It is this caller's now, who must be told.
    Next(oneshot::Sender<T>, R),
    /// It has no place any more.
    Surplus(R),
}

impl<R, T> Gate<R, T> {
    pub(crate) fn new(places: usize, wanted: usize, wait: Duration, waits: WaitMeter) -> Self {
        let state = State {
            places,
            taken: 0,
            resting: Vec::new(),
            wanted,
            reported: false,
            queue: VecDeque::new(),
            watched: false,
            closed: false,
            waits: Waits::default(),
        };
        Self {
            state: Mutex::new(state),
            wait,
            waits,
            crowded: AtomicBool::new(false),
            deserted: AtomicBool::new(false),
            emptied: Notify::new(),
        }
    }

    /// Takes a place if one is free.
    pub(crate) fn enter(&self) -> Entry<R> {
        self.state().enter()
    }

    /// True if it is not worth while to try `enter` first. No promise either way.
    pub(crate) fn is_crowded(&self) -> bool {
        self.crowded.load(Ordering::Relaxed)
    }

    /// Takes a place, or queues for one if fewer than `max` do. The caller waits `since` then.
    pub(crate) fn enter_or_queue(&self, since: Instant, max: usize) -> Queued<R, T> {
        let mut state = self.state();
        match state.enter() {
            Entry::Full => {
                let waiting = state.queue.len();
                if (waiting >= max || waiting == state.queue.capacity()) && self.deserted.swap(false, Ordering::Relaxed)
                {
                    state.queue.retain(|waiting| !waiting.turn.is_closed());
                }
                if state.queue.len() >= max {
                    return Queued::TooMany(state.queue.len());
                }
                let (sender, turn) = oneshot::channel();
                state.queue.push_back(Waiting { since, turn: sender });
                self.crowded.store(true, Ordering::Relaxed);
                let unwatched = !std::mem::replace(&mut state.watched, true);
                Queued::Waiting { turn, unwatched }
            }
            now => Queued::Now(now),
        }
    }

    /// For a waiter that has given up, after it has dropped its receiver: it no longer counts.
    pub(crate) fn desert(&self) {
        self.deserted.store(true, Ordering::Relaxed);
    }

    /// Callers that wait. Goes through the queue.
    pub(crate) fn waiting(&self) -> usize {
        self.state().queue.iter().filter(|waiting| !waiting.turn.is_closed()).count()
    }

    /// Ends the use of a place and of its connection.
    pub(crate) fn give(&self, connection: R, now: Instant) -> Given<R, T> {
        let mut state = self.state();
        if state.closed || state.taken > state.places {
            self.free(&mut state);
            return Given::Surplus(connection);
        }
        if let Some(next) = state.queue.pop_front() {
            return Given::Next(self.hand_over(state, next, now), connection);
        }
        self.crowded.store(false, Ordering::Relaxed);
        state.taken -= 1;
        state.resting.push(connection);
        Given::Rests
    }

    /// Ends the use of a place without a connection: it now belongs to the caller returned, who must be told, or to
    /// nobody.
    pub(crate) fn leave(&self, now: Instant) -> Option<oneshot::Sender<T>> {
        let mut state = self.state();
        let next = if state.taken > state.places { None } else { state.queue.pop_front() };
        if next.is_none() {
            self.crowded.store(false, Ordering::Relaxed);
            self.free(&mut state);
        }
        next.map(|next| self.hand_over(state, next, now))
    }

    /// Ends a wait: what is left to do is to tell the caller.
    fn hand_over(&self, mut state: MutexGuard<'_, State<R, T>>, next: Waiting<T>, now: Instant) -> oneshot::Sender<T> {
        let many = state.ends(&next, now);
        drop(state);
        self.waits.record(many);
        next.turn
    }

    /// Turns those away whose time is over by `now`, and says when the next one's will be.
    pub(crate) fn expire(&self, now: Instant) -> Option<Instant> {
        let mut over = Vec::new();
        let mut state = self.state();
        while let Some(first) = state.queue.front()
            && (first.since + self.wait <= now || first.turn.is_closed())
        {
            over.extend(state.queue.pop_front());
        }
        let next = state.queue.front().map(|first| first.since + self.wait);
        state.watched = next.is_some();
        let waits = std::mem::take(&mut state.waits);
        drop(state);
        // Each drop wakes a task: not while others wait for the lock.
        drop(over);
        self.waits.record(waits);
        next
    }

    /// For the one who called `expire` and cannot go on: everybody is to queue again and find somebody else.
    pub(crate) fn unwatch(&self) -> impl Iterator<Item = oneshot::Sender<T>> + use<R, T> {
        let mut state = self.state();
        state.watched = false;
        state.reported = false;
        let queue = std::mem::take(&mut state.queue);
        drop(state);
        queue.into_iter().map(|waiting| waiting.turn)
    }

    /// Turns everybody away, now and later, and hands out what rests.
    pub(crate) fn close(&self) -> Vec<R> {
        let mut state = self.state();
        state.closed = true;
        let queue = std::mem::take(&mut state.queue);
        let resting = std::mem::take(&mut state.resting);
        drop(state);
        drop(queue);
        self.record_waits();
        resting
    }

    /// Changes the number of places. What rests without a place comes back, and so do the callers who have one now.
    pub(crate) fn resize(&self, places: usize, now: Instant) -> (Vec<R>, Vec<oneshot::Sender<T>>) {
        let mut state = self.state();
        state.places = places;
        state.reported = false;
        let excess = state.excess();
        let out = state.resting.drain(..excess).collect();
        let (mut next, mut many) = (Vec::new(), Vec::new());
        while state.taken < state.places
            && let Some(first) = state.queue.pop_front()
        {
            state.taken += 1;
            many.push(state.ends(&first, now));
            next.push(first.turn);
        }
        drop(state);
        many.into_iter().for_each(|many| self.waits.record(many));
        (out, next)
    }

    /// Records what was collected so far.
    pub(crate) fn record_waits(&self) {
        let waits = std::mem::take(&mut self.state().waits);
        self.waits.record(waits);
    }

    /// Waits until no place is taken any more; `close` must have been called.
    pub(crate) async fn emptied(&self) {
        let emptied = self.emptied.notified();
        if self.taken() > 0 {
            emptied.await;
        }
    }

    pub(crate) fn taken(&self) -> usize {
        self.state().taken
    }

    pub(crate) fn places(&self) -> usize {
        self.state().places
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.state().closed
    }

    fn free(&self, state: &mut State<R, T>) {
        state.taken -= 1;
        if state.closed && state.taken == 0 {
            self.emptied.notify_waiters();
        }
    }

    fn state(&self) -> MutexGuard<'_, State<R, T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<R, T> State<R, T> {
    /// Notes how long a caller waited that is handed something now, unless it has given up. Returns what is to be recorded.
    fn ends(&mut self, waiting: &Waiting<T>, now: Instant) -> Waits {
        if waiting.turn.is_closed() {
            return Waits::default();
        }
        self.waits.add(now.duration_since(waiting.since))
    }

    /// How many rest without a place.
    fn excess(&self) -> usize {
        (self.taken + self.resting.len()).saturating_sub(self.places).min(self.resting.len())
    }

    fn enter(&mut self) -> Entry<R> {
        if self.closed {
            return Entry::Closed;
        }
        if self.taken >= self.places {
            return Entry::Full;
        }
        self.taken += 1;
        let rested = self.resting.pop();
        let few = self.resting.len() < self.wanted && !self.reported;
        self.reported |= few;
        Entry::Entered { rested, few }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::Meters;

    const WAIT: Duration = Duration::from_secs(1);

    fn full() -> Gate<(), u8> {
        let gate = Gate::new(1, 0, WAIT, Meters::of_pool("test").waits());
        assert!(matches!(gate.enter(), Entry::Entered { rested: None, few: false }));
        gate
    }

    #[tokio::test]
    async fn those_that_gave_up_do_not_pile_up() {
        let gate = full();
        for _ in 0..10_000 {
            assert!(matches!(gate.enter_or_queue(Instant::now(), usize::MAX), Queued::Waiting { .. }));
            gate.desert();
        }
        assert!(gate.state().queue.capacity() < 16, "{}", gate.state().queue.capacity());
    }

    #[tokio::test]
    async fn the_time_of_the_first_is_watched_once() {
        let gate = full();
        let first = Instant::now();
        let second = first + Duration::from_millis(1);
        let Queued::Waiting { mut turn, unwatched: true } = gate.enter_or_queue(first, 2) else {
            panic!("nobody watches yet");
        };
        let Queued::Waiting { turn: _second, unwatched: false } = gate.enter_or_queue(second, 2) else {
            panic!("it is watched");
        };
        assert!(matches!(gate.enter_or_queue(second, 2), Queued::TooMany(2)));
        assert_eq!(gate.expire(first), Some(first + WAIT));
        assert_eq!(gate.expire(first + WAIT), Some(second + WAIT));
        assert!(matches!(turn.try_recv(), Err(oneshot::error::TryRecvError::Closed)));
        assert_eq!(gate.expire(second + WAIT), None);
    }
}
