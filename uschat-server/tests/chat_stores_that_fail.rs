//! A store that fails is a retryable refusal: never a false success, and the session goes on.
#![cfg(feature = "chat")]

mod chat_support;

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use async_trait::async_trait;
use chat_support::{TOKEN, World, text};
use serde_json::json;
use uschat_proto::chat::{MessageKey, ThreadId, UserId};
use uschat_server::{
    chat::{ChatConfig, ChatStores},
    store::{
        Applied, Approval, ApproveError, Contact, Contacts, Conversations, NewTexts, OpenThreadError,
        PendingApplication, Place, PrivateThread, Progress, Receipt, Standing, StoreError, StoredText, SubmitError,
        ThreadHead, memory::MemoryStore,
    },
};

struct Failing {
    inner: Arc<MemoryStore>,
    failing: AtomicBool,
}

impl Failing {
    fn check(&self) -> Result<(), StoreError> {
        if self.failing.load(Ordering::SeqCst) { Err(StoreError::unavailable("switched off")) } else { Ok(()) }
    }
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
        match self.check() {
            Ok(()) => self.inner.place().await,
            Err(error) => Place::new(|_| Receipt::ready(Err(SubmitError::Store(error)))),
        }
    }

    async fn texts_after(&self, thread: ThreadId, after: i64, limit: usize) -> Result<Vec<StoredText>, StoreError> {
        self.check()?;
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

#[tokio::test]
async fn requests_are_refused_while_the_store_fails_and_succeed_afterwards() {
    let world = World::new();
    let (ada, ben, eve) = (world.user("ada").await, world.user("ben").await, world.user("eve").await);
    world.friends(ada, ben).await;
    let failing = Arc::new(Failing { inner: world.store.clone(), failing: AtomicBool::new(false) });
    let stores = ChatStores { contacts: failing.clone(), conversations: failing.clone(), ..world.stores() };
    let server = world.server_with(stores, ChatConfig::new("ours", "127.0.0.1")).await;
    let mut client = server.log_in(ada).await;

    failing.failing.store(true, Ordering::SeqCst);
    client.send(1017, &text(ben, "hello", "{1}")).await;
    let refused = client.expect(1018).await;
    assert_eq!((&refused["error"], &refused["text_array"][0]["msgid"]), (&json!(3101), &json!("{1}")));
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

    failing.failing.store(false, Ordering::SeqCst);
    client.send(1017, &text(ben, "hello", "{1}")).await;
    assert_eq!(client.expect(1018).await["chat_datas"][0]["seq"], 2);
    drop(server.log_in(eve).await);
    server.stop().await;
}
