use std::collections::BTreeMap;

use uschat_proto::chat::UserId;

use super::shown::Shown;
use crate::store::{NOW_FRIENDS, Standing, StoredText};

/// What one session was told of one conversation, without any I/O: texts go in as they are heard of or read, what comes
/// out is pushed. That is ascending and without gaps, whatever came in.
#[derive(Debug, Default)]
pub(super) struct Conversation {
    /// Everything up to this number was pushed, or is known to the client; `None` while nobody has asked the store.
    told: Option<i64>,
    /// The highest number heard of.
    wanted: i64,
    shown: Shown,
    /// Texts that came before those they follow, and about how many bytes they take.
    held: BTreeMap<i64, StoredText>,
    held_bytes: usize,
    /// What the client says it has, or its system confirmed, and what it has read; neither counts above `told`.
    delivered: i64,
    read: i64,
    /// The other user, as far as the store was asked.
    pub(super) peer: UserId,
    /// What of both was handed on to be stored.
    noted: (i64, i64),
    /// A client that loads everything itself has loaded all of it.
    pub(super) loaded: bool,
    /// The client has heard of the conversation.
    pub(super) introduced: bool,
    /// It waits for its turn to be filled from the store.
    pub(super) due: bool,
}

impl Conversation {
    /// Everything up to here was told; `None` while that is unknown.
    pub(super) fn told(&self) -> Option<i64> {
        self.told
    }

    pub(super) fn wanted(&self) -> i64 {
        self.wanted
    }

    /// Whether the store has something to tell.
    pub(super) fn has_gap(&self) -> bool {
        self.told.is_some_and(|told| told < self.wanted)
    }

    /// A text with this number exists. Says whether that is news.
    pub(super) fn hear(&mut self, seq: i64) -> bool {
        let news = seq > self.wanted && self.told.is_none_or(|told| told < seq);
        self.wanted = self.wanted.max(seq);
        news
    }

    /// Goes on behind what was delivered before, unless it has begun already.
    pub(super) fn begin(&mut self, standing: &Standing) {
        self.hear(standing.head);
        if self.told.is_none() {
            self.begin_at(standing, standing.delivered);
        }
    }

    /// Goes on behind this number, whatever was delivered before.
    pub(super) fn begin_at(&mut self, standing: &Standing, seq: i64) {
        self.hear(standing.head);
        self.peer = standing.peer;
        self.noted = (standing.delivered, standing.read);
        self.told = Some(seq);
        self.advance();
    }

    /// The client has everything up to this number.
    pub(super) fn know(&mut self, seq: i64) {
        self.told = Some(self.told.map_or(seq, |told| told.max(seq)));
        self.advance();
    }

    /// The client was shown these numbers otherwise.
    pub(super) fn show(&mut self, seqs: impl IntoIterator<Item = i64>) {
        for seq in seqs.into_iter().filter(|&seq| self.told.is_none_or(|told| told < seq)) {
            self.shown.add(seq);
        }
        self.advance();
    }

    pub(super) fn is_shown(&self, seq: i64) -> bool {
        self.shown.contains(seq)
    }

    /// Takes what was heard, ascending. Returns what comes next and may be pushed; what comes too early is held back.
    /// Texts of `unpushed` are passed over, and what its client learns otherwise.
    pub(super) fn hint(&mut self, texts: Vec<StoredText>, unpushed: Option<UserId>) -> Vec<StoredText> {
        for text in texts {
            if self.told.is_none_or(|told| told < text.seq) && !self.shown.contains(text.seq) {
                self.held_bytes += size(&text);
                let doubled = self.held.insert(text.seq, text);
                self.held_bytes -= doubled.as_ref().map_or(0, size);
            }
        }
        self.release(unpushed)
    }

    /// What was held back and comes next by now.
    pub(super) fn release(&mut self, unpushed: Option<UserId>) -> Vec<StoredText> {
        let Some(mut told) = self.told else { return Vec::new() };
        let mut next = Vec::new();
        while let Some(text) = self.held.remove(&(told + 1)) {
            self.held_bytes -= size(&text);
            next.push(text);
            self.told = Some(told + 1);
            told = self.advance();
        }
        next.retain(|text| is_pushed(text, unpushed));
        next
    }

    /// Takes what the store has behind `told`, ascending; the store decides what comes next. Returns what is to be pushed.
    pub(super) fn page(&mut self, texts: Vec<StoredText>, unpushed: Option<UserId>) -> Vec<StoredText> {
        let mut next = Vec::new();
        for text in texts {
            if self.told.is_some_and(|told| told < text.seq) {
                let shown = self.shown.contains(text.seq);
                self.know(text.seq);
                if !shown && is_pushed(&text, unpushed) {
                    next.push(text);
                }
            }
        }
        next
    }

    /// The store had no more than what is told now; a number above `heard` may have come up since it was asked.
    pub(super) fn read_to_end(&mut self, heard: i64) {
        if self.wanted == heard {
            self.wanted = self.told.unwrap_or(heard);
        }
    }

    /// Forgets what was held back: it is read again.
    pub(super) fn drop_held(&mut self) {
        self.held.clear();
        self.held_bytes = 0;
    }

    /// About how many bytes are held back.
    pub(super) fn held_bytes(&self) -> usize {
        self.held_bytes
    }

    pub(super) fn note_delivered(&mut self, seq: i64) {
        self.delivered = self.delivered.max(seq);
    }

    pub(super) fn note_read(&mut self, seq: i64) {
        self.read = self.read.max(seq);
    }

    /// Delivered and read as they are to be stored, if they moved. Says also whether more may follow without further news.
    pub(super) fn take_progress(&mut self) -> (Option<(i64, i64)>, bool) {
        let told = self.told.unwrap_or(0);
        let (delivered, read) = (self.delivered.min(told), self.read.min(told));
        let moved = delivered > self.noted.0 || read > self.noted.1;
        self.noted = (self.noted.0.max(delivered), self.noted.1.max(read));
        (moved.then_some((delivered, read)), self.delivered.max(self.read) > told)
    }

    fn advance(&mut self) -> i64 {
        let Some(told) = self.told else { return 0 };
        let told = self.shown.advance(told);
        self.told = Some(told);
        while let Some(known) = self.held.first_entry().filter(|first| *first.key() <= told) {
            self.held_bytes -= size(&known.remove());
        }
        told
    }
}

/// A client that does not say what it has knows what its user said. The line that begins a friendship is no news either: 1014,
/// 1015 and the list of friends tell of that.
fn is_pushed(text: &StoredText, unpushed: Option<UserId>) -> bool {
    let begins_friendship = || text.client_id.is_none() && text.content == NOW_FRIENDS;
    unpushed.is_none_or(|me| text.sender != me && !begins_friendship())
}

fn size(text: &StoredText) -> usize {
    size_of::<StoredText>() + text.content.len() + text.client_id.as_ref().map_or(0, String::len)
}
