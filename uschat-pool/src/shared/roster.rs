//! Who is in a set: its connections, how many it should have, and the connect that is under way.

use std::{
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{sync::oneshot, time::Instant};

use super::{Handle, core::Core};
use crate::{Manager, PoolError};

/// What the set keeps under its lock. The lock is held for each hand-out, so nothing here waits, and no connection is
/// dropped here.
pub(super) struct Roster<M: Manager> {
    members: Vec<Member<M>>,
    /// Connections that were replaced while handles of them were out.
    left: Vec<Weak<Tally<M>>>,
    /// So many connections the callers needed at one time; what breaks is replaced up to there.
    wanted: usize,
    /// What `wanted` may become.
    size: usize,
    /// The number of the last connection that was made.
    made: u64,
    /// The one connect that is asked for or under way.
    pub(super) order: Option<Order<M>>,
    /// Upkeep looks for connections that have stalled, or never does.
    pub(super) watched: bool,
    pub(super) closed: bool,
}

/// A connect.
pub(super) struct Order<M: Manager> {
    /// Who is told how it ends; nobody if it is made for later callers.
    pub(super) caller: Option<Caller<M>>,
    pub(super) started: bool,
}

pub(super) type Caller<M> = oneshot::Sender<Result<Handle<M>, PoolError<<M as Manager>::Error>>>;

/// One live connection.
pub(super) struct Member<M: Manager> {
    connection: M::Connection,
    tally: Arc<Tally<M>>,
    /// Since then handles of it were out and none came back, as far as was looked.
    quiet_since: Option<Instant>,
}

/// What a connection's handles share. They are counted by its references: taking and dropping a handle is one atomic step
/// each.
pub(super) struct Tally<M: Manager> {
    number: u64,
    set: Weak<Core<M>>,
    /// A handle was dropped since somebody looked.
    came_back: AtomicBool,
}

impl<M: Manager> Roster<M> {
    pub(super) fn new(size: usize, watched: bool) -> Self {
        Self { members: Vec::new(), left: Vec::new(), wanted: 0, size, made: 0, order: None, watched, closed: false }
    }

    pub(super) fn live(&self) -> usize {
        self.members.len()
    }

    /// A connection was lost, or callers need one more.
    pub(super) fn is_short(&self) -> bool {
        self.members.len() < self.wanted
    }

    /// Handles in use, those of connections that were replaced included.
    pub(super) fn handles(&self) -> usize {
        self.members.iter().map(Member::load).sum::<usize>() + self.left.iter().map(Weak::strong_count).sum::<usize>()
    }

    /// Takes out the connection of that number; one that was taken out already changes nothing.
    pub(super) fn remove(&mut self, number: u64) -> Option<Member<M>> {
        let at = self.members.iter().position(|member| member.tally.number == number)?;
        Some(self.take(at))
    }

    /// Takes out all connections and the connect under way, for good.
    pub(super) fn close(&mut self) -> (Vec<Member<M>>, Option<Order<M>>) {
        self.closed = true;
        self.left.extend(self.members.iter().map(|member| Arc::downgrade(&member.tally)));
        (std::mem::take(&mut self.members), self.order.take())
    }

    /// Takes out the connection at that place.
    pub(super) fn take(&mut self, at: usize) -> Member<M> {
        let member = self.members.remove(at);
        self.left.retain(|tally| tally.strong_count() > 0);
        self.left.push(Arc::downgrade(&member.tally));
        member
    }

    /// The place of the connection that has the fewest handles.
    pub(super) fn least_loaded(&self) -> Option<usize> {
        let loads = self.members.iter().map(Member::load).enumerate();
        loads.min_by_key(|(_, load)| *load).map(|(at, _)| at)
    }

    pub(super) fn connection(&self, at: usize) -> &M::Connection {
        &self.members[at].connection
    }
}

impl<M: Manager<Connection: Clone>> Roster<M> {
    /// Hands out the least loaded connection, which is at that place. If it is in use already, one more is needed. Says
    /// whether upkeep has something to do.
    pub(super) fn lend(&mut self, at: usize) -> (Handle<M>, bool) {
        let member = &self.members[at];
        let grows = self.members.len() == self.wanted && self.wanted < self.size && member.load() > 0;
        let news = grows || !self.watched;
        let handle = member.lend();
        if news {
            self.wanted += usize::from(grows);
            self.watched = true;
        }
        (handle, news)
    }

    /// Adds a new connection, and hands it out if it was made for somebody.
    pub(super) fn add(&mut self, connection: M::Connection, set: &Arc<Core<M>>, lent: bool) -> Option<Handle<M>> {
        self.made += 1;
        let tally = Tally { number: self.made, set: Arc::downgrade(set), came_back: AtomicBool::new(false) };
        let member = Member { connection, tally: Arc::new(tally), quiet_since: None };
        let handle = lent.then(|| member.lend());
        self.watched |= lent;
        self.members.push(member);
        self.wanted = self.wanted.max(self.members.len());
        handle
    }

    /// Connections from which nothing came back for so long, though handles of them were out. They are named once; then
    /// their time begins anew. If no handle is out at all, nobody needs to look before the next one is.
    pub(super) fn stalled(&mut self, now: Instant, stall_after: Duration) -> Vec<(u64, M::Connection)> {
        let mut stalled = Vec::new();
        for Member { connection, tally, quiet_since } in &mut self.members {
            let came_back = tally.came_back.swap(false, Ordering::Relaxed);
            match *quiet_since {
                _ if came_back => *quiet_since = None,
                Some(since) if now.duration_since(since) >= stall_after => {
                    stalled.push((tally.number, connection.clone()));
                    *quiet_since = None;
                }
                None if tally.handles() > 0 => *quiet_since = Some(now),
                Some(_) | None => {}
            }
        }
        self.watched = self.members.iter().any(|member| member.load() > 0);
        stalled
    }
}

impl<M: Manager> Member<M> {
    fn load(&self) -> usize {
        self.tally.handles()
    }
}

impl<M: Manager<Connection: Clone>> Member<M> {
    fn lend(&self) -> Handle<M> {
        Handle::new(self.connection.clone(), Arc::clone(&self.tally))
    }
}

impl<M: Manager> Tally<M> {
    /// Handles in use: every reference but the member's own.
    fn handles(self: &Arc<Self>) -> usize {
        Arc::strong_count(self) - 1
    }

    /// A handle ends after its use.
    pub(super) fn note_return(&self) {
        self.came_back.store(true, Ordering::Relaxed);
    }

    /// The set, if it still exists, and the connection's number in it.
    pub(super) fn place(&self) -> Option<(Arc<Core<M>>, u64)> {
        Some((self.set.upgrade()?, self.number))
    }
}

/// The connection was replaced, and its last handle is gone.
impl<M: Manager> Drop for Tally<M> {
    fn drop(&mut self) {
        if let Some(set) = self.set.upgrade() {
            set.emptied.notify_waiters();
        }
    }
}
