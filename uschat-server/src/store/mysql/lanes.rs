//! Keeps a locked conversation from holding up the others.
//!
//! Each is served in a *lane* of its own, a task that waits for the lock in the server's queue (so that two servers that
//! write in one conversation take turns). What comes for it meanwhile is held behind, and so is what comes behind that in
//! its chain. With all lanes taken, further locked conversations wait for one.

use std::{
    collections::{HashMap, VecDeque},
    mem,
    time::Duration,
};

use tokio::task::{Id, JoinError, JoinSet};

use super::{
    committer::{Undone, store},
    database::Database,
    known::Locks,
    ties::Ties,
};
use crate::store::{
    plan::Pair,
    queue::{Waiting, put_in_order},
};

/// Conversations that wait for a lock at one time.
pub(super) const LANES: usize = 8;
/// Pause of a lane that was not successful, in addition to the time it waited for the lock.
const RETRY: Duration = Duration::from_millis(20);

#[derive(Default)]
pub(super) struct Lanes {
    /// What waits for a lock or behind something that does, without what lanes have at hand. Ordered as it was handed over,
    /// which is not the order in which it gets here: a request is found locked after younger ones have lined up behind
    /// something else.
    held: VecDeque<Waiting>,
    /// Of everything held and at hand.
    ties: Ties,
    /// Conversations among the held that are locked and that no lane serves, the longest waiting first.
    locked: VecDeque<Pair>,
    pub(super) running: JoinSet<Vec<Waiting>>,
    /// The conversation of each lane, and what its requests hold back.
    serving: HashMap<Id, (Pair, Ties)>,
}

impl Lanes {
    pub(super) fn are_idle(&self) -> bool {
        self.held.is_empty() && self.serving.is_empty()
    }

    /// Takes requests that were just found locked, or behind one that was.
    pub(super) fn add(&mut self, locked: Vec<Waiting>) {
        for waiting in locked {
            let pair = Pair::of(&waiting.texts);
            if !self.locked.contains(&pair) {
                self.locked.push_back(pair);
            }
            self.ties.add(&waiting.texts);
            put_in_order(&mut self.held, waiting);
        }
    }

    /// Keeps a request that comes behind one that is held, and gives back any other.
    pub(super) fn line_up(&mut self, waiting: Waiting) -> Option<Waiting> {
        if !self.ties.hold_back(&waiting.texts) {
            return Some(waiting);
        }
        put_in_order(&mut self.held, waiting);
        None
    }

    /// Starts lanes for as many conversations as there may be.
    pub(super) fn serve(&mut self, database: &Database, max_batch: usize) {
        while self.running.len() < LANES {
            let Some(pair) = self.locked.pop_front() else {
                return;
            };
            let batch = self.take(pair, max_batch);
            if batch.is_empty() {
                // All of it is behind other conversations: it is looked at again when a lane ends.
                continue;
            }
            let mut ties = Ties::default();
            batch.iter().for_each(|waiting| ties.add(&waiting.texts));
            let database = database.clone();
            let lane = self.running.spawn(async move {
                let Undone { locked, unreached } = store(&database, batch, Locks::Wait).await;
                let undone: Vec<_> = locked.into_iter().chain(unreached).collect();
                if !undone.is_empty() {
                    tokio::time::sleep(RETRY).await;
                }
                undone
            });
            self.serving.insert(lane.id(), (pair, ties));
        }
    }

    /// What is held of a conversation and not behind anything else.
    fn take(&mut self, pair: Pair, most: usize) -> Vec<Waiting> {
        let mut before = self.at_hand();
        let mut taken = Vec::new();
        for waiting in mem::take(&mut self.held) {
            if Pair::of(&waiting.texts) == pair && taken.len() < most && !before.hold(&waiting.texts) {
                taken.push(waiting);
            } else {
                before.add(&waiting.texts);
                self.held.push_back(waiting);
            }
        }
        taken
    }

    /// Takes back what a lane could not do, and returns what is behind nothing any more, in order.
    pub(super) fn ended(&mut self, ended: Result<(Id, Vec<Waiting>), JoinError>) -> Vec<Waiting> {
        let (lane, undone) = match ended {
            Ok(ended) => ended,
            // Who asked has been told by the drop of the answers.
            Err(error) => (error.id(), Vec::new()),
        };
        let Some((pair, _)) = self.serving.remove(&lane) else {
            return Vec::new();
        };
        if !undone.is_empty() {
            self.locked.push_back(pair);
        }
        undone.into_iter().for_each(|waiting| put_in_order(&mut self.held, waiting));

        self.ties = self.at_hand();
        self.locked.iter().for_each(|&pair| self.ties.add_conversation(pair));
        let mut free = Vec::new();
        for waiting in mem::take(&mut self.held) {
            free.extend(self.line_up(waiting));
        }
        free
    }

    /// What comes behind the requests that lanes have at hand.
    fn at_hand(&self) -> Ties {
        let mut ties = Ties::default();
        self.serving.values().for_each(|(_, theirs)| ties.extend(theirs));
        ties
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc;
    use uschat_proto::chat::UserId;

    use super::*;
    use crate::store::{Chain, NewText, NewTexts, queue::Queue};

    struct Requests {
        queue: Queue,
        waiting: mpsc::Receiver<Waiting>,
        chains: HashMap<i32, Chain>,
    }

    impl Requests {
        fn new() -> Self {
            let (queue, waiting) = Queue::new("mysql", Duration::from_secs(5));
            Self { queue, waiting, chains: HashMap::new() }
        }

        /// The next one that is handed over.
        fn next(&mut self, sender: i32, receiver: i32, content: &str) -> Waiting {
            let chain = self.chains.entry(sender).or_default().clone();
            let texts = vec![NewText { client_id: None, content: content.into() }];
            let (sender, receiver) = (UserId(sender), UserId(receiver));
            let receipt = self.queue.submit(NewTexts { sender, receiver, thread: None, texts, sent_at: 0, chain });
            drop(receipt);
            self.waiting.try_recv().unwrap()
        }
    }

    fn held(lanes: &Lanes) -> Vec<&str> {
        lanes.held.iter().map(|waiting| waiting.texts.texts[0].content.as_str()).collect()
    }

    #[test]
    fn what_was_in_a_batch_stays_in_front_of_what_lined_up_meanwhile() {
        for is_locked in [true, false] {
            let (mut requests, mut lanes) = (Requests::new(), Lanes::default());
            lanes.add(vec![requests.next(1, 9, "locked")]);
            // Into a batch, and then found locked, or not stored because the database went away.
            let first = lanes.line_up(requests.next(3, 2, "first")).unwrap();
            // Behind "locked" in its chain; what follows in the conversation with 3, and in 3's chain, waits as well.
            assert!(lanes.line_up(requests.next(1, 3, "of a friend")).is_none());
            assert!(lanes.line_up(requests.next(3, 1, "answer")).is_none());
            assert!(lanes.line_up(requests.next(3, 2, "second")).is_none());
            if is_locked {
                lanes.add(vec![first]);
            } else {
                assert!(lanes.line_up(first).is_none());
            }
            assert_eq!(held(&lanes), ["locked", "first", "of a friend", "answer", "second"]);
        }
    }
}
