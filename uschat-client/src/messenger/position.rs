//! Which numbers of one conversation have been seen.

use serde::{Deserialize, Serialize};
use uschat_proto::chat::{Cursor, Fingerprint, ThreadId};

/// Everything up to a number, and a few runs beyond it: own texts are known by their acknowledgement, which may come
/// before the texts of others that stand before them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Position {
    /// Everything up to here was seen. None as long as nothing is known but runs that do not begin with number 1: where the
    /// conversation goes on is the server's to say then.
    through: Option<i64>,
    /// Of the text with that number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    fingerprint: Option<Fingerprint>,
    /// Ascending, apart from each other and from `through`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    ahead: Vec<Run>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Run {
    first: i64,
    last: i64,
    /// Of the last one.
    fingerprint: Fingerprint,
}

impl From<Cursor> for Position {
    fn from(cursor: Cursor) -> Self {
        Self { through: Some(cursor.seq), fingerprint: cursor.fingerprint, ahead: Vec::new() }
    }
}

impl Position {
    pub(super) fn through(&self) -> Option<i64> {
        self.through
    }

    pub(super) fn cursor(&self, thread_id: ThreadId) -> Option<Cursor> {
        self.through.map(|seq| Cursor { thread_id, seq, fingerprint: self.fingerprint })
    }

    pub(super) fn has(&self, seq: i64) -> bool {
        self.through.is_some_and(|through| seq <= through)
            || self.ahead.iter().any(|run| (run.first..=run.last).contains(&seq))
    }

    /// Whether `seq` is the number behind everything that was seen.
    pub(super) fn is_next(&self, seq: i64) -> bool {
        self.through.is_some_and(|through| through.checked_add(1) == Some(seq))
    }

    /// Starts a conversation of which the server tells number `seq` first: what stands before was seen in another life.
    pub(super) fn begin(&mut self, seq: i64) {
        if self.through.is_none() {
            self.through = Some(seq.saturating_sub(1));
            self.absorb();
        }
    }

    /// Counts one text as seen.
    pub(super) fn add(&mut self, seq: i64, fingerprint: Fingerprint) {
        if self.has(seq) {
            return;
        }
        let at = self.ahead.partition_point(|run| run.last < seq);
        self.ahead.insert(at, Run { first: seq, last: seq, fingerprint });
        self.join(at);
        if at > 0 {
            self.join(at - 1);
        }
        if self.ahead.first().is_some_and(|run| run.first == 1) {
            self.begin(1);
        }
        self.absorb();
    }

    /// Counts everything up to `seq` as seen.
    pub(super) fn pass(&mut self, seq: i64, fingerprint: Fingerprint) {
        if self.through.is_none_or(|through| through < seq) {
            self.through = Some(seq);
            self.fingerprint = Some(fingerprint);
            self.absorb();
        }
    }

    /// Makes one run of two that touch.
    fn join(&mut self, at: usize) {
        let touch = |next: &Run| self.ahead[at].last.checked_add(1) == Some(next.first);
        if self.ahead.get(at + 1).is_some_and(touch) {
            let next = self.ahead.remove(at + 1);
            self.ahead[at] = Run { first: self.ahead[at].first, ..next };
        }
    }

    fn absorb(&mut self) {
        let Some(mut through) = self.through else { return };
        while let Some(run) = self.ahead.first() {
            if run.first > through.saturating_add(1) {
                break;
            }
            if run.last >= through {
                through = run.last;
                self.fingerprint = Some(run.fingerprint);
            }
            self.ahead.remove(0);
        }
        self.through = Some(through);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn fingerprint(seq: i64) -> Fingerprint {
        Fingerprint(seq.unsigned_abs())
    }

    proptest! {
        #[test]
        fn it_is_a_set_of_numbers(begin in prop::option::of(0..6_i64), seqs in prop::collection::vec(1..30_i64, 0..60)) {
            let mut position = Position::default();
            let mut model = BTreeSet::new();
            if let Some(begin) = begin {
                position.begin(begin);
                model.extend(-50..begin);
            }
            for seq in seqs {
                position.add(seq, fingerprint(seq));
                model.insert(seq);
                for seq in 1..31 {
                    prop_assert_eq!(position.has(seq), model.contains(&seq), "{}", seq);
                }
                if let Some(begin) = begin {
                    let through = (begin - 1..).find(|seq| !model.contains(&(seq + 1)));
                    prop_assert_eq!(position.through(), through);
                    let known = through.filter(|through| *through >= begin);
                    prop_assert_eq!(position.fingerprint, known.map(fingerprint));
                }
                prop_assert!(position.ahead.windows(2).all(|runs| runs[0].last + 1 < runs[1].first));
            }
            let json = serde_json::to_string(&position).unwrap();
            prop_assert_eq!(serde_json::from_str::<Position>(&json).unwrap(), position);
        }
    }

    #[test]
    fn own_texts_known_before_the_conversation_are_joined_to_it() {
        let mut position = Position::default();
        position.add(7, fingerprint(7));
        assert_eq!(position.cursor(ThreadId(1)), None);
        position.begin(4);
        for seq in 4..=6 {
            assert!(position.is_next(seq));
            position.add(seq, fingerprint(seq));
        }
        assert_eq!(
            position,
            Position::from(Cursor { thread_id: ThreadId(1), seq: 7, fingerprint: Some(fingerprint(7)) })
        );
    }

    #[test]
    fn a_conversation_seen_from_its_first_text_on_needs_nobody_to_say_where_it_begins() {
        let mut position = Position::default();
        position.add(2, fingerprint(2));
        assert_eq!(position.through(), None);
        position.add(1, fingerprint(1));
        assert_eq!((position.through(), position.fingerprint), (Some(2), Some(fingerprint(2))));
    }

    #[test]
    fn passing_takes_everything_before_along() {
        let mut position = Position::default();
        for seq in [2, 4, 5] {
            position.add(seq, fingerprint(seq));
        }
        position.pass(3, fingerprint(3));
        assert_eq!((position.through(), position.fingerprint), (Some(5), Some(fingerprint(5))));
        position.pass(4, fingerprint(4));
        assert_eq!(position.through(), Some(5));
    }

    #[test]
    fn the_largest_numbers_do_no_harm() {
        let mut position = Position::default();
        for seq in [i64::MAX, i64::MAX - 1, i64::MIN] {
            position.begin(seq);
            position.add(seq, fingerprint(seq));
            assert!(position.has(seq));
            assert!(!position.is_next(i64::MIN));
        }
    }
}
