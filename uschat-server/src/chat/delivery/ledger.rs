use std::collections::BTreeSet;

use foldhash::{HashMap, HashSet};
use uschat_proto::chat::{ThreadId, UserId};

use super::{
    agenda::{Agenda, Job},
    conversation::Conversation,
    marks::Marks,
};
use crate::store::{Standing, StoredText};

/// What one session was told of all its user's conversations, without any I/O. [`Conversation`] keeps the order of each;
/// this decides what may be told at all, and has the [`Agenda`] of what is to be asked of the store.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    me: UserId,
    pub(super) client: Client,
    /// Whether texts may be told. Before, only what a client has loaded itself goes on.
    live: bool,
    conversations: HashMap<ThreadId, Conversation>,
    agenda: Agenda,
    held_bytes: usize,
    handed_over: u64,
    answered: u64,
    marks: Marks,
    /// Conversations whose progress may have moved.
    moved: HashSet<ThreadId>,
    /// Cursors taken, and whether the last of them has come.
    pub(super) cursors: usize,
    pub(super) synced: bool,
}

/// How a client learns of texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Client {
    /// An original client that shows what it is told.
    #[default]
    Plain,
    /// One of another make, which can bear any text at any time.
    Coalescing,
    /// An original client that loads conversations and texts itself after a login, and cannot bear texts of one it has not heard of.
    Loading,
    /// It says what it has, and is told the rest.
    Syncing,
}

/// Where a conversation is to be read on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Gap {
    pub(super) after: i64,
    /// The highest number heard of at this moment.
    pub(super) heard: i64,
}

impl Ledger {
    /// Texts that came early are held back up to so many bytes; the others are read from the store.
    const HELD_BYTES: usize = 64 * 1024;

    pub(super) fn open(&mut self, me: UserId, client: Client) {
        (self.me, self.client) = (me, client);
    }

    /// Whether texts may be told.
    pub(super) fn is_live(&self) -> bool {
        self.live
    }

    /// From now on texts are told, beginning with what waits in the store.
    pub(super) fn go_live(&mut self) {
        if self.live {
            return;
        }
        self.live = true;
        self.agenda.set_unread(Some(ThreadId(0)));
        let threads: Vec<_> = self.conversations.keys().copied().collect();
        threads.into_iter().for_each(|thread| self.note_gap(thread, 0));
    }

    /// Texts were heard of. Returns what is to be pushed at once, if there is room.
    pub(super) fn hint(&mut self, thread: ThreadId, texts: Vec<StoredText>, room: bool) -> Vec<StoredText> {
        let Some(last) = texts.iter().map(|text| text.seq).max() else { return Vec::new() };
        self.conversation(thread).hear(last);
        let mut next = Vec::new();
        if room && self.may_push(thread) {
            next = self.change(thread, |conversation, unpushed| conversation.hint(texts, unpushed));
            if self.held_bytes > Self::HELD_BYTES {
                self.change(thread, |conversation, _| conversation.drop_held());
            }
        }
        self.note_gap(thread, self.handed_over);
        next
    }

    /// A text with this number exists. Says whether that is news.
    pub(super) fn hear(&mut self, thread: ThreadId, seq: i64) -> bool {
        let news = self.conversation(thread).hear(seq);
        self.note_gap(thread, self.handed_over);
        news
    }

    /// The client was shown these texts otherwise. Returns what may be pushed by now, if there is room.
    pub(super) fn show(
        &mut self,
        thread: ThreadId,
        seqs: impl IntoIterator<Item = i64>,
        room: bool,
    ) -> Vec<StoredText> {
        self.change(thread, |conversation, _| conversation.show(seqs));
        self.note_moved(thread);
        let mut next = Vec::new();
        if room && self.may_push(thread) {
            next = self.change(thread, Conversation::release);
        }
        self.note_gap(thread, self.handed_over);
        next
    }

    /// The client has heard of this conversation. Says whether that is news.
    pub(super) fn introduce(&mut self, thread: ThreadId) -> bool {
        !std::mem::replace(&mut self.conversation(thread).introduced, true)
    }

