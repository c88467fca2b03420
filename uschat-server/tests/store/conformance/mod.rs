//! One suite a port, run against every adapter: a driver (`memory.rs`, `sqlite.rs`, …) says how to make the
//! adapter, and the `…_suite!` macros turn every promise into a test of its own.
//!
//! Cases create what they need and nothing else may be in the store; a driver makes a fresh one for each case.

use std::{any::Any, sync::Arc};

use uschat_proto::chat::{MessageKey, ThreadId, UserId};
use uschat_server::store::{
    Accounts, Approval, Chain, Contacts, Conversations, NewAccount, NewText, NewTexts, PasswordHash, StoredText,
};

/// Expands a list of cases into one test each. `$make` is an async function without arguments.
macro_rules! cases {
    ($suite:ident, $make:path, $($case:ident)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                crate::conformance::$suite::$case($make().await).await;
            }
        )*
    };
}

#[macro_use]
pub mod accounts;
#[macro_use]
pub mod contacts;
#[macro_use]
pub mod conversations;
pub mod model;
#[macro_use]
pub mod progress;
pub mod sql;
#[macro_use]
pub mod state;

/// The SQL ports of one adapter on one empty store.
pub struct Stores {
    pub accounts: Arc<dyn Accounts>,
    pub contacts: Arc<dyn Contacts>,
    pub conversations: Arc<dyn Conversations>,
    /// What must live as long as the store, such as its folder.
    #[allow(dead_code, reason = "held until it is dropped")]
    keep: Box<dyn Any + Send + Sync>,
}

impl Stores {
    pub fn new<S: Accounts + Contacts + Conversations>(store: Arc<S>, keep: impl Any + Send + Sync) -> Self {
        Self { accounts: store.clone(), contacts: store.clone(), conversations: store, keep: Box::new(keep) }
    }

    pub async fn user(&self, name: &str) -> UserId {
        self.accounts.create(account(name)).await.unwrap()
    }

    /// Makes friends; their conversation begins with one text.
    pub async fn befriend(&self, one: UserId, other: UserId) -> Approval {
        self.contacts.apply(one, other, "", "").await.unwrap();
        self.contacts.approve(other, one, "").await.unwrap()
    }

    /// Two friends and their conversation, in which number 1 is taken.
    pub async fn two_friends(&self) -> (UserId, UserId, ThreadId) {
        let (ada, bob) = (self.user("ada").await, self.user("bob").await);
        let thread = self.befriend(ada, bob).await.thread_id;
        (ada, bob, thread)
    }

    pub async fn all(&self, thread: ThreadId) -> Vec<StoredText> {
        self.conversations.history(thread, MessageKey(0), usize::MAX).await.unwrap()
    }
}

pub fn account(name: &str) -> NewAccount {
    NewAccount {
        name: name.into(),
        email: format!("{name}@example.org"),
        password: PasswordHash::new(format!("hash of {name}")),
        icon: format!(":/res/{name}.jpg"),
    }
}

/// Texts as `(client id, content)`; an empty id is none.
pub fn texts(sender: UserId, receiver: UserId, texts: &[(&str, &str)]) -> NewTexts {
    let text = |&(id, content): &(&str, &str)| NewText {
        client_id: (!id.is_empty()).then(|| id.to_owned()),
        content: content.to_owned(),
    };
    NewTexts {
        sender,
        receiver,
        thread: None,
        texts: texts.iter().map(text).collect(),
        sent_at: 1_700_000_000_123,
        chain: Chain::default(),
    }
}

pub fn seqs(texts: &[StoredText]) -> Vec<i64> {
    texts.iter().map(|text| text.seq).collect()
}

pub fn contents(texts: &[StoredText]) -> Vec<&str> {
    texts.iter().map(|text| text.content.as_str()).collect()
}
