use std::{future::Future, num::NonZeroUsize, time::Duration};

use tokio::sync::mpsc;
use tokio_util::task::TaskTracker;

use super::{
    NewTexts, Place, Receipt, StoreError, StoredTexts, SubmitError,
    pauses::Pauses,
    queue::{self, Queue, Waiting},
};

/// Stores many requests in one transaction; what a SQL adapter implements to be fed by a [`Committer`].
pub trait CommitBatch: Send + Sync + 'static {
    /// Stores the requests in order and commits; one outcome for each. A refused request must not take others with it, but
    /// behind one that failed for a reason that may pass ([`StoreError::Unavailable`]) nothing is stored. Returns only after
    /// the commit has returned.
    fn commit(&self, batch: &[&NewTexts]) -> impl Future<Output = Vec<Result<StoredTexts, SubmitError>>> + Send;
}

/// Groups whatever waits into one commit: no timer, an idle store commits a single request at once, and while a commit is
/// under way the next batch gathers.
///
/// What the store cannot do at the moment is tried again, in order, until its deadline; then it is refused, and whatever of
/// its [`Chain`](super::Chain) comes behind.
#[derive(Debug)]
pub struct Committer {
    queue: Queue,
    task: TaskTracker,
}

impl Committer {
    /// Requests that may wait; beyond that [`SubmitError::Overloaded`], or [`place`](Self::place) waits.
    pub const QUEUE: usize = queue::PLACES;

    /// Starts the task that commits, at most `max_batch` requests at a time. It ends when the committer is dropped or
    /// [closed](Self::close), after the last request handed over was answered. `database` is the label of its metrics.
    pub fn start(database: &'static str, store: impl CommitBatch, max_batch: NonZeroUsize, deadline: Duration) -> Self {
        let (queue, waiting) = Queue::new(database, deadline);
        let task = TaskTracker::new();
        task.spawn(run(store, waiting, max_batch.get()));
        task.close();
        Self { queue, task }
    }

    /// See [`Conversations::submit`](super::Conversations::submit).
    pub fn submit(&self, texts: NewTexts) -> Receipt {
        self.queue.submit(texts)
    }

    /// See [`Conversations::place`](super::Conversations::place). A place that is used after the end is refused.
    pub fn place(&self) -> impl Future<Output = Place> + Send + use<> {
        self.queue.place()
    }

    /// Commits what was handed over, then ends.
    pub async fn close(self) {
        self.queue.close();
        self.task.wait().await;
    }
}

async fn run(store: impl CommitBatch, mut queue: mpsc::Receiver<Waiting>, max_batch: usize) {
    let mut batch = Vec::with_capacity(max_batch);
    let mut outage: Option<Pauses> = None;
    // During an outage the batch is what could not be stored.
    while !batch.is_empty() || queue.recv_many(&mut batch, max_batch).await > 0 {
        // A store that is slow, but works, stores late what it can.
        if outage.is_some() {
            batch = without_late(batch);
        }
        batch = queue::without_broken(batch);
        if batch.is_empty() {
            continue;
        }
        batch = attempt(&store, batch).await;
        if batch.is_empty() {
            outage = None;
        } else {
            outage.get_or_insert_with(Pauses::endless).pause().await;
        }
    }
}

/// Answers what is done and returns what the store could not do now, in order.
async fn attempt(store: &impl CommitBatch, batch: Vec<Waiting>) -> Vec<Waiting> {
    let requests: Vec<_> = batch.iter().map(|waiting| &waiting.texts).collect();
    let outcomes = store.commit(&requests).await;
    let mut left = Vec::new();
    for (waiting, outcome) in batch.into_iter().zip(outcomes) {
        match outcome {
            Err(SubmitError::Store(StoreError::Unavailable(cause))) => {
                tracing::debug!(%cause, "a text could not be stored yet");
                left.push(waiting);
            }
            outcome => waiting.answer(outcome),
        }
    }
    left
}

fn without_late(batch: Vec<Waiting>) -> Vec<Waiting> {
    let (late, rest): (Vec<_>, Vec<_>) = batch.into_iter().partition(Waiting::is_late);
    for waiting in late {
        waiting.answer(Err(StoreError::unavailable("the database did not do it until the deadline").into()));
    }
    rest
}