    /// A client that loads was served everything up to this number, and `all` there is.
    pub(super) fn serve(&mut self, thread: ThreadId, seq: i64, all: bool) {
        self.change(thread, |conversation, _| {
            conversation.know(seq);
            conversation.loaded |= all;
            conversation.introduced = true;
        });
        self.note_moved(thread);
        self.note_gap(thread, 0);
    }

    /// Where the client says it is, before the session is live.
    pub(super) fn begin_at(&mut self, standing: &Standing, seq: i64) {
        self.change(standing.thread, |conversation, _| {
            conversation.begin_at(standing, seq);
            conversation.note_delivered(seq);
        });
        self.moved.insert(standing.thread);
    }

    /// What the store says of conversations `asked` for; one that it leaves out is not the user's.
    pub(super) fn stand(&mut self, asked: &[ThreadId], standings: &[Standing]) {
        standings.iter().for_each(|standing| self.begin(standing, self.handed_over));
        for thread in asked {
            self.agenda.remove_unknown(*thread);
            if self.conversations.get(thread).is_some_and(|conversation| conversation.told().is_none()) {
                self.change(*thread, |conversation, _| conversation.drop_held());
                self.conversations.remove(thread);
            }
        }
    }

    /// What waits in the store, read behind a conversation; with fewer than [`Agenda::BATCH`] that is all.
    pub(super) fn wait(&mut self, standings: &[Standing]) {
        let last = standings.last().filter(|_| standings.len() >= Agenda::BATCH);
        self.agenda.set_unread(last.map(|last| last.thread));
        standings.iter().for_each(|standing| self.begin(standing, 0));
    }

    /// As [`Agenda::begin`].
    pub(super) fn begin_filling(&mut self) -> bool {
        self.agenda.begin()
    }

    /// As [`Agenda::next`].
    pub(super) fn next_job(&mut self) -> Option<Job> {
        let job = self.agenda.next();
        if let Some(Job::Texts(thread, _)) = job {
            self.conversation(thread).due = false;
        }
        job
    }

    /// What was held back and comes next by now, and what is missing behind it.
    pub(super) fn release(&mut self, thread: ThreadId) -> (Vec<StoredText>, Option<Gap>) {
        let next = self.change(thread, Conversation::release);
        let conversation = self.conversation(thread);
        let gap = conversation.told().filter(|_| conversation.has_gap());
        (next, gap.map(|after| Gap { after, heard: conversation.wanted() }))
    }

    /// Takes what the store had in a gap. Returns what is to be pushed.
    pub(super) fn page(&mut self, thread: ThreadId, texts: Vec<StoredText>) -> Vec<StoredText> {
        let next = self.change(thread, |conversation, unpushed| conversation.page(texts, unpushed));
        self.note_moved(thread);
        next
    }

    /// A page of a gap is told; `last` says that the store had no more.
    pub(super) fn end_page(&mut self, thread: ThreadId, gap: Gap, last: bool) {
        if last {
            self.conversation(thread).read_to_end(gap.heard);
        }
        self.note_gap(thread, 0);
    }

    /// Whether one of these is an own text that may be under way in this session: so many must be answered to know.
    pub(super) fn may_be_answered(&self, thread: ThreadId, texts: &[StoredText]) -> Option<u64> {
        let conversation = self.conversations.get(&thread)?;
        let unsure = |text: &&StoredText| text.sender == self.me && !conversation.is_shown(text.seq);
        let wait = self.client == Client::Syncing && self.answered < self.handed_over;
        texts.iter().find(unsure).filter(|_| wait).map(|_| self.handed_over)
    }

    /// The other user of a conversation that has begun.
    pub(super) fn peer(&self, thread: ThreadId) -> UserId {
        self.conversations.get(&thread).map_or_else(UserId::default, |conversation| conversation.peer)
    }

    /// Asks again later for what a job could not get.
    pub(super) fn retry(&mut self, job: &Job) {
        if let Job::Texts(thread, answered) = job {
            self.note_gap(*thread, *answered);
        }
    }

    /// An own request is handed to the store.
    pub(super) fn hand_over(&mut self) {
        self.handed_over += 1;
    }

