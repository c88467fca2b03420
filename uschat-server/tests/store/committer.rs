//! The committer between sessions and a SQL database: nothing is stored without what was said before it, and a busy store
//! slows its callers down.

use std::{
    future::Future,
    num::NonZeroUsize,
    sync::{Arc, Mutex},
    time::Duration,
};

use futures_util::{FutureExt, future::join_all};
use tokio::{
    sync::{Semaphore, mpsc},
    task::unconstrained,
    time::{Instant, sleep, timeout},
};
use uschat_proto::chat::{MessageKey, ThreadId, UserId};
use uschat_server::store::{
    Chain, CommitBatch, Committer, NewText, NewTexts, StoreError, StoredText, StoredTexts, SubmitError,
};

const DEADLINE: Duration = Duration::from_secs(5);

/// What the database does with the next requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mood {
    Works,
    /// Stores so many of a batch, then is out of reach.
    FailsBehind(usize),
    TakesLong(Duration),
    Panics,
}

/// A database that can be told to fail.
#[derive(Clone)]
struct Fake {
    mood: Arc<Mutex<Mood>>,
    stored: Arc<Mutex<Vec<String>>>,
    /// One permit lets one batch begin, if there is such a gate.
    gate: Option<Arc<Semaphore>>,
    /// Hears the size of every batch that begins.
    begins: mpsc::UnboundedSender<usize>,
}

impl Fake {
    fn new(mood: Mood) -> (Self, mpsc::UnboundedReceiver<usize>) {
        let (begins, heard) = mpsc::unbounded_channel();
        (Self { mood: Arc::new(Mutex::new(mood)), stored: Arc::default(), gate: None, begins }, heard)
    }

    fn turns(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
    }

    fn stored(&self) -> Vec<String> {
        self.stored.lock().unwrap().clone()
    }

    fn store(&self, request: &NewTexts) -> Result<StoredTexts, SubmitError> {
        let content = request.texts[0].content.clone();
        if content == "poison" {
            return Err(StoreError::Corrupt("poison".into()).into());
        }
        let mut stored = self.stored.lock().unwrap();
        stored.push(content.clone());
        let seq = stored.len() as i64;
        let (key, thread, sender) = (MessageKey(seq), ThreadId(1), request.sender);
        let text = StoredText { key, thread, seq, sender, client_id: None, content, sent_at: 0 };
        Ok(StoredTexts { thread, texts: vec![text], fresh: 1 })
    }
}

impl CommitBatch for Fake {
    async fn commit(&self, batch: &[&NewTexts]) -> Vec<Result<StoredTexts, SubmitError>> {
        let _ = self.begins.send(batch.len());
        if let Some(gate) = &self.gate {
            gate.acquire().await.unwrap().forget();
        }
        let mood = *self.mood.lock().unwrap();
        let works = match mood {
            Mood::Works => batch.len(),
            Mood::FailsBehind(works) => works,
            Mood::TakesLong(time) => {
                sleep(time).await;
                batch.len()
            }
            Mood::Panics => panic!("as told"),
        };
        let unavailable = || Err(StoreError::unavailable("out of reach").into());
        let outcome = |(n, request): (usize, &&NewTexts)| if n < works { self.store(request) } else { unavailable() };
        batch.iter().enumerate().map(outcome).collect()
    }
}

fn committer(fake: &Fake) -> Committer {
    Committer::start("fake", fake.clone(), NonZeroUsize::new(256).unwrap(), DEADLINE)
}

fn text(chain: &Chain, content: &str) -> NewTexts {
    NewTexts {
        sender: UserId(1),
        receiver: UserId(2),
        thread: None,
        texts: vec![NewText { client_id: None, content: content.into() }],
        sent_at: 0,
        chain: chain.clone(),
    }
}

