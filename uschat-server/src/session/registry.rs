use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use dashmap::{DashMap, Entry};
use metrics::Gauge;

use super::{CloseReason, Session, SessionId};
use crate::Application;

/// Every live session of a server, and which of them is whose. One live session a user: the last to log in.
pub struct Sessions<A: Application>(Arc<Inner<A>>);

struct Inner<A: Application> {
    next_id: AtomicU64,
    all: DashMap<SessionId, Session<A>>,
    by_user: DashMap<A::User, Session<A>>,
}

impl<A: Application> Sessions<A> {
    pub(super) fn new() -> Self {
        Self(Arc::new(Inner { next_id: AtomicU64::new(1), all: DashMap::new(), by_user: DashMap::new() }))
    }

    /// The live session of a user.
    #[must_use]
    pub fn of(&self, user: &A::User) -> Option<Session<A>> {
        self.0.by_user.get(user).map(|entry| entry.value().clone())
    }

    /// The session with this number.
    #[must_use]
    pub fn get(&self, id: SessionId) -> Option<Session<A>> {
        self.0.all.get(&id).map(|entry| entry.value().clone())
    }

    /// How many connections are open.
    #[must_use]
    pub fn open(&self) -> usize {
        self.0.all.len()
    }

    /// How many users are logged in.
    #[must_use]
    pub fn logged_in(&self) -> usize {
        self.0.by_user.len()
    }

    /// The users logged in at this moment, in no order.
    #[must_use]
    pub fn users(&self) -> Vec<(A::User, Session<A>)> {
        self.0.by_user.iter().map(|entry| (entry.key().clone(), entry.value().clone())).collect()
    }

    /// Takes a session out of routing, so that pushes to its user no longer find it; false when a later login did so.
    pub fn leave(&self, session: &Session<A>) -> bool {
        let Some(user) = session.user() else { return false };
        self.0.by_user.remove_if(user, |_, current| current == session).is_some()
    }

    /// Puts a session into routing unless its user has one that it does not supersede; returns the one it displaces. A
    /// session that has ended is left out.
    pub(crate) fn enter(
        &self,
        user: A::User,
        session: &Session<A>,
        supersedes: impl FnOnce(&Session<A>) -> bool,
    ) -> Result<Option<Session<A>>, ()> {
        if !self.0.all.contains_key(&session.id()) {
            return Ok(None);
        }
        let displaced = match self.0.by_user.entry(user) {
            Entry::Occupied(entry) if !supersedes(entry.get()) => return Err(()),
            Entry::Occupied(mut entry) => Some(entry.insert(session.clone())),
            Entry::Vacant(entry) => {
                entry.insert(session.clone());
                None
            }
        };
        // It may have ended since the first look, and its registration found no user to take out.
        if !self.0.all.contains_key(&session.id()) {
            self.leave(session);
        }
        Ok(displaced)
    }

    /// Ends every session with this reason.
    pub(super) fn close_all(&self, reason: &CloseReason) {
        // Collected first: ending a session wakes its task, which wants the registry too.
        let all: Vec<_> = self.0.all.iter().map(|entry| entry.value().clone()).collect();
        all.iter().for_each(|session| session.close(reason.clone()));
    }

    pub(super) fn next_id(&self) -> SessionId {
        SessionId(self.0.next_id.fetch_add(1, Ordering::Relaxed))
    }

    pub(super) fn register(&self, session: &Session<A>, open: Gauge) -> Registration<A> {
        self.0.all.insert(session.id(), session.clone());
        open.increment(1.0);
        Registration { sessions: self.clone(), session: session.clone(), open }
    }
}

/// Keeps a session in the registry; also a session task that is dropped half-way leaves nothing behind.
pub(super) struct Registration<A: Application> {
    sessions: Sessions<A>,
    session: Session<A>,
    open: Gauge,
}

impl<A: Application> Drop for Registration<A> {
    fn drop(&mut self) {
        // In this order: a late login that no longer sees the number takes itself out of routing.
        self.sessions.0.all.remove(&self.session.id());
        self.sessions.leave(&self.session);
        self.open.decrement(1.0);
    }
}

impl<A: Application> Clone for Sessions<A> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<A: Application> fmt::Debug for Sessions<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sessions").field("open", &self.open()).field("logged_in", &self.logged_in()).finish()
    }
}
