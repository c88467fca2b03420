//! Groups the texts that wait into commits.
//!
//! One task decides what is stored next and together with what ([`Line`]); each transaction is a task of its own.

use std::{future::Future, num::NonZeroUsize, time::Duration};

use tokio::{
    sync::mpsc,
    task::{Id, JoinError, JoinSet},
};
use tokio_util::task::TaskTracker;

use super::{
    batch::Outcome,
    database::Database,
    known::Locks,
    line::{BATCHES, Line},
};
use crate::store::{
    NewTexts, Place, Receipt, StoreError,
    pauses::Pauses,
    plan::Pair,
    queue::{self, PLACES, Queue, Waiting},
};

/// Pause of a lane that was not successful, in addition to the time it waited for the lock.
const RETRY: Duration = Duration::from_millis(20);

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
        let (line, transactions) = (Line::default(), JoinSet::new());
        task.spawn(Committing { database, max_batch: max_batch.get(), line, transactions }.run(waiting));
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
    line: Line,
    transactions: JoinSet<Undone>,
}

impl Committing {
    async fn run(mut self, mut handed_over: mpsc::Receiver<Waiting>) {
        let mut is_open = true;
        let mut outage: Option<Pauses> = None;
        while is_open || !self.line.is_empty() {
            // What is away is asked for by one.
            self.open(if outage.is_some() { 1 } else { BATCHES });
            let mut received = Vec::new();
            tokio::select! {
                biased;
                Some(ended) = self.transactions.join_next_with_id() => match self.ended(ended) {
                    Ended::Lane => {}
                    Ended::Batch => outage = None,
                    // Bounded by the deadlines of the requests.
                    Ended::Unreached => _ = outage.get_or_insert_with(Pauses::endless).pause().await,
                },
                count = handed_over.recv_many(&mut received, PLACES), if is_open => is_open = count > 0,
            }
            self.line.add(received);
        }
    }

    /// Opens as many transactions as there can be, up to so many batches.
    fn open(&mut self, batches: usize) {
        while let Some(lane) = self.line.next_lane(self.max_batch) {
            let stored = store(self.database.clone(), lane.requests, Locks::Wait);
            let transaction = self.transactions.spawn(async move {
                let undone = stored.await;
                if !undone.is_nothing() {
                    tokio::time::sleep(RETRY).await;
                }
                undone
            });
            self.line.opened_lane(transaction.id(), lane.ties);
        }
        while let Some(batch) = self.line.next_batch(batches, self.max_batch) {
            let transaction = self.transactions.spawn(store(self.database.clone(), batch.requests, Locks::Skip));
            self.line.opened_batch(transaction.id(), batch.ties);
        }
    }

    /// Puts back what a transaction could not store.
    fn ended(&mut self, ended: Result<(Id, Undone), JoinError>) -> Ended {
        let (transaction, Undone { locked, unreached }) = match ended {
            Ok(ended) => ended,
            // Who asked has been told by the drop of the answers.
            Err(error) => (error.id(), Undone::default()),
        };
        let is_lane = self.line.ended(transaction);
        let was_reached = unreached.is_empty();
        self.line.add_locked(locked);
        if is_lane {
            self.line.add_locked(unreached);
            return Ended::Lane;
        }
        self.line.add(unreached);
        if was_reached { Ended::Batch } else { Ended::Unreached }
    }
}

/// How a transaction ended.
enum Ended {
    Lane,
    Batch,
    /// It did not reach the database.
    Unreached,
}

/// What a transaction could not store, in order.
#[derive(Debug, Default)]
struct Undone {
    locked: Vec<Waiting>,
    unreached: Vec<Waiting>,
}

impl Undone {
    fn is_nothing(&self) -> bool {
        self.locked.is_empty() && self.unreached.is_empty()
    }
}

/// Answers what is done, and what has waited for too long together with everything behind it in its conversation.
async fn store(database: Database, batch: Vec<Waiting>, locks: Locks) -> Undone {
    let mut undone = Undone::default();
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