/// One word for each outcome.
fn word(outcome: Result<StoredTexts, SubmitError>) -> &'static str {
    match outcome {
        Ok(_) => "stored",
        Err(SubmitError::Behind) => "behind",
        Err(SubmitError::Overloaded) => "overloaded",
        Err(SubmitError::Store(StoreError::Unavailable(_))) => "unavailable",
        Err(SubmitError::Store(StoreError::Corrupt(_))) => "corrupt",
        Err(other) => panic!("{other}"),
    }
}

async fn words(
    receipts: impl IntoIterator<Item = impl Future<Output = Result<StoredTexts, SubmitError>>>,
) -> Vec<&'static str> {
    join_all(receipts).await.into_iter().map(word).collect()
}

#[tokio::test(start_paused = true)]
async fn a_short_outage_is_not_noticed_and_keeps_the_order() {
    let (fake, _begins) = Fake::new(Mood::FailsBehind(2));
    let committer = committer(&fake);
    let chain = Chain::default();
    let contents: Vec<_> = (0..10).map(|n| n.to_string()).collect();
    let receipts: Vec<_> = contents.iter().map(|content| committer.submit(text(&chain, content))).collect();
    let outcomes = tokio::spawn(words(receipts));
    sleep(DEADLINE / 2).await;
    fake.turns(Mood::Works);
    assert_eq!(outcomes.await.unwrap(), ["stored"; 10]);
    assert_eq!(fake.stored(), contents);
    assert!(!chain.is_broken());
}

#[tokio::test(start_paused = true)]
async fn behind_a_text_that_is_given_up_nothing_of_its_chain_is_stored() {
    let (fake, _begins) = Fake::new(Mood::FailsBehind(0));
    let committer = committer(&fake);
    let (one, other) = (Chain::default(), Chain::default());
    let began = Instant::now();
    let mut receipts = vec![committer.submit(text(&one, "a1")), committer.submit(text(&other, "b1"))];
    receipts.push(committer.submit(text(&one, "a2")));
    sleep(DEADLINE / 2).await;
    // Not late when the first is given up, and the database works again just then.
    let mut later = vec![committer.submit(text(&one, "a3"))];
    assert_eq!(words(receipts).await, ["unavailable", "unavailable", "behind"]);
    let waited = began.elapsed();
    assert!(waited >= DEADLINE && waited < DEADLINE + Duration::from_secs(1), "{waited:?}");
    assert!(one.is_broken() && other.is_broken());
    fake.turns(Mood::Works);
    later.push(committer.submit(text(&one, "a4")));
    later.push(committer.place().await.submit(text(&one, "a5")));
    assert_eq!(words(later).await, ["behind"; 3]);
    // The client comes back and says everything again.
    let again = Chain::default();
    let retried = ["a1", "a2", "a3"].map(|content| committer.submit(text(&again, content)));
    assert_eq!(words(retried).await, ["stored"; 3]);
    assert_eq!(fake.stored(), ["a1", "a2", "a3"]);
}

#[tokio::test(start_paused = true)]
async fn a_chain_is_broken_before_the_refusal_is_told() {
    let (fake, _begins) = Fake::new(Mood::FailsBehind(0));
    let committer = committer(&fake);
    let chain = Chain::default();
    let receipt = committer.submit(text(&chain, "a")).map(|outcome| (word(outcome), chain.is_broken()));
    assert_eq!(receipt.await, ("unavailable", true));
}

#[tokio::test(start_paused = true)]
async fn a_permanent_refusal_breaks_nothing() {
    let (fake, _begins) = Fake::new(Mood::Works);
    let committer = committer(&fake);
    let chain = Chain::default();
    let outcomes = ["a", "poison", "b"].map(|content| committer.submit(text(&chain, content)));
    assert_eq!(words(outcomes).await, ["stored", "corrupt", "stored"]);
    assert!(!chain.is_broken());
}

#[tokio::test(start_paused = true)]
async fn a_slow_database_stores_what_has_waited_longer_than_the_deadline() {
    let (fake, _begins) = Fake::new(Mood::TakesLong(DEADLINE * 2));
    let committer = committer(&fake);
    let chain = Chain::default();
    let first = committer.submit(text(&chain, "a"));
    tokio::task::yield_now().await;
    let second = committer.submit(text(&chain, "b"));
    assert_eq!(words([first, second]).await, ["stored"; 2]);
    assert_eq!(fake.stored(), ["a", "b"]);
}

