//! Adapters that keep everything in this process: for tests, for trying out, and for the state of a cluster of one process.
//!
//! [`MemoryStore`] forgets nothing until it is dropped. [`MemoryState`] forgets what has expired, by the monotonic clock of
//! tokio, so that tests can pause time.

mod accounts;
mod contacts;
mod conversations;
mod expiring;
mod profiles;
mod state;

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use uschat_proto::chat::{ThreadId, UserId};

use self::contacts::Application;
pub use self::state::MemoryState;
use super::{
    Account, StoredText,
    plan::{Known, Pair},
};

/// Accounts, contacts and conversations in memory. Nothing survives the process, so "acknowledged" means here: until it ends.
///
/// ```
/// use uschat_server::store::{Accounts, NewAccount, PasswordHash, memory::MemoryStore};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let store = MemoryStore::new();
/// let uid = store
///     .create(NewAccount {
///         name: "ada".into(),
///         email: "ada@example.org".into(),
///         password: PasswordHash::new("a hash"),
///         icon: String::new(),
///     })
///     .await?;
/// assert_eq!(store.by_name("ada").await?.map(|account| account.profile.uid), Some(uid));
/// # Ok(()) }
/// ```
#[derive(Default)]
pub struct MemoryStore {
    /// One lock: every operation is short and none waits inside it.
    tables: Arc<Mutex<Tables>>,
}

impl MemoryStore {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn tables(&self) -> MutexGuard<'_, Tables> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Without what it holds.
impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore").finish_non_exhaustive()
    }
}

#[derive(Default)]
struct Tables {
    /// By uid: the first has [`accounts::FIRST_UID`], the others follow without gaps.
    accounts: Vec<Account>,
    by_email: HashMap<String, UserId>,
    by_name: HashMap<String, UserId>,
    fences: HashMap<UserId, i64>,
    /// In the order of the first application of each to each.
    applications: Vec<Application>,
    application_of: HashMap<(UserId, UserId), usize>,
    applications_to: HashMap<UserId, Vec<usize>>,
    /// Each user's friends with the user's remarks.
    friends: HashMap<UserId, BTreeMap<UserId, String>>,
    /// The users of each conversation.
    pairs: BTreeMap<ThreadId, Pair>,
    /// Each conversation's texts, ascending.
    texts: HashMap<ThreadId, Vec<StoredText>>,
    /// What each user has had delivered and has read of a conversation.
    progress: HashMap<(UserId, ThreadId), (i64, i64)>,
    known: Known,
}
