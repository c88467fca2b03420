//! Groups the texts that wait into commits, and keeps a locked conversation from holding up the others.
//!
//! One task takes whatever waits and commits it together, going on without conversations that another transaction has
//! locked. Each of those is served in a *lane* of its own, a task that waits for the lock in the server's queue (so that two
//! servers that write in one conversation take turns); what comes for it meanwhile lines up behind. With all lanes taken,
//! further locked conversations wait for one. So at most one transaction a conversation is open here at any time.

use std::{
    collections::{HashMap, VecDeque},
    num::NonZeroUsize,
    time::Duration,
};

use tokio::{
    sync::{
        mpsc::{self, error::TrySendError},
        oneshot,
    },
    task::{Id, JoinError, JoinSet},
    time::Instant,
};
use tokio_util::task::TaskTracker;

use super::{
    batch::Outcome,
    database::{Database, Pauses},
    known::Locks,
};
use crate::store::{NewTexts, Receipt, StoreError, StoredTexts, SubmitError, plan::Pair};

/// Conversations that wait for a lock at one time.
pub(super) const LANES: usize = 8;
/// Requests that may wait in front of the task, and again behind locked conversations.
const QUEUE: usize = 4_096;

/// Hands texts to the task that commits them.
#[derive(Debug)]
pub(super) struct Committer {
    queue: mpsc::Sender<Waiting>,
    task: TaskTracker,
    deadline: Duration,
}

/// A request on its way.
#[derive(Debug)]
struct Waiting {
    texts: NewTexts,
    /// When it is given up.
    deadline: Instant,
    answer: oneshot::Sender<Result<StoredTexts, SubmitError>>,
}

impl Waiting {
    fn pair(&self) -> Pair {
        Pair::new(self.texts.sender, self.texts.receiver)
    }

    fn answer(self, outcome: Result<StoredTexts, SubmitError>) {
        // A session that is gone does not need its answer: the text is stored all the same.
        let _ = self.answer.send(outcome);
    }
}

impl Committer {
    /// Starts the task. It ends when the committer is dropped or closed, after the last request was answered.
    pub(super) fn start(database: Database, max_batch: NonZeroUsize) -> Self {
        let (queue, waiting) = mpsc::channel(QUEUE);
        let task = TaskTracker::new();
        let deadline = database.deadline;
        let lanes = Lanes::default();
        task.spawn(Committing { database, max_batch: max_batch.get(), ready: VecDeque::new(), lanes }.run(waiting));
        task.close();
        Self { queue, task, deadline }
    }

    pub(super) fn submit(&self, texts: NewTexts) -> Receipt {
        let (answer, outcome) = oneshot::channel();
        match self.queue.try_send(Waiting { texts, deadline: Instant::now() + self.deadline, answer }) {
            Ok(()) => Receipt::waiting(outcome),
            Err(TrySendError::Full(_)) => Receipt::ready(Err(SubmitError::Overloaded)),
            Err(TrySendError::Closed(_)) => Receipt::ready(Err(StoreError::unavailable("the store stopped").into())),
        }
    }

    /// Commits what was handed over, then ends.
    pub(super) async fn close(self) {
        drop(self.queue);
        self.task.wait().await;
    }
}

struct Committing {
    database: Database,
    max_batch: usize,
    /// What the next batch takes, in order.
    ready: VecDeque<Waiting>,
    lanes: Lanes,
}

impl Committing {
    async fn run(mut self, mut queue: mpsc::Receiver<Waiting>) {
        let mut open = true;
        let mut outage: Option<Pauses> = None;
        while open || !self.ready.is_empty() || !self.lanes.behind.is_empty() {
            self.lanes.serve(&self.database, self.max_batch);
            let mut received = Vec::new();
            let room = self.max_batch.saturating_sub(self.ready.len());
            tokio::select! {
                biased;
                Some(ended) = self.lanes.running.join_next_with_id() => self.ready.extend(self.lanes.ended(ended)),
                count = queue.recv_many(&mut received, room), if open && room > 0 => open = count > 0,
                () = std::future::ready(()), if !self.ready.is_empty() => {}
            }
            for waiting in received {
                if let Some(waiting) = self.lanes.line_up(waiting) {
                    self.ready.push_back(waiting);
                }
            }
            if self.ready.is_empty() {
                continue;
            }

            let batch: Vec<_> = self.ready.drain(..self.ready.len().min(self.max_batch)).collect();
            let Undone { locked, unreached } = store(&self.database, batch, Locks::Skip).await;
            self.lanes.add(locked);
            if unreached.is_empty() {
                outage = None;
                continue;
            }
            for waiting in unreached.into_iter().rev() {
                self.ready.push_front(waiting);
            }
            // Bounded by the deadlines of the requests, not by the pauses.
            let far = Instant::now() + Duration::from_secs(60 * 60);
            outage.get_or_insert_with(|| Pauses::until(far)).pause().await;
        }
    }
}

