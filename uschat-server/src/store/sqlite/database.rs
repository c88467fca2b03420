use sqlx::{Connection, Sqlite, SqliteConnection, Transaction};
use uschat_pool::{Lease, Pool, PoolError, sql::SqlManager};

use crate::store::{StoreError, meter::Meter};

pub(super) type Connections = Pool<SqlManager<Sqlite>>;

/// The connections to the file.
#[derive(Clone)]
pub(super) struct Database {
    pub(super) writer: Connections,
    pub(super) readers: Connections,
    /// Of the transactions that store texts.
    pub(super) meter: Meter,
}

impl Database {
    pub(super) async fn reader(&self) -> Result<Lease<SqlManager<Sqlite>>, StoreError> {
        self.readers.get().await.map_err(no_connection)
    }

    pub(super) async fn writer(&self) -> Result<Lease<SqlManager<Sqlite>>, StoreError> {
        self.writer.get().await.map_err(no_connection)
    }

    pub(super) async fn flushes_commits(&self) -> Result<bool, StoreError> {
        const FULL: i64 = 2;
        let mut writer = self.writer().await?;
        let journal = sqlx::query_scalar("PRAGMA journal_mode").fetch_one(&mut *writer).await;
        let journal: String = journal.map_err(failed)?;
        let synchronous = sqlx::query_scalar("PRAGMA synchronous").fetch_one(&mut *writer).await;
        let synchronous: i64 = synchronous.map_err(failed)?;
        Ok(synchronous >= FULL && !["off", "memory"].contains(&journal.as_str()))
    }

    pub(super) async fn close(&self) -> Result<(), StoreError> {
        self.readers.close();
        let mut writer = self.writer().await?;
        let moved = sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").execute(&mut *writer).await;
        self.writer.close();
        let closed = writer.into_connection().close().await;
        moved.map(drop).and(closed).map_err(failed)
    }
}

/// Begins a transaction that may write: it waits for the lock now, instead of failing when it first writes.
pub(super) async fn begin(connection: &mut SqliteConnection) -> Result<Transaction<'_, Sqlite>, StoreError> {
    connection.begin_with("BEGIN IMMEDIATE").await.map_err(failed)
}

/// Commits what succeeded and rolls back what failed.
pub(super) async fn end<T, E: From<StoreError>>(
    transaction: Transaction<'_, Sqlite>,
    outcome: Result<T, E>,
) -> Result<T, E> {
    match outcome {
        Ok(value) => {
            transaction.commit().await.map_err(failed)?;
            Ok(value)
        }
        Err(error) => {
            // If this fails too the connection still counts as dirty, and the pool replaces it.
            if let Err(error) = transaction.rollback().await {
                tracing::warn!(%error, "a transaction could not be rolled back");
            }
            Err(error)
        }
    }
}

fn no_connection(error: PoolError<sqlx::Error>) -> StoreError {
    match error {
        PoolError::Connect(cause) => failed(cause),
        other => StoreError::unavailable(other),
    }
}

/// Tells an outage from data or a schema that do not fit the statements.
pub(super) fn failed(error: sqlx::Error) -> StoreError {
    use sqlx::Error::{ColumnDecode, ColumnIndexOutOfBounds, ColumnNotFound, Database, Decode};

    let corrupt = match &error {
        Database(error) => error.code().and_then(|code| code.parse::<u32>().ok()).is_some_and(is_permanent),
        ColumnDecode { .. } | ColumnIndexOutOfBounds { .. } | ColumnNotFound(_) | Decode(_) => true,
        _ => false,
    };
    if corrupt { StoreError::Corrupt(error.to_string()) } else { StoreError::unavailable(error) }
}

/// SQLite's result codes that no retry changes. The lowest byte is the primary code.
fn is_permanent(code: u32) -> bool {
    const ERROR: u32 = 1; // a statement that does not fit the schema
    const CORRUPT: u32 = 11;
    const TOO_BIG: u32 = 18;
    const CONSTRAINT: u32 = 19;
    const MISMATCH: u32 = 20;
    const NOT_A_DATABASE: u32 = 26;
    matches!(code & 0xff, ERROR | CORRUPT | TOO_BIG | CONSTRAINT | MISMATCH | NOT_A_DATABASE)
}
