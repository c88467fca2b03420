//! The bounded queue in front of a committer, and what waits in it.

use std::{
    collections::VecDeque,
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use metrics::Gauge;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot},
    time::Instant,
};

use super::{NewTexts, Place, Receipt, StoreError, StoredTexts, SubmitError};

/// Requests that may be handed over and not yet be answered.
pub(super) const PLACES: usize = 4_096;

/// Where requests are handed over.
#[derive(Debug)]
pub(super) struct Queue {
    waiting: mpsc::Sender<Waiting>,
    /// A request holds its place until it is answered, wherever it waits meanwhile.
    places: Arc<Semaphore>,
    handing: Handing,
}

/// What every request gets on its way.
#[derive(Debug, Clone)]
struct Handing {
    /// The number of the next one.
    next: Arc<AtomicU64>,
    deadline: Duration,
    depth: Gauge,
}

impl Queue {
    /// A queue of requests that are given up `deadline` after they were handed over, and its other end.
    pub(super) fn new(database: &'static str, deadline: Duration) -> (Self, mpsc::Receiver<Waiting>) {
        let (waiting, queue) = mpsc::channel(PLACES);
        let depth = metrics::gauge!("uschat_store_queue_requests", "database" => database);
        let handing = Handing { next: Arc::default(), deadline, depth };
        (Self { waiting, places: Arc::new(Semaphore::new(PLACES)), handing }, queue)
    }

    /// See [`Conversations::submit`](super::Conversations::submit).
    pub(super) fn submit(&self, texts: NewTexts) -> Receipt {
        match Arc::clone(&self.places).try_acquire_owned() {
            Ok(place) => hand_over(&self.waiting, Waiting::new(texts, &self.handing, place)),
            Err(_) => refused(&texts, SubmitError::Overloaded),
        }
    }

    /// See [`Conversations::place`](super::Conversations::place). Does not keep the queue open.
    pub(super) fn place(&self) -> impl Future<Output = Place> + Send + use<> {
        let (places, queue) = (Arc::clone(&self.places), self.waiting.downgrade());
        let handing = self.handing.clone();
        async move {
            let place = places.acquire_owned().await;
            Place::new(move |texts| match (place, queue.upgrade()) {
                (Ok(place), Some(queue)) => hand_over(&queue, Waiting::new(texts, &handing, place)),
                _ => refused(&texts, stopped()),
            })
        }
    }

    /// Ends the queue: what was handed over is still received, those who wait for a place are told that it is over.
    pub(super) fn close(self) {
        self.places.close();
    }
}

fn hand_over(queue: &mpsc::Sender<Waiting>, (waiting, receipt): (Waiting, Receipt)) -> Receipt {
    if waiting.texts.chain.is_broken() {
        waiting.answer(Err(SubmitError::Behind));
    } else if let Err(refused) = queue.try_send(waiting) {
        // Whoever holds a place finds room, so the other end is gone.
        refused.into_inner().answer(Err(stopped()));
    }
    receipt
}

fn refused(texts: &NewTexts, why: SubmitError) -> Receipt {
    if texts.chain.is_broken() {
        return Receipt::ready(Err(SubmitError::Behind));
    }
    texts.chain.break_off();
    Receipt::ready(Err(why))
}

fn stopped() -> SubmitError {
    StoreError::unavailable("the store is closed").into()
}

/// A request on its way. Dropped without an answer, it breaks its chain: nobody knows what became of it.
#[derive(Debug)]
pub(super) struct Waiting {
    /// Tells the order in which requests were handed over, as far as one session or one conversation can tell.
    number: u64,
    pub(super) texts: NewTexts,
    /// When it is given up.
    deadline: Instant,
    answer: Option<oneshot::Sender<Result<StoredTexts, SubmitError>>>,
    depth: Gauge,
    _place: OwnedSemaphorePermit,
}

impl Waiting {
    fn new(texts: NewTexts, handing: &Handing, place: OwnedSemaphorePermit) -> (Self, Receipt) {
        let (answer, outcome) = oneshot::channel();
        let depth = handing.depth.clone();
        depth.increment(1.0);
        let number = handing.next.fetch_add(1, Ordering::Relaxed);
        let deadline = Instant::now() + handing.deadline;
        (Self { number, texts, deadline, answer: Some(answer), depth, _place: place }, Receipt::waiting(outcome))
    }

    pub(super) fn is_late(&self) -> bool {
        self.deadline <= Instant::now()
    }

    /// Answers. A failure that may pass breaks the chain before that; behind a break it only tells that it is behind.
    pub(super) fn answer(mut self, outcome: Result<StoredTexts, SubmitError>) {
        let may_pass = matches!(outcome, Err(SubmitError::Overloaded | SubmitError::Store(StoreError::Unavailable(_))));
        let behind = may_pass && self.texts.chain.is_broken();
        if may_pass {
            self.texts.chain.break_off();
        }
        if let Some(answer) = self.answer.take() {
            // A session that is gone does not need its answer: the text is stored all the same.
            let _ = answer.send(if behind { Err(SubmitError::Behind) } else { outcome });
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.depth.decrement(1.0);
        if self.answer.is_some() {
            self.texts.chain.break_off();
        }
    }
}

/// Puts a request where it belongs among others that wait: before what was handed over later.
#[cfg_attr(not(feature = "mysql"), expect(dead_code, reason = "only the committer of MySQL puts requests back"))]
pub(super) fn put_in_order(line: &mut VecDeque<Waiting>, waiting: Waiting) {
    let place = line.partition_point(|other| other.number < waiting.number);
    line.insert(place, waiting);
}

/// Refuses what comes behind a failure, and returns the rest.
pub(super) fn without_broken(batch: Vec<Waiting>) -> Vec<Waiting> {
    let (broken, rest): (Vec<_>, Vec<_>) = batch.into_iter().partition(|waiting| waiting.texts.chain.is_broken());
    broken.into_iter().for_each(|waiting| waiting.answer(Err(SubmitError::Behind)));
    rest
}
