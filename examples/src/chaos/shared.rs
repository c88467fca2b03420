//! What the handle and all connections of one proxy share.

use std::{
    net::SocketAddr,
    sync::atomic::{AtomicU64, Ordering},
};

use tokio::sync::watch;

use super::{
    Direction,
    fault::{End, Faults},
    snapshot::{Snapshot, Traffic},
};

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) server: SocketAddr,
    pub(super) seed: u64,
    /// The most bytes held in one direction of a connection.
    pub(super) buffer: usize,
    pub(super) settings: watch::Sender<Settings>,
    pub(super) counters: AllCounters,
}

/// What connections look at, and are told of when it changes.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Settings {
    pub(super) to_server: Faults,
    pub(super) to_client: Faults,
    /// Calls of `set` so far.
    pub(super) calls: u64,
    pub(super) orders: Orders,
}

/// How often all connections were told to end, so that one can see whether that was since it began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Orders {
    pub(super) resets: u64,
    pub(super) fins: u64,
    pub(super) half_opens: u64,
}

impl Settings {
    pub(super) fn faults(&self, direction: Direction) -> Faults {
        if direction == Direction::ToServer { self.to_server } else { self.to_client }
    }
}

impl Orders {
    /// The end that was ordered since `before`.
    pub(super) fn end_since(&self, before: Self) -> Option<End> {
        match (self.resets > before.resets, self.fins > before.fins) {
            (true, _) => Some(End::Reset),
            (false, true) => Some(End::Fin),
            (false, false) => None,
        }
    }
}

impl Shared {
    pub(super) fn new(server: SocketAddr, seed: u64, buffer: usize) -> Self {
        let settings = watch::Sender::new(Settings::default());
        Self { server, seed, buffer, settings, counters: AllCounters::default() }
    }

    /// Takes away the cut for one connection that came with this call of `set`. True for the first who asks.
    pub(super) fn claim_cut(&self, call: u64) -> bool {
        self.settings.send_if_modified(|settings| {
            let mut claimed = false;
            for faults in [&mut settings.to_server, &mut settings.to_client] {
                claimed |= faults.cut.take_if(|cut| cut.once == Some(call)).is_some();
            }
            claimed
        })
    }

    pub(super) fn snapshot(&self) -> Snapshot {
        let counters = &self.counters;
        Snapshot {
            seed: self.seed,
            accepted: counters.accepted.value(),
            live: counters.live.value(),
            half_open: counters.half_open.value(),
            unreachable: counters.unreachable.value(),
            cuts: counters.cuts.value(),
            dropped: counters.dropped.value(),
            to_server: counters.to_server.traffic(),
            to_client: counters.to_client.traffic(),
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct AllCounters {
    pub(super) accepted: Counter,
    pub(super) live: Counter,
    pub(super) half_open: Counter,
    pub(super) unreachable: Counter,
    pub(super) cuts: Counter,
    pub(super) dropped: Counter,
    to_server: Counters,
    to_client: Counters,
}

impl AllCounters {
    pub(super) fn of(&self, direction: Direction) -> &Counters {
        if direction == Direction::ToServer { &self.to_server } else { &self.to_client }
    }
}

#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) taken: Counter,
    pub(super) passed: Counter,
    pub(super) swallowed: Counter,
    pub(super) flipped: Counter,
}

impl Counters {
    fn traffic(&self) -> Traffic {
        Traffic {
            taken: self.taken.value(),
            passed: self.passed.value(),
            swallowed: self.swallowed.value(),
            flipped_bits: self.flipped.value(),
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    pub(super) fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    /// Counts one more until the guard is dropped.
    pub(super) fn hold(&self) -> Held<'_> {
        self.add(1);
        Held(self)
    }

    fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

pub(super) struct Held<'a>(&'a Counter);

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::{
        super::fault::{End, Fault, Faults},
        Shared,
    };

    #[test]
    fn a_cut_for_one_connection_is_claimed_once() {
        let shared = Shared::new(SocketAddr::from(([127, 0, 0, 1], 1)), 7, 100);
        shared.settings.send_modify(|settings| {
            settings.to_server = Faults::new([Fault::CutOnce { after: 1, end: End::Fin }, Fault::Stall], 5);
            settings.to_client = Faults::new([Fault::CutOnce { after: 1, end: End::Fin }], 6);
        });
        assert_eq!([5, 5, 4].map(|call| shared.claim_cut(call)), [true, false, false]);
        let settings = *shared.settings.borrow();
        assert!(settings.to_server.cut.is_none() && settings.to_server.stalled, "other faults stay");
        assert!(shared.claim_cut(6), "that of another call is another");
    }
}
