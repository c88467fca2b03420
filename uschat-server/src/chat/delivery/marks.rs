use std::collections::VecDeque;

use foldhash::HashSet;
use uschat_proto::chat::ThreadId;

/// What was told to a client that does not say what it has, and is not confirmed by its system yet: which numbers are
/// delivered once a mark of the session is confirmed.
#[derive(Debug, Default)]
pub(super) struct Marks {
    last: u64,
    waiting: VecDeque<(u64, ThreadId, i64)>,
    /// Conversations that moved without a mark: by an answer, or when too many waited.
    unmarked: HashSet<ThreadId>,
}

impl Marks {
    /// Marks that may wait to be confirmed.
    const MAX: usize = 1_024;

    /// The next mark to set, which stands for this number of this conversation; none if too many wait.
    pub(super) fn told(&mut self, thread: ThreadId, seq: i64) -> Option<u64> {
        if self.waiting.len() >= Self::MAX {
            self.moved(thread);
            return None;
        }
        self.unmarked.remove(&thread);
        self.last += 1;
        self.waiting.push_back((self.last, thread, seq));
        Some(self.last)
    }

    /// The client knows more of this conversation; [`Marks::mark_rest`] sees to it.
    pub(super) fn moved(&mut self, thread: ThreadId) {
        self.unmarked.insert(thread);
    }

    /// The next mark, for everything that moved without one; `told` says how far each has got.
    pub(super) fn mark_rest(&mut self, told: impl Fn(ThreadId) -> Option<i64>) -> Option<u64> {
        let room = Self::MAX.saturating_sub(self.waiting.len());
        let threads: Vec<_> = self.unmarked.iter().copied().take(room).collect();
        let mark = self.last + 1;
        for thread in threads {
            self.unmarked.remove(&thread);
            if let Some(told) = told(thread) {
                self.last = mark;
                self.waiting.push_back((mark, thread, told));
            }
        }
        (self.last == mark).then_some(mark)
    }

    /// What is delivered, now that marks up to this one are confirmed.
    pub(super) fn confirmed(&mut self, mark: u64) -> impl Iterator<Item = (ThreadId, i64)> + use<> {
        let confirmed = self.waiting.partition_point(|waiting| waiting.0 <= mark);
        let delivered: Vec<_> = self.waiting.drain(..confirmed).collect();
        delivered.into_iter().map(|(_, thread, seq)| (thread, seq))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: ThreadId = ThreadId(1);
    const TWO: ThreadId = ThreadId(2);

    #[test]
    fn what_a_confirmed_mark_stands_for_is_delivered() {
        let mut marks = Marks::default();
        assert_eq!(marks.told(ONE, 5), Some(1));
        assert_eq!(marks.told(TWO, 7), Some(2));
        marks.moved(ONE);
        assert_eq!(marks.mark_rest(|_| Some(9)), Some(3));
        assert_eq!(marks.mark_rest(|_| Some(9)), None);
        assert_eq!(marks.confirmed(2).collect::<Vec<_>>(), [(ONE, 5), (TWO, 7)]);
        assert_eq!(marks.confirmed(2).count(), 0);
        assert_eq!(marks.confirmed(3).collect::<Vec<_>>(), [(ONE, 9)]);
    }

    #[test]
    fn what_finds_no_place_is_marked_when_there_is_some() {
        let mut marks = Marks::default();
        assert!((1..).zip(0..Marks::MAX).all(|(seq, _)| marks.told(ONE, seq).is_some()));
        assert_eq!(marks.told(ONE, 2_000), None);
        assert_eq!(marks.mark_rest(|_| Some(2_000)), None);
        assert_eq!(marks.confirmed(100).last(), Some((ONE, 100)));
        assert_eq!(marks.mark_rest(|_| Some(2_000)), Some(1_025));
        assert_eq!(marks.confirmed(1_025).last(), Some((ONE, 2_000)));
    }
}
