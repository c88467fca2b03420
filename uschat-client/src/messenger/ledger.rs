//! What the application has got, and how much of that the server was told.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use uschat_proto::chat::{Fingerprint, Mark, ProgressRequest, ThreadId};

use super::cursors::Cursors;
use super::inbox::Incoming;

/// So many texts are told at once; fewer wait a moment for others.
const BATCH: usize = 64;

/// Bounded by the number of conversations.
#[derive(Debug)]
pub(super) struct Ledger {
    cursors: Cursors,
    /// The first text of what the application has in its hands.
    in_hand: Option<(ThreadId, i64)>,
    /// Conversations with news for the server, and how many texts those are.
    news: BTreeSet<ThreadId>,
    texts: usize,
    delivered: HashMap<ThreadId, i64>,
    read: BTreeMap<ThreadId, i64>,
    read_told: HashMap<ThreadId, i64>,
}

/// When to tell the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Urgency {
    Nothing,
    Soon,
    Now,
}

impl Ledger {
    pub(super) fn new(cursors: Cursors) -> Self {
        Self {
            cursors,
            in_hand: None,
            news: BTreeSet::new(),
            texts: 0,
            delivered: HashMap::new(),
            read: BTreeMap::new(),
            read_told: HashMap::new(),
        }
    }

    pub(super) fn cursors(&self) -> Cursors {
        self.cursors.clone()
    }

    /// The application has this in its hands now.
    pub(super) fn taken(&mut self, incoming: &Incoming) {
        match incoming {
            Incoming::Text(text) => {
                self.in_hand = Some((text.thread_id, text.seq));
                self.cursors.positions.entry(text.thread_id).or_default().pass(text.seq, text.fingerprint());
            }
            Incoming::FriendApproved { friend } => {
                self.in_hand = friend.greetings.first().map(|greeting| (greeting.thread_id, greeting.seq));
                for greeting in &friend.greetings {
                    let fingerprint = Fingerprint::of(greeting.message_id, greeting.sender, &greeting.content);
                    self.cursors.positions.entry(greeting.thread_id).or_default().add(greeting.seq, fingerprint);
                }
            }
            Incoming::ConversationReplaced { thread_id, cursor } => {
                self.forget(*thread_id);
                self.cursors.positions.insert(*thread_id, (*cursor).into());
            }
            _ => {}
        }
    }

    /// The application is done with what it had in its hands.
    pub(super) fn confirm(&mut self) {
        if let Some((thread, _)) = self.in_hand.take() {
            self.news.insert(thread);
            self.texts += 1;
        }
    }

    /// The application was told where an own text, or one it asked for itself, is stored.
    pub(super) fn acknowledged(&mut self, thread: ThreadId, seq: i64, fingerprint: Fingerprint) {
        self.cursors.positions.entry(thread).or_default().add(seq, fingerprint);
        self.news.insert(thread);
        self.texts += 1;
    }

    pub(super) fn mark_read(&mut self, thread: ThreadId, seq: i64) {
        let known = self.read.get(&thread).or_else(|| self.read_told.get(&thread));
        if known.is_none_or(|known| *known < seq) {
            self.read.insert(thread, seq);
        }
    }

    pub(super) fn forget(&mut self, thread: ThreadId) {
        self.cursors.positions.remove(&thread);
        self.news.remove(&thread);
        self.delivered.remove(&thread);
        self.read.remove(&thread);
        self.read_told.remove(&thread);
    }

    pub(super) fn urgency(&self) -> Urgency {
        if self.texts >= BATCH {
            Urgency::Now
        } else if self.news.is_empty() && self.read.is_empty() {
            Urgency::Nothing
        } else {
            Urgency::Soon
        }
    }

    /// As much news as one request carries; nothing if there is none after all.
    pub(super) fn request(&mut self) -> Option<ProgressRequest> {
        let mut request = ProgressRequest::default();
        self.texts = 0;
        let mut idle = Vec::new();
        for &thread_id in &self.news {
            if request.delivered.len() == ProgressRequest::MAX_MARKS {
                break;
            }
            match self.delivered_of(thread_id) {
                Some(seq) if self.is_untold(thread_id, seq) => request.delivered.push(Mark { thread_id, seq }),
                _ => idle.push(thread_id),
            }
        }
        for thread in idle {
            self.news.remove(&thread);
        }
        let room = ProgressRequest::MAX_MARKS - request.delivered.len();
        request.read = self.read.iter().take(room).map(|(&thread_id, &seq)| Mark { thread_id, seq }).collect();
        (request.delivered.len() + request.read.len() > 0).then_some(request)
    }

    /// The server has it.
    pub(super) fn told(&mut self, request: &ProgressRequest) {
        for mark in &request.delivered {
            self.delivered.insert(mark.thread_id, mark.seq);
            if self.delivered_of(mark.thread_id) == Some(mark.seq) {
                self.news.remove(&mark.thread_id);
            }
        }
        for mark in &request.read {
            self.read_told.insert(mark.thread_id, mark.seq);
            if self.read.get(&mark.thread_id) == Some(&mark.seq) {
                self.read.remove(&mark.thread_id);
            }
        }
    }

    fn is_untold(&self, thread: ThreadId, seq: i64) -> bool {
        seq > 0 && self.delivered.get(&thread).is_none_or(|told| *told < seq)
    }

    /// Everything up to this number has reached the application, and it is done with it.
    fn delivered_of(&self, thread: ThreadId) -> Option<i64> {
        let through = self.cursors.seq(thread)?;
        Some(match self.in_hand {
            Some((in_hand, seq)) if in_hand == thread => through.min(seq.saturating_sub(1)),
            _ => through,
        })
    }
}
