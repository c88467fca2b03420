//! What waits to be stored, in order, and what of it may be stored next.
//!
//! Several transactions are open at a time. Whatever comes behind something that is not answered yet, in its conversation or
//! of its sender, waits for that: no two transactions have a conversation or a sender in common ([`Ties`]).
//!
//! A conversation that somebody else has locked is served in a *lane*: a transaction of its own, which waits for the lock
//! in the server's queue (so that two servers that write in one conversation take turns) while the others go on. With all
//! lanes taken, further locked conversations wait for one.

use std::collections::{HashMap, VecDeque};

use tokio::task::Id;

use super::ties::Ties;
use crate::store::{
    NewTexts,
    plan::Pair,
    queue::{Waiting, put_in_order},
};

/// Transactions for what is not locked: while the server works on one, we work on the other.
pub(super) const BATCHES: usize = 2;
/// Requests of which two transactions are made. Each has statements of its own, which cost as much as some dozens of texts.
const WORTH_HALVING: usize = 64;
/// Conversations that wait for a lock at one time.
pub(super) const LANES: usize = 8;

#[derive(Default)]
pub(super) struct Line {
    /// In the order in which it was handed over.
    waiting: VecDeque<Waiting>,
    /// Conversations that were found locked and that no lane serves, the longest waiting first.
    locked: VecDeque<Pair>,
    /// Nothing that waits can be stored before a transaction has ended: it need not be looked through for every newcomer.
    is_exhausted: bool,
    /// What each open transaction stores.
    batches: HashMap<Id, Ties>,
    lanes: HashMap<Id, Ties>,
}

/// Requests for one transaction, in order, and what comes behind them.
#[derive(Debug)]
pub(super) struct Taken {
    pub(super) requests: Vec<Waiting>,
    pub(super) ties: Ties,
}

