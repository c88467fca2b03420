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
    entries: Vec<Entry<M>>,
    /// Connections that were replaced while handles of them were out.
    left: Vec<Weak<Member<M>>>,
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
struct Entry<M: Manager> {
    member: Arc<Member<M>>,
    /// Since then handles of it were out and none came back, as far as was looked.
    quiet_since: Option<Instant>,
}

/// A connection, and what its handles share. They are counted by its references: taking and dropping a handle is one atomic
/// step each.
pub(super) struct Member<M: Manager> {
    number: u64,
    connection: M::Connection,
    set: Weak<Core<M>>,
    /// A handle was dropped since somebody looked.
    came_back: AtomicBool,
}

impl<M: Manager> Roster<M> {
    pub(super) fn new(size: usize, watched: bool) -> Self {
        Self { entries: Vec::new(), left: Vec::new(), wanted: 0, size, made: 0, order: None, watched, closed: false }
    }

    pub(super) fn live(&self) -> usize {
        self.entries.len()
    }

    /// A connection was lost, or callers need one more.
    pub(super) fn is_short(&self) -> bool {
        self.entries.len() < self.wanted
    }

    /// Handles in use, those of connections that were replaced included.
    pub(super) fn handles(&self) -> usize {
        self.entries.iter().map(Entry::load).sum::<usize>() + self.left.iter().map(Weak::strong_count).sum::<usize>()
    }

    /// Takes out the connection of that number; one that was taken out already changes nothing.
    pub(super) fn remove(&mut self, number: u64) -> Option<Arc<Member<M>>> {
        let at = self.entries.iter().position(|entry| entry.member.number == number)?;
        Some(self.take(at))
    }

    /// Takes out all connections and the connect under way, for good.
    pub(super) fn close(&mut self) -> (Vec<Arc<Member<M>>>, Option<Order<M>>) {
        self.closed = true;
        let members: Vec<_> = self.entries.drain(..).map(|entry| entry.member).collect();
        self.left.extend(members.iter().map(Arc::downgrade));
        (members, self.order.take())
    }

    /// Takes out the connection at that place.
    pub(super) fn take(&mut self, at: usize) -> Arc<Member<M>> {
        let member = self.entries.remove(at).member;
        self.left.retain(|tally| tally.strong_count() > 0);
        self.left.push(Arc::downgrade(&member));
        member
    }

    /// The place of the connection that has the fewest handles.
    pub(super) fn least_loaded(&self) -> Option<usize> {
        let loads = self.entries.iter().map(Entry::load).enumerate();
        loads.min_by_key(|(_, load)| *load).map(|(at, _)| at)
    }

    pub(super) fn connection(&self, at: usize) -> &M::Connection {
        &self.entries[at].member.connection
    }
}

impl<M: Manager<Connection: Clone + Sync>> Roster<M> {
    /// Hands out the least loaded connection, which is at that place, to be made a handle of outside of the lock. If it is in
    /// use already, one more is needed. Says whether upkeep has something to do.
    pub(super) fn lend(&mut self, at: usize) -> (Arc<Member<M>>, bool) {
        let entry = &self.entries[at];
        let grows = self.entries.len() == self.wanted && self.wanted < self.size && entry.load() > 0;
        let news = grows || !self.watched;
        let member = Arc::clone(&entry.member);
        if news {
            self.wanted += usize::from(grows);
            self.watched = true;
        }
        (member, news)
    }

    /// Adds a new connection, and hands it out if it was made for somebody.
    pub(super) fn add(&mut self, connection: M::Connection, set: &Arc<Core<M>>, lent: bool) -> Option<Handle<M>> {
        self.made += 1;
        let (set, came_back) = (Arc::downgrade(set), AtomicBool::new(false));
        let member = Arc::new(Member { number: self.made, connection, set, came_back });
        let handle = lent.then(|| Member::handle(Arc::clone(&member)));
        self.watched |= lent;
        self.entries.push(Entry { member, quiet_since: None });
        self.wanted = self.wanted.max(self.entries.len());
        handle
    }

    /// Connections from which nothing came back for so long, though handles of them were out. They are named once; then
    /// their time begins anew. If no handle is out at all, nobody needs to look before the next one is.
    pub(super) fn stalled(&mut self, now: Instant, stall_after: Duration) -> Vec<(u64, M::Connection)> {
        let mut stalled = Vec::new();
        for entry in &mut self.entries {
            let in_use = entry.load() > 0;
            let Entry { member, quiet_since } = entry;
            let came_back = member.came_back.swap(false, Ordering::Relaxed);
            match *quiet_since {
                _ if came_back => *quiet_since = None,
                Some(since) if now.duration_since(since) >= stall_after => {
                    stalled.push((member.number, member.connection.clone()));
                    *quiet_since = None;
                }
                None if in_use => *quiet_since = Some(now),
                Some(_) | None => {}
            }
        }
        self.watched = self.entries.iter().any(|entry| entry.load() > 0);
        stalled
    }
}

impl<M: Manager> Entry<M> {
    /// Handles in use: every reference but this one.
    fn load(&self) -> usize {
        Arc::strong_count(&self.member) - 1
    }
}

impl<M: Manager<Connection: Clone + Sync>> Member<M> {
    pub(super) fn handle(self: Arc<Self>) -> Handle<M> {
        Handle::new(self.connection.clone(), self)
    }
}

impl<M: Manager> Member<M> {
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
impl<M: Manager> Drop for Member<M> {
    fn drop(&mut self) {
        if let Some(set) = self.set.upgrade() {
            set.emptied.notify_waiters();
        }
    }
}
