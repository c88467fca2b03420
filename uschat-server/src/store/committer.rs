use std::{future::Future, num::NonZeroUsize};

use tokio::sync::{
    mpsc::{self, error::TrySendError},
    oneshot,
};
use tokio_util::task::TaskTracker;

use super::{NewTexts, Receipt, StoreError, StoredTexts, SubmitError};

/// Stores many requests in one transaction; what a SQL adapter implements to be fed by a [`Committer`].
pub trait CommitBatch: Send + Sync + 'static {
    /// Stores the requests in order and commits; one outcome for each. A refused request must not take others with it.
    /// Returns only after the commit has returned.
    fn commit(&self, batch: &[NewTexts]) -> impl Future<Output = Vec<Result<StoredTexts, SubmitError>>> + Send;
}

/// Groups whatever waits into one commit: no timer, an idle store commits a single request at once, and while a commit is
/// under way the next batch gathers.
#[derive(Debug)]
pub struct Committer {
    queue: mpsc::Sender<(NewTexts, oneshot::Sender<Result<StoredTexts, SubmitError>>)>,
    task: TaskTracker,
}

impl Committer {
    /// Requests that may wait; beyond that [`SubmitError::Overloaded`].
    pub const QUEUE: usize = 4_096;

    /// Starts the task that commits, at most `max_batch` requests at a time. It ends when the committer is dropped or
    /// [closed](Self::close), after the last request handed over was committed.
    pub fn start(store: impl CommitBatch, max_batch: NonZeroUsize) -> Self {
        let (queue, mut waiting) = mpsc::channel::<(NewTexts, oneshot::Sender<_>)>(Self::QUEUE);
        let task = TaskTracker::new();
        task.spawn(async move {
            let mut batch = Vec::with_capacity(max_batch.get());
            while waiting.recv_many(&mut batch, max_batch.get()).await > 0 {
                let (requests, askers): (Vec<_>, Vec<_>) = batch.drain(..).unzip();
                let outcomes = store.commit(&requests).await;
                for (asker, outcome) in askers.into_iter().zip(outcomes) {
                    // A session that is gone does not need its answer: the text is stored all the same.
                    let _ = asker.send(outcome);
                }
            }
        });
        task.close();
        Self { queue, task }
    }

    /// See [`Conversations::submit`](super::Conversations::submit).
    pub fn submit(&self, texts: NewTexts) -> Receipt {
        let (answer, outcome) = oneshot::channel();
        match self.queue.try_send((texts, answer)) {
            Ok(()) => Receipt::waiting(outcome),
            Err(TrySendError::Full(_)) => Receipt::ready(Err(SubmitError::Overloaded)),
            Err(TrySendError::Closed(_)) => Receipt::ready(Err(StoreError::unavailable("the store stopped").into())),
        }
    }

    /// Commits what was handed over, then ends.
    pub async fn close(self) {
        drop(self.queue);
        self.task.wait().await;
    }
}
