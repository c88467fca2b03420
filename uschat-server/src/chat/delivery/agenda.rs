use std::collections::{BTreeSet, VecDeque};

use uschat_proto::chat::ThreadId;

/// What is to be asked of the store for one session, one thing at a time.
#[derive(Debug, Default)]
pub(super) struct Agenda {
    /// Conversations of which nobody has asked where the user stands.
    unknown: BTreeSet<ThreadId>,
    /// Conversations with a gap, and the own requests that must be answered before the store is asked: they may be the gap.
    gaps: VecDeque<(ThreadId, u64)>,
    /// What waits for the user is read on behind this conversation.
    unread: Option<ThreadId>,
    /// Somebody is at it.
    taken: bool,
}

/// What to ask the store next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Job {
    /// Where the user stands in these conversations.
    Standings(Vec<ThreadId>),
    /// The texts of this conversation, when so many own requests were answered.
    Texts(ThreadId, u64),
    /// What waits behind this conversation.
    Waiting(ThreadId),
}

impl Agenda {
    /// Conversations asked for at once.
    pub(super) const BATCH: usize = 256;

    /// Somebody must ask where the user stands in this conversation.
    pub(super) fn add_unknown(&mut self, thread: ThreadId) {
        self.unknown.insert(thread);
    }

    pub(super) fn remove_unknown(&mut self, thread: ThreadId) {
        self.unknown.remove(&thread);
    }

    /// The texts of this conversation must be read. Called once until [`Agenda::next`] says so.
    pub(super) fn add_gap(&mut self, thread: ThreadId, answered: u64) {
        self.gaps.push_back((thread, answered));
    }

    /// What waits must be read on behind this conversation, or is read to its end.
    pub(super) fn set_unread(&mut self, after: Option<ThreadId>) {
        self.unread = after;
    }

    /// Whether somebody must begin. Whoever does so goes on until [`Agenda::next`] has nothing more.
    pub(super) fn begin(&mut self) -> bool {
        let is_empty = self.unknown.is_empty() && self.gaps.is_empty() && self.unread.is_none();
        let begin = !self.taken && !is_empty;
        self.taken |= begin;
        begin
    }

    /// The next thing. Conversations take turns; what waits is read on when no gap is left, so that gaps stay few.
    pub(super) fn next(&mut self) -> Option<Job> {
        let job = if !self.unknown.is_empty() {
            Some(Job::Standings(self.unknown.iter().copied().take(Self::BATCH).collect()))
        } else if let Some((thread, answered)) = self.gaps.pop_front() {
            Some(Job::Texts(thread, answered))
        } else {
            self.unread.map(Job::Waiting)
        };
        self.taken = job.is_some();
        job
    }
}
