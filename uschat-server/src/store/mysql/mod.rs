//! Accounts, contacts and conversations in one MySQL or MariaDB database, which several servers may share.
//!
//! MariaDB from 10.5 and MySQL from 8.0. The schema is the originals' `llfc` with additions, so an original's database is
//! taken over as it is, and originals may go on using it; see [`MysqlStore::dry_run`].
//!
//! # What is guaranteed
//!
//! * What is acknowledged is committed, and on disk if [`Durability`] finds no fault: `innodb_flush_log_at_trx_commit = 1`,
//!   `innodb_doublewrite = ON` and, with a binary log, `sync_binlog = 1`. The server must not write that log by statement.
//! * The numbers of a conversation have no gap, whichever servers write in it: its row in `thread_head` is locked before
//!   its texts are numbered, and released by the commit that stores them.
//! * A conversation that another transaction has locked delays only itself and the [`Chain`](super::Chain)s that write in
//!   it, and is given up after [`deadline`](MysqlOptions::deadline).
//! * An outage shorter than the deadline is not noticed: what had not been committed is done again. If COMMIT was sent and
//!   its answer did not come, texts are looked for by their client ids on a new connection; a text without one is reported
//!   as [`Unavailable`](StoreError::Unavailable) rather than stored twice.
//! * Every wait is bounded: for a connection, for a lock (1 s), for a statement, for a call.
//!
//! # How connections are set up
//!
//! READ COMMITTED, strict mode, `utf8mb4`, lock waits of 1 s, keys in steps of one; on MariaDB statements end by
//! themselves at the deadline, and a transaction that its client leaves idle is cut after 2 s, so that a server that was
//! stopped does not keep what it has locked. MySQL has no such limit for transactions: there, a stopped server keeps its
//! locks until its connection ends.
//!
//! # Data of the originals
//!
//! Names and e-mail addresses are compared byte by byte, also where a taken-over table has another collation; but an
//! address that its unique index cannot tell from another one is taken. A text that an original stored gets its number when
//! its conversation is next read or written.

mod accounts;
mod batch;
mod chats;
mod committer;
mod contacts;
mod conversations;
mod database;
mod durability;
mod failure;
mod known;
mod line;
mod open;
mod progress;
mod schema;
mod server;
mod takeover;
#[cfg(test)]
mod tests;
mod ties;
mod write;

use std::{
    fmt,
    num::NonZeroUsize,
    sync::{PoisonError, RwLock},
    time::Duration,
};

use uschat_pool::Snapshot;

use self::{committer::Committer, database::Database};
pub use self::{durability::Durability, open::OpenError};
use super::StoreError;

/// The MySQL and MariaDB adapter of [`Accounts`](super::Accounts), [`Contacts`](super::Contacts) and
/// [`Conversations`](super::Conversations).
///
/// Cancel safe: a call that is dropped has happened or not, never by half, and its connection is closed.
///
/// ```no_run
/// use uschat_server::store::{Accounts, mysql::{MysqlOptions, MysqlStore}};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let url = "mysql://uschat:secret@127.0.0.1:3306/uschat";
/// for change in MysqlStore::dry_run(url, &MysqlOptions::default()).await? {
///     println!("{change}");
/// }
/// let store = MysqlStore::open(url, MysqlOptions::default()).await?;
/// assert_eq!(store.by_email("ada@example.org").await?, None);
/// store.close().await;
/// # Ok(()) }
/// ```
pub struct MysqlStore {
    database: Database,
    /// None once closed.
    committer: RwLock<Option<Committer>>,
}

/// Limits of a [`MysqlStore`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MysqlOptions {
    /// Most connections for everything but texts, for which there are ten more. Default 8, from 1 to 4,096.
    pub connections: usize,
    /// How long a caller waits for a connection that others use. Default 2 s, up to a day.
    pub wait: Duration,
    /// How long one connect may take. Default 3 s, from 1 ms to a day.
    pub connect: Duration,
    /// How long a call goes on trying when the database cannot be reached or others have locked what it needs, and how long
    /// the statements of one transaction may take. Default 5 s.
    pub deadline: Duration,
    /// Most requests committed in one transaction. Default 256.
    pub max_batch: NonZeroUsize,
}

impl Default for MysqlOptions {
    fn default() -> Self {
        Self {
            connections: 8,
            wait: Duration::from_secs(2),
            connect: Duration::from_secs(3),
            deadline: Duration::from_secs(5),
            max_batch: NonZeroUsize::new(256).unwrap_or(NonZeroUsize::MIN),
        }
    }
}

impl MysqlStore {
    /// Opens a database that exists, and brings its schema up to date: one of several programs that start together does
    /// it, and one that was ended while doing it is continued. Needs a tokio runtime with its timer enabled.
    ///
    /// `url` is `mysql://user:password@host:port/database`, with `?ssl-mode=VERIFY_CA&ssl-ca=FILE` (or another mode) for
    /// TLS. Logs a warning if the server acknowledges commits before they are on disk.
    ///
    /// # Errors
    /// [`OpenError`] says what is wrong, and what to do.
    pub async fn open(url: &str, options: MysqlOptions) -> Result<Self, OpenError> {
        let database = open::open(url, &options).await?;
        let committer = Committer::start(database.clone(), options.max_batch);
        let store = Self { database, committer: RwLock::new(Some(committer)) };
        match store.durability().await {
            Ok(durability) => durability.warn(),
            Err(error) => tracing::warn!(%error, "whether the database flushes its commits could not be read"),
        }
        Ok(store)
    }

    /// What [`open`](Self::open) would change in this database, as statements and sentences, without changing anything.
    /// Empty if it is up to date.
    ///
    /// # Errors
    /// As for `open`.
    pub async fn dry_run(url: &str, options: &MysqlOptions) -> Result<Vec<String>, OpenError> {
        open::dry_run(url, options).await
    }

    /// Asks the database for an answer, for a readiness page.
    ///
    /// # Errors
    /// It did not answer within the deadline.
    pub async fn ping(&self) -> Result<(), StoreError> {
        self.database.rows("SELECT 1", |query| query).await.map(drop)
    }

    /// The pools at this moment: that for everything but texts, then that for texts.
    #[must_use]
    pub fn snapshot(&self) -> [Snapshot; 2] {
        [self.database.shared.snapshot(), self.database.committing.snapshot()]
    }

    /// Commits the texts that were handed over, then closes the connections. Later calls fail.
    pub async fn close(&self) {
        let committer = self.committer.write().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(committer) = committer {
            committer.close().await;
        }
        self.database.shared.close();
        self.database.committing.close();
    }
}

/// Without what it holds.
impl fmt::Debug for MysqlStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MysqlStore").finish_non_exhaustive()
    }
}
