//! Groups the texts that wait into commits, and keeps a locked conversation from holding up the others.
//!
//! One task takes whatever waits and commits it together, going on without conversations that another transaction has
//! locked; those are left to [`Lanes`]. At most one transaction a conversation is open here at any time.

use std::{collections::VecDeque, future::Future, num::NonZeroUsize};

use tokio::sync::mpsc;
use tokio_util::task::TaskTracker;

use super::{batch::Outcome, database::Database, known::Locks, lanes::Lanes};
use crate::store::{
    NewTexts, Place, Receipt, StoreError,
    pauses::Pauses,
    plan::Pair,
    queue::{self, Queue, Waiting},
};

/// Hands texts to the task that commits them.
#[derive(Debug)]
pub(super) struct Committer {
    queue: Queue,
    task: TaskTracker,
}

impl Committer {
    /// Starts the task. It ends when the committer is dropped or closed, after the last request was answered.
    pub(super) fn start(database: Database, max_batch: NonZeroUsize) -> Self {
        let (queue, waiting) = Queue::new("mysql", database.deadline);
        let task = TaskTracker::new();
        let lanes = Lanes::default();
        task.spawn(Committing { database, max_batch: max_batch.get(), ready: VecDeque::new(), lanes }.run(waiting));
        task.close();
        Self { queue, task }
    }

    pub(super) fn submit(&self, texts: NewTexts) -> Receipt {
        self.queue.submit(texts)
    }

    pub(super) fn place(&self) -> impl Future<Output = Place> + Send + use<> {
        self.queue.place()
    }

    /// Commits what was handed over, then ends.
    pub(super) async fn close(self) {
        self.queue.close();
        self.task.wait().await;
    }
}

struct Committing {
    database: Database,
    max_batch: usize,
    /// What the next batches take, in order.
    ready: VecDeque<Waiting>,
    lanes: Lanes,
}

impl Committing {
    async fn run(mut self, mut handed_over: mpsc::Receiver<Waiting>) {
        let mut open = true;
        let mut outage: Option<Pauses> = None;
        while open || !self.ready.is_empty() || !self.lanes.are_idle() {
            self.lanes.serve(&self.database, self.max_batch);
            let mut received = Vec::new();
            let room = self.max_batch.saturating_sub(self.ready.len());
            tokio::select! {
                biased;
                Some(ended) = self.lanes.running.join_next_with_id() => {
                    let free = self.lanes.ended(ended);
                    self.make_ready(free);
                }
                count = handed_over.recv_many(&mut received, room), if open && room > 0 => open = count > 0,
                () = std::future::ready(()), if !self.ready.is_empty() => {}
            }
            self.make_ready(received);
            let batch = self.next_batch();
            if batch.is_empty() {
                continue;
            }

            let Undone { locked, unreached } = store(&self.database, batch, Locks::Skip).await;
            self.lanes.add(locked);
            if unreached.is_empty() {
                outage = None;
                continue;
            }
            self.make_ready(unreached);
            // Bounded by the deadlines of the requests.
            outage.get_or_insert_with(Pauses::endless).pause().await;
        }
    }

    fn make_ready(&mut self, waiting: Vec<Waiting>) {
        waiting.into_iter().for_each(|waiting| queue::put_in_order(&mut self.ready, waiting));
    }

    fn next_batch(&mut self) -> Vec<Waiting> {
        let mut batch = Vec::new();
        while batch.len() < self.max_batch
            && let Some(waiting) = self.ready.pop_front()
        {
            batch.extend(self.lanes.line_up(waiting));
        }
        batch
    }
}

/// What is left of a batch, in order.
pub(super) struct Undone {
    pub(super) locked: Vec<Waiting>,
    pub(super) unreached: Vec<Waiting>,
}

/// Answers what is done, and what has waited for too long together with everything behind it in its conversation.
pub(super) async fn store(database: &Database, batch: Vec<Waiting>, locks: Locks) -> Undone {
    let mut undone = Undone { locked: Vec::new(), unreached: Vec::new() };
    let batch = queue::without_broken(give_up_late(batch));
    if batch.is_empty() {
        return undone;
    }
    let requests: Vec<&NewTexts> = batch.iter().map(|waiting| &waiting.texts).collect();
    let outcomes = database.store(&requests, locks).await;
    for (waiting, outcome) in batch.into_iter().zip(outcomes) {
        match outcome {
            Outcome::Done(outcome) => waiting.answer(outcome),
            Outcome::Locked => undone.locked.push(waiting),
            Outcome::Unreached => undone.unreached.push(waiting),
        }
    }
    undone
}

fn give_up_late(batch: Vec<Waiting>) -> Vec<Waiting> {
    let late: Vec<Pair> = batch.iter().filter(|waiting| waiting.is_late()).map(pair).collect();
    if late.is_empty() {
        return batch;
    }
    let (given_up, rest): (Vec<_>, Vec<_>) = batch.into_iter().partition(|waiting| late.contains(&pair(waiting)));
    for waiting in given_up {
        let why = "the conversation was locked, or the database could not be reached, until the deadline";
        waiting.answer(Err(StoreError::unavailable(why).into()));
    }
    rest
}

fn pair(waiting: &Waiting) -> Pair {
    Pair::of(&waiting.texts)
}
