//! Accounts, contacts and conversations in one SQLite file.
//!
//! Write-ahead log with full synchronisation: what was committed survives a power cut. One connection writes (SQLite has
//! one writer anyway, and so callers queue fairly instead of polling a lock), a few others read. Texts of many sessions are
//! committed together, see [`Committer`].

mod accounts;
mod batch;
mod contacts;
mod conversations;
mod database;
mod list;
mod open;
mod progress;

use std::{
    fmt,
    num::NonZeroUsize,
    path::Path,
    sync::{PoisonError, RwLock},
    time::Duration,
};

use uschat_pool::Snapshot;

use self::database::Database;
pub use self::open::OpenError;
use super::{Committer, StoreError};

/// The SQLite adapter of [`Accounts`](super::Accounts), [`Contacts`](super::Contacts) and
/// [`Conversations`](super::Conversations).
///
/// Cancel safe: a call that is dropped has happened or not, never by half.
///
/// ```
/// use uschat_server::store::{Accounts, sqlite::{SqliteOptions, SqliteStore}};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
/// let store = SqliteStore::open(folder.path().join("uschat.db"), SqliteOptions::default()).await?;
/// assert_eq!(store.by_email("ada@example.org").await?, None);
/// store.close().await?;
/// # Ok(()) }
/// ```
pub struct SqliteStore {
    database: Database,
    /// None once closed.
    committer: RwLock<Option<Committer>>,
}

/// Limits of a [`SqliteStore`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SqliteOptions {
    /// Connections for reading. Default 4.
    pub readers: usize,
    /// How long a caller waits for a connection that others use. Default 5 s.
    pub wait: Duration,
    /// How long a statement waits for a lock that another process holds. Default 2 s.
    pub busy_timeout: Duration,
    /// Most requests committed in one transaction. Default 1,024.
    pub max_batch: NonZeroUsize,
    /// How long texts are tried to be stored while another process holds the lock, or the disk fails; an attempt under way
    /// is still awaited. Default 5 s.
    pub deadline: Duration,
}

impl Default for SqliteOptions {
    fn default() -> Self {
        Self {
            readers: 4,
            wait: Duration::from_secs(5),
            busy_timeout: Duration::from_secs(2),
            max_batch: NonZeroUsize::new(1_024).unwrap_or(NonZeroUsize::MIN),
            deadline: Duration::from_secs(5),
        }
    }
}

impl SqliteStore {
    /// Opens the file, creates it if it is missing, and brings its schema up to date. Needs a tokio runtime with its timer
    /// enabled.
    ///
    /// # Errors
    /// [`OpenError`] says what is wrong with the file or the options, and what to do.
    pub async fn open(path: impl AsRef<Path>, options: SqliteOptions) -> Result<Self, OpenError> {
        let database = open::open(path.as_ref(), &options).await?;
        let committer = Committer::start("sqlite", database.clone(), options.max_batch, options.deadline);
        Ok(Self { database, committer: RwLock::new(Some(committer)) })
    }

    /// The connections at this moment, the writer's and the readers', for health pages and logs.
    #[must_use]
    pub fn snapshot(&self) -> [Snapshot; 2] {
        [self.database.writer.snapshot(), self.database.readers.snapshot()]
    }

    /// Whether a commit is on disk when it returns, as the connection that commits says now; for a readiness page.
    ///
    /// # Errors
    /// The file could not be asked, or others used that connection for longer than [`wait`](SqliteOptions::wait).
    pub async fn flushes_commits(&self) -> Result<bool, StoreError> {
        self.database.flushes_commits().await
    }

    /// Commits the texts that were handed over, moves the write-ahead log into the file and closes the writer. Later calls
    /// fail. Readers let go of the file a moment after this returned, because they end on threads of their own.
    ///
    /// # Errors
    /// The log could not be moved: nothing is lost, the next start does it.
    pub async fn close(&self) -> Result<(), StoreError> {
        let committer = self.committer.write().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(committer) = committer {
            committer.close().await;
        }
        self.database.close().await
    }
}

/// Without what it holds.
impl fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteStore").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use sqlx::Row;

    use super::*;

    #[tokio::test]
    async fn commits_are_durable_and_readers_cannot_write() {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(folder.path().join("uschat.db"), SqliteOptions::default()).await.unwrap();
        let mut writer = store.database.writer().await.unwrap();
        let journal: String = sqlx::query_scalar("PRAGMA journal_mode").fetch_one(&mut *writer).await.unwrap();
        let synchronous: i64 = sqlx::query_scalar("PRAGMA synchronous").fetch_one(&mut *writer).await.unwrap();
        let foreign_keys: i64 = sqlx::query_scalar("PRAGMA foreign_keys").fetch_one(&mut *writer).await.unwrap();
        assert_eq!((journal.as_str(), synchronous, foreign_keys), ("wal", 2, 1));
        drop(writer);
        assert!(store.flushes_commits().await.unwrap());
        let mut writer = store.database.writer().await.unwrap();
        sqlx::query("PRAGMA synchronous = NORMAL").execute(&mut *writer).await.unwrap();
        drop(writer);
        assert!(!store.flushes_commits().await.unwrap());

        let mut reader = store.database.reader().await.unwrap();
        let refused = sqlx::query("DELETE FROM user_id").execute(&mut *reader).await.unwrap_err();
        assert!(refused.to_string().contains("readonly"), "{refused}");
    }

    #[tokio::test]
    async fn every_look_up_uses_an_index() {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(folder.path().join("uschat.db"), SqliteOptions::default()).await.unwrap();
        let mut reader = store.database.reader().await.unwrap();
        let look_ups = [accounts::LOOK_UPS, contacts::LOOK_UPS, conversations::LOOK_UPS, progress::LOOK_UPS].concat();
        let lists = [batch::LIST_LOOK_UPS, conversations::LIST_LOOK_UPS, progress::LIST_LOOK_UPS].concat();
        let look_ups = look_ups.into_iter().map(str::to_owned);
        // The list of what the caller asks for, the short result of an inner look-up, a row for each table that counts.
        let short = ["VALUES CLAUSE", "wanted", "chosen", "sqlite_sequence"];
        for statement in look_ups.chain(lists.iter().map(|list| list.statement(3))) {
            let explain = sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {statement}"));
            let steps = sqlx::query(explain).fetch_all(&mut *reader).await.unwrap();
            assert!(!steps.is_empty(), "no plan for {statement}");
            for step in steps {
                let step: String = step.get("detail");
                let scans =
                    step.strip_prefix("SCAN ").is_some_and(|table| !short.iter().any(|name| table.contains(name)));
                let sorts = step.contains("TEMP B-TREE") && !short.iter().any(|name| statement.contains(name));
                assert!(!scans && !sorts, "{step}: {statement}");
            }
        }
    }
}