impl Line {
    /// Whether nothing waits and no transaction is open.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.batches.is_empty() && self.lanes.is_empty()
    }

    /// Takes requests that were handed over, or that a transaction could not store.
    pub(super) fn add(&mut self, requests: impl IntoIterator<Item = Waiting>) {
        for waiting in requests {
            self.is_exhausted &= self.is_at_hand(&waiting.texts);
            put_in_order(&mut self.waiting, waiting);
        }
    }

    /// Takes requests of conversations that are locked, which are served in lanes from now on.
    pub(super) fn add_locked(&mut self, requests: Vec<Waiting>) {
        for waiting in &requests {
            let pair = Pair::of(&waiting.texts);
            if !self.locked.contains(&pair) {
                self.locked.push_back(pair);
            }
        }
        self.add(requests);
    }

    /// A transaction stores what was taken for it, until it has [`ended`](Self::ended).
    pub(super) fn opened_batch(&mut self, transaction: Id, ties: Ties) {
        self.batches.insert(transaction, ties);
    }

    /// The same of one for a locked conversation.
    pub(super) fn opened_lane(&mut self, transaction: Id, ties: Ties) {
        self.lanes.insert(transaction, ties);
    }

    /// Returns whether it was a lane. What it could not store is to be added again.
    pub(super) fn ended(&mut self, transaction: Id) -> bool {
        self.is_exhausted = false;
        self.batches.remove(&transaction);
        self.lanes.remove(&transaction).is_some()
    }

    /// What one more transaction can store, at most `most` requests; nothing if `batches` are open already. If much waits and
    /// it is the only one, half is left for another.
    pub(super) fn next_batch(&mut self, batches: usize, most: usize) -> Option<Taken> {
        if self.is_exhausted || self.batches.len() >= batches {
            return None;
        }
        let is_alone = self.batches.is_empty() && batches > 1;
        let waiting = self.waiting.len();
        let enough = if is_alone && waiting >= WORTH_HALVING { waiting / 2 } else { most };
        let taken = self.take(most, |request, taken| taken.requests.len() < enough || taken.ties.hold(request));
        self.is_exhausted = taken.is_none();
        taken
    }

    /// What a lane can store of the conversation that has been locked for longest, if one is free.
    pub(super) fn next_lane(&mut self, most: usize) -> Option<Taken> {
        while self.lanes.len() < LANES {
            let pair = self.locked.pop_front()?;
            self.is_exhausted = false;
            let taken = self.take(most, |request, _| Pair::of(request) == pair);
            if taken.is_some() {
                return taken;
            }
            // All of it is behind others: whether it is locked shows when its turn comes.
        }
        None
    }

    /// Takes out what is wanted and not behind anything that is not.
    fn take(&mut self, most: usize, wanted: impl Fn(&NewTexts, &Taken) -> bool) -> Option<Taken> {
        let mut taken = Taken { requests: Vec::new(), ties: Ties::default() };
        let mut behind = Ties::default();
        self.locked.iter().for_each(|&pair| behind.add_conversation(pair));
        let mut left = Vec::new();
        while taken.requests.len() < most
            && let Some(waiting) = self.waiting.pop_front()
        {
            let request = &waiting.texts;
            if self.is_at_hand(request) || behind.hold(request) || !wanted(request, &taken) {
                behind.add(request);
                left.push(waiting);
            } else {
                taken.ties.add(request);
                taken.requests.push(waiting);
            }
        }
        left.into_iter().rev().for_each(|waiting| self.waiting.push_front(waiting));
        (!taken.requests.is_empty()).then_some(taken)
    }

    /// Whether it comes behind something that a transaction stores.
    fn is_at_hand(&self, request: &NewTexts) -> bool {
        self.batches.values().chain(self.lanes.values()).any(|ties| ties.hold(request))
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, time::Duration};

    use rand::{Rng, RngExt, SeedableRng, rngs::StdRng, seq::IteratorRandom};
    use tokio::sync::mpsc;
    use uschat_proto::chat::{ThreadId, UserId};

    use super::*;
    use crate::store::{Chain, NewText, StoredTexts, queue::Queue};

    /// Users who hand over texts, each in one session.
    struct Users {
        queue: Queue,
        handed_over: mpsc::Receiver<Waiting>,
        chains: HashMap<i32, Chain>,
    }

    impl Users {
        fn new() -> Self {
            let (queue, handed_over) = Queue::new("mysql", Duration::from_secs(5));
            Self { queue, handed_over, chains: HashMap::new() }
        }

        fn say(&mut self, sender: i32, receiver: i32, content: &str) -> Waiting {
            let chain = self.chains.entry(sender).or_default().clone();
            let texts = vec![NewText { client_id: None, content: content.into() }];
            let (sender, receiver) = (UserId(sender), UserId(receiver));
            drop(self.queue.submit(NewTexts { sender, receiver, thread: None, texts, sent_at: 0, chain }));
            self.handed_over.try_recv().unwrap()
        }
    }

    fn content(waiting: &Waiting) -> &str {
        &waiting.texts.texts[0].content
    }

    fn contents<'a>(requests: impl IntoIterator<Item = &'a Waiting>) -> Vec<&'a str> {
        requests.into_iter().map(content).collect()
    }

    fn transaction() -> Id {
        tokio::spawn(async {}).id()
    }

    impl Line {
        /// Opens a transaction for the next batch.
        fn batch(&mut self) -> Option<(Id, Vec<Waiting>)> {
            let Taken { requests, ties } = self.next_batch(BATCHES, 100)?;
            let id = transaction();
            self.opened_batch(id, ties);
            Some((id, requests))
        }

        fn lane(&mut self) -> Option<(Id, Vec<Waiting>)> {
            let Taken { requests, ties } = self.next_lane(100)?;
            let id = transaction();
            self.opened_lane(id, ties);
            Some((id, requests))
        }
    }

    #[tokio::test]
    async fn two_transactions_share_what_waits_and_no_conversation_and_no_sender() {
        let (mut users, mut line) = (Users::new(), Line::default());
        line.add((0..WORTH_HALVING as i32 / 2).map(|pair| users.say(2 * pair, 2 * pair + 1, "first half")));
        line.add((100..140).map(|pair| users.say(2 * pair, 2 * pair + 1, "second half")));
        line.add([users.say(1, 0, "answer"), users.say(2, 50, "elsewhere"), users.say(50, 2, "behind it")]);
        let (first, requests) = line.batch().unwrap();
        let half = (WORTH_HALVING / 2 + 43) / 2;
        let tied = contents(&requests[half..]);
        assert_eq!(tied, ["answer", "elsewhere", "behind it"], "what belongs to the first is with it");
        assert!(contents(&requests).starts_with(&["first half"; WORTH_HALVING / 2]));
        let (second, requests) = line.batch().unwrap();
        assert_eq!(requests.len(), WORTH_HALVING / 2 + 40 - half, "the rest");
        assert!(line.waiting.is_empty());

        line.add([
            users.say(1, 0, "behind the first"),
            users.say(278, 0, "behind the second"),
            users.say(301, 302, "free"),
        ]);
        assert!(line.batch().is_none(), "two are open");
        line.ended(second);
        let (second, requests) = line.batch().unwrap();
        assert_eq!(contents(&requests), ["behind the second", "free"]);
        line.ended(first);
        assert_eq!(contents(&line.batch().unwrap().1), ["behind the first"]);
        assert!(!line.ended(second) && !line.is_empty());
    }

    #[tokio::test]
    async fn a_batch_has_a_size_and_few_requests_are_one() {
        let (mut users, mut line) = (Users::new(), Line::default());
        line.add((0..5).map(|number| users.say(1, 2, &number.to_string())));
        line.add([users.say(3, 4, "other")]);
        let Taken { requests, ties } = line.next_batch(BATCHES, 4).unwrap();
        assert_eq!(contents(&requests), ["0", "1", "2", "3"]);
        line.opened_batch(transaction(), ties);
        assert_eq!(contents(&line.next_batch(BATCHES, 4).unwrap().requests), ["other"], "the rest comes behind");
        assert_eq!(contents(&line.waiting), ["4"]);
    }

    #[tokio::test]
    async fn what_waits_is_looked_through_again_when_somebody_else_comes() {
        let (mut users, mut line) = (Users::new(), Line::default());
        line.add([users.say(1, 2, "under way")]);
        let (batch, _at_hand) = line.batch().unwrap();
        line.add([users.say(1, 3, "behind it")]);
        assert!(line.batch().is_none() && line.is_exhausted);
        line.add([users.say(1, 2, "too")]);
        assert!(line.is_exhausted, "one more changes nothing");
        line.add([users.say(3, 1, "behind what is behind it")]);
        assert!(!line.is_exhausted && line.batch().is_none());
        line.add([users.say(4, 5, "free"), users.say(2, 1, "an answer")]);
        assert_eq!(contents(&line.batch().unwrap().1), ["free"]);
        line.ended(batch);
        let freed = line.batch().unwrap().1;
        assert_eq!(contents(&freed), ["behind it", "too", "behind what is behind it", "an answer"]);
    }

    #[tokio::test]
    async fn what_could_not_be_stored_is_not_overtaken() {
        for is_locked in [true, false] {
            let (mut users, mut line) = (Users::new(), Line::default());
            line.add([users.say(1, 9, "locked")]);
            let (batch, locked) = line.batch().unwrap();
            line.ended(batch);
            line.add_locked(locked);
            let (lane, _at_hand) = line.lane().unwrap();
            line.add([users.say(3, 2, "first")]);
            let (batch, first) = line.batch().unwrap();
            line.add([users.say(1, 3, "of 1"), users.say(3, 1, "answer"), users.say(3, 2, "second")]);
            assert!(line.batch().is_none(), "all of it comes behind what is at hand");
            line.ended(batch);
            if is_locked {
                line.add_locked(first);
            } else {
                line.add(first);
            }
            assert_eq!(contents(&line.waiting), ["first", "of 1", "answer", "second"]);
            // Neither the lane of a locked conversation nor a batch gets past it.
            let next = if is_locked { line.lane() } else { line.batch() };
            assert_eq!(contents(&next.unwrap().1), ["first"]);
            assert!(line.batch().is_none() && line.lane().is_none());
            assert!(line.ended(lane));
            assert_eq!(contents(&line.batch().unwrap().1), ["of 1"]);
        }
    }

    #[tokio::test]
    async fn a_lane_does_not_overtake_what_was_said_before_elsewhere() {
        let (mut users, mut line) = (Users::new(), Line::default());
        line.add([
            users.say(2, 9, "locked"),
            users.say(1, 3, "first"),
            users.say(1, 9, "second"),
            users.say(9, 1, "third"),
        ]);
        let (batch, requests) = line.batch().unwrap();
        assert_eq!(contents(&requests), ["locked", "first", "second", "third"]);
        line.ended(batch);
        // The database went away before it had stored anything, and 1's conversation with 9 was locked before.
        line.add(requests);
        line.locked.push_back(Pair::new(UserId(1), UserId(9)));
        assert!(line.lane().is_none(), "all of it comes behind the first");
        assert_eq!(contents(&line.batch().unwrap().1), ["locked", "first", "second", "third"]);
    }

    /// Whatever becomes of transactions, nothing is taken before what was handed over earlier in its conversation or of its sender
    /// is done, and everything is done in the end.
    #[tokio::test]
    async fn random_users_are_stored_in_order() {
        let seed = rand::random();
        println!("seed {seed}");
        let mut random = StdRng::seed_from_u64(seed);
        for _ in 0..50 {
            play(&mut random);
        }
    }

    fn play(random: &mut impl Rng) {
        let (mut users, mut line) = (Users::new(), Line::default());
        // The sender and the receiver of each text, and the texts that are not done.
        let mut said = Vec::new();
        let mut unfinished = BTreeSet::new();
        let mut open: HashMap<Id, Vec<Waiting>> = HashMap::new();
        let number = |waiting: &Waiting| content(waiting).parse::<usize>().unwrap();
        while said.len() < 200 || !line.is_empty() {
            let more = if said.len() < 200 { random.random_range(0..8) } else { 0 };
            for _ in 0..more {
                let sender = random.random_range(1..=8);
                let receiver = (1..=8).filter(|&user| user != sender).choose(random).unwrap();
                line.add([users.say(sender, receiver, &said.len().to_string())]);
                unfinished.insert(said.len());
                said.push((sender, receiver));
            }
            let started: Vec<_> = [line.lane(), line.batch()].into_iter().flatten().collect();
            for (id, requests) in started {
                let taken: Vec<_> = requests.iter().map(number).collect();
                assert!(taken.is_sorted());
                for &text in &taken {
                    let (sender, receiver) = said[text];
                    for earlier in unfinished.range(..text).filter(|earlier| !taken.contains(earlier)) {
                        let is_behind = said[*earlier].0 == sender || said[*earlier] == (receiver, sender);
                        assert!(!is_behind, "{text} before {earlier}");
                    }
                }
                open.insert(id, requests);
            }
            if let Some(&id) = open.keys().choose(random) {
                let requests = open.remove(&id).unwrap();
                let is_lane = line.ended(id);
                match random.random_range(0..4) {
                    0 => line.add_locked(requests),
                    1 if is_lane => line.add_locked(requests),
                    1 => line.add(requests),
                    _ => {
                        for done in requests {
                            unfinished.remove(&number(&done));
                            done.answer(Ok(StoredTexts { thread: ThreadId(1), texts: Vec::new(), fresh: 0 }));
                        }
                    }
                }
            } else {
                assert!(said.len() < 200 || line.is_empty(), "nothing is open, and nothing can be");
            }
        }
        assert!(unfinished.is_empty());
    }
}