/// The conversations that others have locked.
#[derive(Default)]
struct Lanes {
    /// What waits behind each of them, in order; without what its lane has at hand.
    behind: HashMap<Pair, VecDeque<Waiting>>,
    /// How many requests those are.
    waiting: usize,
    /// Those no lane serves, the longest waiting first.
    unserved: VecDeque<Pair>,
    running: JoinSet<Vec<Waiting>>,
    serving: HashMap<Id, Pair>,
}

impl Lanes {
    /// Takes requests whose conversation was just found locked.
    fn add(&mut self, locked: Vec<Waiting>) {
        self.waiting += locked.len();
        for waiting in locked {
            let pair = waiting.pair();
            let behind = self.behind.entry(pair).or_insert_with(|| {
                self.unserved.push_back(pair);
                VecDeque::new()
            });
            behind.push_back(waiting);
        }
    }

    /// Keeps a request whose conversation is known to be locked, and gives back any other.
    fn line_up(&mut self, waiting: Waiting) -> Option<Waiting> {
        let Some(behind) = self.behind.get_mut(&waiting.pair()) else {
            return Some(waiting);
        };
        if self.waiting < QUEUE {
            behind.push_back(waiting);
            self.waiting += 1;
        } else {
            waiting.answer(Err(SubmitError::Overloaded));
        }
        None
    }

    /// Starts lanes for as many conversations as there may be.
    fn serve(&mut self, database: &Database, max_batch: usize) {
        while self.running.len() < LANES {
            let Some(pair) = self.unserved.pop_front() else {
                return;
            };
            let behind = self.behind.entry(pair).or_default();
            let batch: Vec<_> = behind.drain(..behind.len().min(max_batch)).collect();
            self.waiting -= batch.len();
            let database = database.clone();
            let lane = self.running.spawn(async move {
                let Undone { locked, unreached } = store(&database, batch, Locks::Wait).await;
                let undone: Vec<_> = locked.into_iter().chain(unreached).collect();
                if !undone.is_empty() {
                    tokio::time::sleep(RETRY).await;
                }
                undone
            });
            self.serving.insert(lane.id(), pair);
        }
    }

    /// Puts back what a lane could not do; if it did everything, what has lined up behind is ready for the next batch.
    fn ended(&mut self, ended: Result<(Id, Vec<Waiting>), JoinError>) -> VecDeque<Waiting> {
        let (lane, undone) = match ended {
            Ok(ended) => ended,
            // Who asked has been told by the drop of the answers.
            Err(error) => (error.id(), Vec::new()),
        };
        let Some(pair) = self.serving.remove(&lane) else {
            return VecDeque::new();
        };
        if undone.is_empty() {
            let ready = self.behind.remove(&pair).unwrap_or_default();
            self.waiting -= ready.len();
            return ready;
        }
        self.waiting += undone.len();
        let behind = self.behind.entry(pair).or_default();
        for waiting in undone.into_iter().rev() {
            behind.push_front(waiting);
        }
        self.unserved.push_back(pair);
        VecDeque::new()
    }
}

/// Pause of a lane that was not successful, in addition to the time it waited for the lock.
const RETRY: Duration = Duration::from_millis(20);

/// What is left of a batch, in order.
struct Undone {
    locked: Vec<Waiting>,
    unreached: Vec<Waiting>,
}

/// Answers what is done, and what has waited for too long together with everything behind it in its conversation.
async fn store(database: &Database, batch: Vec<Waiting>, locks: Locks) -> Undone {
    let mut undone = Undone { locked: Vec::new(), unreached: Vec::new() };
    let batch = give_up_late(batch);
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
    let now = Instant::now();
    let late: Vec<Pair> = batch.iter().filter(|waiting| waiting.deadline <= now).map(Waiting::pair).collect();
    if late.is_empty() {
        return batch;
    }
    let (given_up, rest): (Vec<_>, Vec<_>) = batch.into_iter().partition(|waiting| late.contains(&waiting.pair()));
    for waiting in given_up {
        let why = "the conversation was locked, or the database could not be reached, until the deadline";
        waiting.answer(Err(StoreError::unavailable(why).into()));
    }
    rest
}
