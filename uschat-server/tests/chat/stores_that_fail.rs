//! A store that fails is a retryable refusal, never a false success. What was said behind a text that failed is refused too
//! and the session ends, so that nothing is stored without what was said before it.

use std::{
    future::pending,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use serde_json::json;
use tokio::sync::{mpsc, oneshot};
use uschat_proto::chat::{MessageKey, ThreadId, UserId};
use uschat_server::{
    chat::{ChatConfig, ChatStores},
    store::{
        Applied, Approval, ApproveError, Contact, Contacts, Conversations, NewTexts, OpenThreadError,
        PendingApplication, Place, PrivateThread, Progress, Receipt, Standing, StoreError, StoredText, StoredTexts,
        SubmitError, ThreadHead, memory::MemoryStore,
    },
};

use crate::support::{Client, Running, TOKEN, World, text};

struct Failing {
    inner: Arc<MemoryStore>,
    mode: Mutex<Mode>,
}

#[derive(Clone)]
enum Mode {
    Works,
    Fails,
    /// It has no texts to tell, and works otherwise.
    Unreadable,
    /// There is no place in front of it.
    Full,
    /// The test says what becomes of a text.
    Asks(mpsc::UnboundedSender<Outcome>),
}

type Outcome = oneshot::Sender<Result<StoredTexts, SubmitError>>;

impl Failing {
    fn new(inner: Arc<MemoryStore>) -> Arc<Self> {
        Arc::new(Self { inner, mode: Mutex::new(Mode::Works) })
    }

    fn mode(&self) -> Mode {
        self.mode.lock().unwrap().clone()
    }

    fn set(&self, mode: Mode) {
        *self.mode.lock().unwrap() = mode;
    }

    fn check(&self) -> Result<(), StoreError> {
        if let Mode::Fails = self.mode() { Err(switched_off()) } else { Ok(()) }
    }
}

fn switched_off() -> StoreError {
    StoreError::unavailable("switched off")
}

#[async_trait]
impl Conversations for Failing {
    fn submit(&self, texts: NewTexts) -> Receipt {
        match self.check() {
            Ok(()) => self.inner.submit(texts),
            Err(error) => Receipt::ready(Err(SubmitError::Store(error))),
        }
    }

    async fn history(&self, thread: ThreadId, after: MessageKey, limit: usize) -> Result<Vec<StoredText>, StoreError> {
        self.check()?;
        self.inner.history(thread, after, limit).await
    }

    async fn private_thread(&self, one: UserId, other: UserId) -> Result<Option<ThreadId>, StoreError> {
        self.check()?;
        self.inner.private_thread(one, other).await
    }

    async fn threads(&self, uid: UserId, after: ThreadId, limit: usize) -> Result<Vec<PrivateThread>, StoreError> {
        self.check()?;
        self.inner.threads(uid, after, limit).await
    }

    async fn participants(&self, thread: ThreadId) -> Result<Option<[UserId; 2]>, StoreError> {
        self.check()?;
        self.inner.participants(thread).await
    }

    async fn open_private(&self, uid: UserId, friend: UserId) -> Result<ThreadId, OpenThreadError> {
        self.check()?;
        self.inner.open_private(uid, friend).await
    }

    async fn place(&self) -> Place {
        match self.mode() {
            Mode::Works | Mode::Unreadable => self.inner.place().await,
            Mode::Fails => Place::new(|_| Receipt::ready(Err(switched_off().into()))),
            Mode::Full => pending().await,
            Mode::Asks(asked) => Place::new(move |_| {
                let (outcome, receipt) = oneshot::channel();
                asked.send(outcome).unwrap();
                Receipt::waiting(receipt)
            }),
        }
    }

    async fn texts_after(&self, thread: ThreadId, after: i64, limit: usize) -> Result<Vec<StoredText>, StoreError> {
        if let Mode::Fails | Mode::Unreadable = self.mode() {
            return Err(switched_off());
        }
        self.inner.texts_after(thread, after, limit).await
    }

    async fn texts_at(&self, places: &[(ThreadId, i64)]) -> Result<Vec<StoredText>, StoreError> {
        self.check()?;
        self.inner.texts_at(places).await
    }

    async fn standings(&self, uid: UserId, threads: &[ThreadId]) -> Result<Vec<Standing>, StoreError> {
        self.check()?;
        self.inner.standings(uid, threads).await
    }

    async fn waiting(&self, uid: UserId, after: ThreadId, limit: usize) -> Result<Vec<Standing>, StoreError> {
        self.check()?;
        self.inner.waiting(uid, after, limit).await
    }

    async fn heads_after(&self, after: MessageKey, limit: usize) -> Result<Vec<ThreadHead>, StoreError> {
        self.check()?;
        self.inner.heads_after(after, limit).await
    }

    async fn last_key(&self) -> Result<MessageKey, StoreError> {
        self.check()?;
        self.inner.last_key().await
    }

    async fn record_progress(&self, progress: &[Progress]) -> Result<(), StoreError> {
        self.check()?;
        self.inner.record_progress(progress).await
    }
}

#[async_trait]
impl Contacts for Failing {
    async fn apply(&self, from: UserId, to: UserId, said: &str, remark: &str) -> Result<Applied, StoreError> {
        self.check()?;
        self.inner.apply(from, to, said, remark).await
    }

    async fn applications_to(&self, uid: UserId, limit: usize) -> Result<Vec<PendingApplication>, StoreError> {
        self.check()?;
        self.inner.applications_to(uid, limit).await
    }

    async fn approve(&self, approver: UserId, applicant: UserId, remark: &str) -> Result<Approval, ApproveError> {
        self.check()?;
        self.inner.approve(approver, applicant, remark).await
    }

    async fn friends(&self, uid: UserId) -> Result<Vec<Contact>, StoreError> {
        self.check()?;
        self.inner.friends(uid).await
    }

    async fn are_friends(&self, uid: UserId, other: UserId) -> Result<bool, StoreError> {
        self.check()?;
        self.inner.are_friends(uid, other).await
    }
}

struct Friends {
    world: World,
    store: Arc<Failing>,
    server: Running,
    ada: UserId,
    ben: UserId,
    thread: ThreadId,
}

async fn friends() -> Friends {
    let world = World::new();
    let (ada, ben) = (world.user("ada").await, world.user("ben").await);
    let thread = world.friends(ada, ben).await;
    let store = Failing::new(world.store.clone());
    let stores = ChatStores { contacts: store.clone(), conversations: store.clone(), ..world.stores() };
    let config = ChatConfig { heartbeat: Duration::from_millis(50), ..ChatConfig::new("ours", "127.0.0.1") };
    let server = world.server_with(stores, config).await;
    Friends { world, store, server, ada, ben, thread }
}

/// The next frame refuses a text with this id.
async fn refused(client: &mut Client, code: i32, client_id: &str) {
    let refused = client.expect(1018).await;
    assert_eq!((&refused["error"], &refused["text_array"][0]["msgid"]), (&json!(code), &json!(client_id)));
}

#[tokio::test]
async fn requests_are_refused_while_the_store_fails_and_succeed_afterwards() {
    let Friends { world, store, server, ada, .. } = friends().await;
    let eve = world.user("eve").await;
    let mut client = server.log_in(ada).await;

    store.set(Mode::Fails);
    client.send(1009, &json!({"touid": eve, "applyname": "", "bakname": ""})).await;
    assert_eq!(client.expect(1010).await["error"], 3101);
    client.send(1013, &json!({"touid": eve, "back": ""})).await;
    assert_eq!(client.expect(1014).await["error"], 3101);
    client.is_alive().await;

    // A login that cannot read its lists is refused and must begin anew.
    let mut login = server.connect().await;
    login.send(1005, &json!({"uid": eve, "token": TOKEN})).await;
    assert_eq!(login.expect(1006).await, json!({"error": 3101}));
    assert_eq!(login.receive().await, None);

    store.set(Mode::Works);
    client.send(1009, &json!({"touid": eve, "applyname": "", "bakname": ""})).await;
    assert_eq!(client.expect(1010).await["error"], 0);
    drop(server.log_in(eve).await);
    server.stop().await;
}

#[tokio::test]
async fn texts_that_failed_are_sent_again_in_a_new_session() {
    let Friends { store, server, ada, ben, .. } = friends().await;
    let mut client = server.log_in(ada).await;
    store.set(Mode::Fails);
    client.send(1017, &text(ben, "one", "{1}")).await;
    refused(&mut client, 3101, "{1}").await;
    assert_eq!(client.receive().await, None);

    store.set(Mode::Works);
    let mut client = server.log_in(ada).await;
    for (seq, content, id) in [(2, "one", "{1}"), (3, "two", "{2}")] {
        client.send(1017, &text(ben, content, id)).await;
        assert_eq!(client.expect(1018).await["chat_datas"][0]["seq"], seq);
    }
    server.stop().await;
}

#[tokio::test]
async fn what_was_said_behind_a_text_that_failed_is_refused_in_order_and_the_session_ends() {
    let Friends { store, server, ada, ben, .. } = friends().await;
    let mut client = server.log_in(ada).await;
    let (asked, mut outcomes) = mpsc::unbounded_channel();
    store.set(Mode::Asks(asked));
    client.send(1017, &text(ben, "one", "{1}")).await;
    client.send(1017, &text(ben, "two", "{2}")).await;
    client.is_alive().await;

    let (first, second) = (outcomes.recv().await.unwrap(), outcomes.recv().await.unwrap());
    second.send(Err(SubmitError::Behind)).unwrap();
    first.send(Err(switched_off().into())).unwrap();
    refused(&mut client, 3101, "{1}").await;
    refused(&mut client, 3101, "{2}").await;
    assert_eq!(client.receive().await, None);
    server.stop().await;
}

#[tokio::test]
async fn a_text_that_is_refused_for_good_costs_nothing_else() {
    let Friends { store, server, ada, ben, .. } = friends().await;
    let mut client = server.log_in(ada).await;
    let (asked, mut outcomes) = mpsc::unbounded_channel();
    store.set(Mode::Asks(asked));
    client.send(1017, &text(ben, "one", "{1}")).await;
    outcomes.recv().await.unwrap().send(Err(SubmitError::ClientIdReused)).unwrap();
    refused(&mut client, 3006, "{1}").await;
    store.set(Mode::Works);
    client.send(1017, &text(ben, "two", "{2}")).await;
    assert_eq!(client.expect(1018).await["error"], 0);
    server.stop().await;
}

#[tokio::test]
async fn a_text_waits_for_a_place_until_the_send_deadline() {
    let Friends { store, server, ada, ben, .. } = friends().await;
    let mut client = server.log_in(ada).await;
    store.set(Mode::Full);
    client.send(1017, &text(ben, "one", "{1}")).await;
    client.send(1017, &text(ben, "two", "{2}")).await;
    tokio::time::pause();
    let begun = tokio::time::Instant::now();
    refused(&mut client, 3103, "{1}").await;
    assert!(begun.elapsed() >= Duration::from_secs(4), "{:?}", begun.elapsed());
    assert_eq!(client.receive().await, None);
    tokio::time::resume();
    server.stop().await;
}

#[tokio::test]
async fn what_users_are_to_be_told_and_have_got_waits_for_the_store() {
    let Friends { world, store, server, ada, ben, thread } = friends().await;
    let mut client = server.log_in(ben).await;
    world.said(ada, ben, "before").await;
    assert_eq!(client.told(thread, 1).await, [2]);
    world.until_delivered(ben, thread, 2).await;

    // Heads say that there are texts, and these cannot be read.
    store.set(Mode::Unreadable);
    for _ in 0..3 {
        world.said(ada, ben, "meanwhile").await;
    }
    client.hears_nothing().await;
    store.set(Mode::Works);
    assert_eq!(client.told(thread, 3).await, [3, 4, 5]);
    store.set(Mode::Fails);
    client.is_alive().await;
    store.set(Mode::Works);
    world.until_delivered(ben, thread, 5).await;
    server.stop().await;
}
