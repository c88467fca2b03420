//! What became of the texts of one pair: no socket and no clock, so it can be tested by itself.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Instant,
};

use serde::Serialize;

/// The texts of one sender, numbered from 0 as they are sent. Texts that are over are forgotten.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    texts: VecDeque<Text>,
    /// The number of the first one in `texts`.
    first: u64,
    /// The number of the first one without an answer.
    unanswered: u64,
    /// What the receiver saw last: the number, and that in the conversation.
    last_delivered: Option<(u64, i64)>,
    counts: Counts,
}

#[derive(Debug)]
struct Text {
    intended: Instant,
    /// Nothing before the answer.
    stored: Option<bool>,
    delivered: bool,
}

/// What was counted in a whole run, warm-up and drain included.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(super) struct Counts {
    pub(super) sent: u64,
    pub(super) acknowledged: u64,
    pub(super) delivered: u64,
    /// Acknowledged, and not delivered when the run ended.
    pub(super) lost: u64,
    /// Delivered or acknowledged more than once, or delivered though refused.
    pub(super) doubled: u64,
    /// Delivered or acknowledged behind a later one, or with a number in the conversation that does not rise.
    pub(super) reordered: u64,
    /// Neither acknowledged nor refused when the run ended.
    pub(super) unanswered: u64,
    /// By error code.
    pub(super) refused: BTreeMap<i32, u64>,
}

impl Counts {
    /// That nothing went wrong which may never go wrong.
    pub(super) fn are_sound(&self) -> bool {
        self.lost == 0 && self.doubled == 0 && self.reordered == 0
    }

    pub(super) fn add(&mut self, other: &Self) {
        self.sent += other.sent;
        self.acknowledged += other.acknowledged;
        self.delivered += other.delivered;
        self.lost += other.lost;
        self.doubled += other.doubled;
        self.reordered += other.reordered;
        self.unanswered += other.unanswered;
        for (&code, &count) in &other.refused {
            *self.refused.entry(code).or_default() += count;
        }
    }
}

impl Ledger {
    /// A text goes; returns its number.
    pub(super) fn send(&mut self, intended: Instant) -> u64 {
        self.texts.push_back(Text { intended, stored: None, delivered: false });
        self.counts.sent += 1;
        self.counts.sent - 1
    }

    /// Texts that are sent and not answered.
    pub(super) fn under_way(&self) -> u64 {
        self.counts.sent - self.unanswered
    }

    /// Nothing is awaited any more.
    pub(super) fn is_settled(&self) -> bool {
        self.texts.is_empty()
    }

    /// The text `number` was acknowledged. Gives the time it was to be sent, if it was awaited.
    pub(super) fn acknowledged(&mut self, number: u64) -> Option<Instant> {
        if number != self.unanswered {
            // Answers leave in the order of their requests.
            *(if number < self.unanswered { &mut self.counts.doubled } else { &mut self.counts.reordered }) += 1;
        }
        let text = self.texts.get_mut(self.place(number)?)?;
        if text.stored.replace(true).is_some() {
            return None;
        }
        let intended = text.intended;
        self.counts.acknowledged += 1;
        self.go_on();
        Some(intended)
    }

    /// The oldest text without an answer was refused.
    pub(super) fn refused(&mut self, code: i32) {
        *self.counts.refused.entry(code).or_default() += 1;
        if let Some(text) = self.place(self.unanswered).and_then(|place| self.texts.get_mut(place)) {
            text.stored = Some(false);
        }
        self.go_on();
    }

    /// The text `number` came to the receiver, as number `seq` of the conversation. Gives the time it was to be sent, if it
    /// was awaited.
    pub(super) fn delivered(&mut self, number: u64, seq: i64) -> Option<Instant> {
        let place = self.place(number);
        let Some(text) = place.and_then(|place| self.texts.get_mut(place)).filter(|text| !text.delivered) else {
            self.counts.doubled += 1;
            return None;
        };
        text.delivered = true;
        let intended = text.intended;
        self.counts.delivered += 1;
        if self.last_delivered.is_some_and(|(last, last_seq)| number < last || seq <= last_seq) {
            self.counts.reordered += 1;
        }
        self.last_delivered = self.last_delivered.max(Some((number, seq)));
        self.go_on();
        Some(intended)
    }

    /// The run is over; what is missing now is lost.
    pub(super) fn close(mut self) -> Counts {
        self.counts.lost = count(&self.texts, |text| text.stored == Some(true) && !text.delivered);
        self.counts.unanswered = count(&self.texts, |text| text.stored.is_none());
        self.counts
    }

    fn place(&self, number: u64) -> Option<usize> {
        usize::try_from(number.checked_sub(self.first)?).ok()
    }

    /// Moves on over what has been answered, and forgets what is over.
    fn go_on(&mut self) {
        let answered = |text: &Text| text.stored.is_some();
        while self.place(self.unanswered).and_then(|place| self.texts.get(place)).is_some_and(answered) {
            self.unanswered += 1;
        }
        let is_over = |text: &mut Text| text.stored == Some(false) || (text.stored == Some(true) && text.delivered);
        while self.texts.pop_front_if(is_over).is_some() {
            self.first += 1;
        }
    }
}

fn count(texts: &VecDeque<Text>, is_so: impl Fn(&Text) -> bool) -> u64 {
    texts.iter().filter(|text| is_so(text)).count() as u64
}

#[cfg(test)]
#[path = "ledger_tests.rs"]
mod tests;