    /// The oldest own request is answered.
    pub(super) fn answer(&mut self) {
        self.answered += 1;
    }

    pub(super) fn is_answered(&self, requests: u64) -> bool {
        self.answered >= requests
    }

    /// The mark to set behind what was just pushed of this conversation.
    pub(super) fn mark(&mut self, thread: ThreadId) -> Option<u64> {
        let told = self.conversations.get(&thread)?.told()?;
        if self.client == Client::Syncing { None } else { self.marks.told(thread, told) }
    }

    /// The mark to set for what the client got otherwise.
    pub(super) fn mark_rest(&mut self) -> Option<u64> {
        let Self { marks, conversations, .. } = self;
        marks.mark_rest(|thread| conversations.get(&thread)?.told())
    }

    /// The client's system has everything up to this mark.
    pub(super) fn confirm(&mut self, mark: u64) {
        for (thread, seq) in self.marks.confirmed(mark) {
            self.report(thread, seq, 0);
        }
    }

    /// The client has got this far. What lies above what it was told does not count before it is told.
    pub(super) fn report(&mut self, thread: ThreadId, delivered: i64, read: i64) {
        let Some(conversation) = self.conversations.get_mut(&thread) else { return };
        conversation.note_delivered(delivered);
        conversation.note_read(read);
        self.moved.insert(thread);
    }

    /// Those of these conversations of which nothing is known.
    pub(super) fn strangers(&self, threads: impl Iterator<Item = ThreadId>) -> Vec<ThreadId> {
        let told = |thread: &ThreadId| self.conversations.get(thread).and_then(Conversation::told);
        threads.filter(|thread| told(thread).is_none()).collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// Delivered and read of every conversation that moved.
    pub(super) fn take_progress(&mut self) -> Vec<(ThreadId, i64, i64)> {
        let mut news = Vec::new();
        let conversations = &mut self.conversations;
        self.moved.retain(|thread| {
            let Some(conversation) = conversations.get_mut(thread) else { return false };
            let (moved, more) = conversation.take_progress();
            news.extend(moved.map(|(delivered, read)| (*thread, delivered, read)));
            more
        });
        news
    }

    fn begin(&mut self, standing: &Standing, answered: u64) {
        let thread = standing.thread;
        self.agenda.remove_unknown(thread);
        self.change(thread, |conversation, _| conversation.begin(standing));
        if self.conversation(thread).told() > Some(standing.delivered) {
            self.note_moved(thread);
        }
        self.note_gap(thread, answered);
    }

    fn may_push(&self, thread: ThreadId) -> bool {
        self.live || self.conversations.get(&thread).is_some_and(|conversation| conversation.loaded)
    }

    fn conversation(&mut self, thread: ThreadId) -> &mut Conversation {
        self.conversations.entry(thread).or_default()
    }

    /// Lets a conversation change, and counts what it holds back.
    fn change<T>(&mut self, thread: ThreadId, change: impl FnOnce(&mut Conversation, Option<UserId>) -> T) -> T {
        let unpushed = (self.client != Client::Syncing).then_some(self.me);
        let conversation = self.conversations.entry(thread).or_default();
        let before = conversation.held_bytes();
        let outcome = change(conversation, unpushed);
        self.held_bytes = self.held_bytes - before + conversation.held_bytes();
        outcome
    }

    /// The client has got further without a push.
    fn note_moved(&mut self, thread: ThreadId) {
        if self.client == Client::Syncing {
            self.moved.insert(thread);
        } else {
            self.marks.moved(thread);
        }
    }

    /// Has a gap filled, or an unknown conversation asked for, as soon as that may be.
    fn note_gap(&mut self, thread: ThreadId, answered: u64) {
        let may_push = self.may_push(thread);
        let conversation = self.conversations.entry(thread).or_default();
        if conversation.told().is_none() {
            if self.live {
                self.agenda.add_unknown(thread);
            }
        } else if may_push && conversation.has_gap() && !conversation.due {
            conversation.due = true;
            self.agenda.add_gap(thread, answered);
        }
    }
}

#[cfg(test)]
#[path = "ledger_tests.rs"]
mod tests;