#[tokio::test(start_paused = true)]
async fn a_commit_that_panics_breaks_the_chains_it_held() {
    let (fake, _begins) = Fake::new(Mood::Panics);
    let committer = committer(&fake);
    let chain = Chain::default();
    assert_eq!(word(committer.submit(text(&chain, "a")).await), "unavailable");
    assert!(chain.is_broken());
    let next = Chain::default();
    assert_eq!(word(committer.submit(text(&next, "b")).await), "unavailable");
    assert!(next.is_broken());
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_refuses_who_does_not_wait_and_slows_down_who_does() {
    let (fake, mut begins) = Fake::new(Mood::Works);
    let gate = Arc::new(Semaphore::new(0));
    let fake = Fake { gate: Some(gate.clone()), ..fake };
    let committer = committer(&fake);
    let chain = Chain::default();
    let mut receipts: Vec<_> = (0..Committer::QUEUE).map(|_| committer.submit(text(&chain, "queued"))).collect();
    assert_eq!(begins.recv().await, Some(256));

    let refused = Chain::default();
    assert_eq!(word(committer.submit(text(&refused, "refused")).await), "overloaded");
    assert!(refused.is_broken(), "what comes behind a refused text must not be stored");

    // A request keeps its place until it is answered, so those of the batch under way are not free yet.
    // Polled by hand, many at a time, which tokio would take for a task that lets nobody else run.
    let place = |n| unconstrained(committer.place()).map(move |place| (n, place)).boxed();
    let mut places: Vec<_> = (0..300).map(place).collect();
    let got = |places: &mut Vec<futures_util::future::BoxFuture<'static, _>>| {
        let mut got = Vec::new();
        places.retain_mut(|place| match place.now_or_never() {
            Some(place) => {
                got.push(place);
                false
            }
            None => true,
        });
        got
    };
    assert!(got(&mut places).is_empty());
    gate.add_permits(1);
    assert_eq!(begins.recv().await, Some(256));
    let first: Vec<(usize, _)> = got(&mut places);
    assert_eq!(first.iter().map(|(n, _)| *n).collect::<Vec<_>>(), (0..256).collect::<Vec<_>>());
    // Whoever has a place is not refused; whoever has none is.
    assert_eq!(word(committer.submit(text(&Chain::default(), "refused")).await), "overloaded");
    receipts.extend(first.into_iter().map(|(n, place)| place.submit(text(&chain, &n.to_string()))));
    gate.add_permits(1_000);
    // A place that is given back goes to the next.
    drop(join_all(places).await);
    let outcomes = timeout(Duration::from_secs(60), words(receipts)).await.unwrap();
    assert!(outcomes.iter().all(|&word| word == "stored"));
    assert_eq!(fake.stored()[Committer::QUEUE..], (0..256).map(|n| n.to_string()).collect::<Vec<_>>());
    assert_eq!(word(committer.submit(text(&Chain::default(), "room again")).await), "stored");
}

#[tokio::test(start_paused = true)]
async fn the_end_waits_for_what_was_handed_over_and_for_nothing_else() {
    let (fake, _begins) = Fake::new(Mood::TakesLong(Duration::from_secs(1)));
    let committer = committer(&fake);
    let chain = Chain::default();
    let handed_over = committer.submit(text(&chain, "handed over"));
    let place = committer.place().await;
    let waiting = committer.place();
    timeout(Duration::from_secs(10), committer.close()).await.unwrap();
    assert_eq!(word(handed_over.await), "stored");
    for place in [place, waiting.await] {
        assert_eq!(word(place.submit(text(&Chain::default(), "late")).await), "unavailable");
    }
    assert_eq!(fake.stored(), ["handed over"]);
}
