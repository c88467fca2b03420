//! Buffers between two uses, kept for whichever connection of this thread reads next.

use std::cell::RefCell;
use std::vec::Vec;
use std::{thread_local, vec};

/// As many as one thread keeps.
const MAX_KEPT: usize = 8;

thread_local! {
    static KEPT: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// A buffer of this length. What it holds is of no meaning.
pub(super) fn take(len: usize) -> Vec<u8> {
    let kept = KEPT.try_with(|kept| {
        let mut kept = kept.borrow_mut();
        let at = kept.iter().rposition(|storage| storage.len() == len)?;
        Some(kept.swap_remove(at))
    });
    // A thread that ends keeps nothing any more.
    kept.ok().flatten().unwrap_or_else(|| vec![0; len])
}

/// Keeps a buffer for [`take`]. If too many are kept, the one that lay there
/// longest is freed, so that no length which fell out of use stays for ever.
pub(super) fn give(storage: Vec<u8>) {
    let _ = KEPT.try_with(|kept| {
        let mut kept = kept.borrow_mut();
        if kept.len() == MAX_KEPT {
            kept.remove(0);
        }
        kept.push(storage);
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept() -> Vec<usize> {
        KEPT.with_borrow(|kept| kept.iter().map(Vec::len).collect())
    }

    // Every test has a thread, and so a list, of its own.

    #[test]
    fn a_buffer_comes_back_to_whoever_wants_its_length() {
        let storage = take(100);
        let place = storage.as_ptr();
        give(storage);
        assert_eq!(take(99).len(), 99);
        assert_eq!(kept(), [100]);
        let again = take(100);
        assert_eq!((again.as_ptr(), again.len()), (place, 100));
        assert_eq!(kept(), []);
    }

    #[test]
    fn few_are_kept_and_the_oldest_makes_way() {
        for len in 1..=MAX_KEPT + 2 {
            give(vec![0; len]);
        }
        assert_eq!(kept(), (3..=MAX_KEPT + 2).collect::<Vec<_>>());
    }
}
