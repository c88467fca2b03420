use std::sync::{Mutex, MutexGuard, PoisonError};

use foldhash::HashMap;
use uschat_proto::chat::ThreadId;

use crate::store::plan::Pair;

/// The private conversations of pairs, as they were found: one stays with its pair for ever, but an original may add another.
#[derive(Debug, Default)]
pub(super) struct Chats(Mutex<HashMap<Pair, Vec<i64>>>);

/// A few megabytes.
const MOST: usize = 65_536;

impl Chats {
    /// The conversations, ascending, of each of these pairs that has any here, and the other pairs.
    pub(super) fn of(&self, pairs: &[Pair]) -> (Vec<(Pair, Vec<i64>)>, Vec<Pair>) {
        let known = self.lock();
        let (mut found, mut others) = (Vec::with_capacity(pairs.len()), Vec::new());
        for &pair in pairs {
            match known.get(&pair) {
                Some(threads) => found.push((pair, threads.clone())),
                None => others.push(pair),
            }
        }
        (found, others)
    }

    /// A pair has this conversation.
    pub(super) fn add(&self, pair: Pair, thread: i64) {
        let mut known = self.lock();
        // What is in use is soon there again.
        if known.len() >= MOST && !known.contains_key(&pair) {
            known.clear();
        }
        let threads = known.entry(pair).or_default();
        if let Err(place) = threads.binary_search(&thread) {
            threads.insert(place, thread);
        }
    }

    pub(super) fn forget(&self, pair: Pair) {
        self.lock().remove(&pair);
    }

    /// Forgets what it has of pairs of whom somebody names a conversation that is not here.
    pub(super) fn doubt(&self, named: impl IntoIterator<Item = (Pair, ThreadId)>) {
        let mut known = self.lock();
        for (pair, thread) in named {
            if known.get(&pair).is_some_and(|threads| !threads.contains(&thread.0)) {
                known.remove(&pair);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Pair, Vec<i64>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
