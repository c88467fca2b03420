use std::collections::BTreeMap;

/// Numbers that a client was shown otherwise than by a push, as ranges: acknowledgements come in runs.
#[derive(Debug, Default)]
pub(super) struct Shown(BTreeMap<i64, i64>);

impl Shown {
    /// Ranges kept. A forgotten one costs a text that is told twice.
    const RANGES: usize = 64;

    pub(super) fn add(&mut self, seq: i64) {
        let before = self.0.range(..=seq).next_back();
        let first = match before {
            Some((_, &last)) if last >= seq => return,
            Some((&first, &last)) if last + 1 == seq => first,
            _ => seq,
        };
        let last = self.0.remove(&(seq + 1)).unwrap_or(seq);
        self.0.insert(first, last);
        if self.0.len() > Self::RANGES {
            self.0.pop_first();
        }
    }

    pub(super) fn contains(&self, seq: i64) -> bool {
        self.0.range(..=seq).next_back().is_some_and(|(_, &last)| last >= seq)
    }

    /// How far a client has got that has everything up to `told`, and these numbers; what lies behind it is forgotten.
    pub(super) fn advance(&mut self, mut told: i64) -> i64 {
        while let Some(range) = self.0.first_entry().filter(|range| *range.key() <= told + 1) {
            told = told.max(range.remove());
        }
        told
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_a_set_of_numbers(numbers in prop::collection::vec(1..60i64, 0..80), told in 0..60i64) {
            let mut shown = Shown::default();
            numbers.iter().for_each(|&seq| shown.add(seq));
            for seq in 0..60 {
                prop_assert_eq!(shown.contains(seq), numbers.contains(&seq));
            }
            let expected = (told..).find(|seq| !numbers.contains(&(seq + 1))).unwrap_or(told);
            prop_assert_eq!(shown.advance(told), expected);
            prop_assert!((0..=expected).all(|seq| !shown.contains(seq)));
        }
    }

    #[test]
    fn it_is_bounded() {
        let mut shown = Shown::default();
        (1..1_000).for_each(|seq| shown.add(seq * 2));
        assert_eq!(shown.0.len(), Shown::RANGES);
        assert!(shown.contains(1_998));
    }
}
