//! Transactions: begun through a lease, and made again unless their commit is in doubt.

use sqlx::{Connection, Database, Error, Executor, SqlSafeStr, SqlStr, Transaction};

use super::SqlManager;
use crate::{CallFailure, Lease, Loan, Repeat};

/// Instead of sqlx' own `begin`, which these hide.
impl<DB: Database> Lease<SqlManager<DB>>
where
    for<'c> &'c mut DB::Connection: Executor<'c, Database = DB>,
{
    /// Begins a transaction, which is rolled back if it is dropped.
    ///
    /// Cancel safe for the pool: if the future is dropped, nobody knows whether the server has begun, and the connection is
    /// dropped when the lease ends.
    ///
    /// # Errors
    /// That of the database.
    pub async fn begin(&mut self) -> Result<Transaction<'_, DB>, Error> {
        begin(self.parts(), None).await
    }

    /// Like [`begin`](Self::begin), with a statement of yours, such as `BEGIN IMMEDIATE` or `START TRANSACTION READ ONLY`.
    ///
    /// # Errors
    /// That of the database, or that the statement began no transaction.
    pub async fn begin_with(&mut self, statement: impl SqlSafeStr) -> Result<Transaction<'_, DB>, Error> {
        begin(self.parts(), Some(statement.into_sql_str())).await
    }
}

/// Like those of [`Lease`].
impl<DB: Database> Loan<SqlManager<DB>>
where
    for<'c> &'c mut DB::Connection: Executor<'c, Database = DB>,
{
    /// See [`Lease::begin`].
    ///
    /// # Errors
    /// That of the database.
    pub async fn begin(&mut self) -> Result<Transaction<'_, DB>, Error> {
        begin(self.parts(), None).await
    }

    /// See [`Lease::begin_with`].
    ///
    /// # Errors
    /// That of the database, or that the statement began no transaction.
    pub async fn begin_with(&mut self, statement: impl SqlSafeStr) -> Result<Transaction<'_, DB>, Error> {
        begin(self.parts(), Some(statement.into_sql_str())).await
    }
}

async fn begin<'c, DB: Database>(
    (connection, is_unsure): (&'c mut DB::Connection, &mut bool),
    statement: Option<SqlStr>,
) -> Result<Transaction<'c, DB>, Error> {
    // It stays so if this is not polled to its end.
    *is_unsure = true;
    let begun = match statement {
        Some(statement) => connection.begin_with(statement).await,
        None => connection.begin().await,
    };
    *is_unsure = begun.as_ref().is_err_and(CallFailure::is_connection_lost);
    begun
}

/// Why a transaction failed, and whether before its commit or in it. For calls that are one transaction.
///
/// Before the commit nothing counts: whatever ended the connection, the server rolls back. So a call that says where it
/// failed is repeated by [`Pool::call`](crate::Pool::call) without being [`idempotent`](crate::Retry::idempotent). `?` on a
/// [`sqlx::Error`] means before; [`commit`] ends the transaction.
///
/// ```
/// # use std::time::Duration;
/// # use uschat_pool::{Pool, PoolConfig, Retry, sql::{SqlManager, TransactionError, commit, sqlx}};
/// # use sqlx::sqlite::{Sqlite, SqliteConnectOptions};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let options = SqliteConnectOptions::new().in_memory(true);
/// # let manager = SqlManager::<Sqlite>::new(options).setup("CREATE TABLE account (id INTEGER, cents INTEGER)");
/// # let pool = Pool::new("accounts", manager, PoolConfig::default())?;
/// let transfer = Retry::within(Duration::from_secs(3));
/// pool.call(transfer, |mut connection| async move {
///     let mut transaction = connection.begin().await?;
///     sqlx::query("UPDATE account SET cents = cents - 5 WHERE id = 1").execute(&mut *transaction).await?;
///     sqlx::query("UPDATE account SET cents = cents + 5 WHERE id = 2").execute(&mut *transaction).await?;
///     commit(transaction).await
/// })
/// .await?;
/// # Ok(()) }
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TransactionError {
    /// The commit was not asked for. Nothing counts.
    #[error(transparent)]
    Before(#[from] Error),
    /// The commit failed. If that is because the connection was lost, nobody knows whether the transaction counts.
    #[error("the commit failed")]
    Commit(#[source] Error),
    /// It was not open any more: the `begin` of a transaction inside of it was abandoned, and sqlx then rolls back all of
    /// it. What was done before that does not count, what was done after it does.
    #[error("the transaction was rolled back before its commit")]
    RolledBack,
}

/// Commits, and says of a failure that it was here.
///
/// If its future is dropped, nobody knows whether the transaction counts.
///
/// # Errors
/// [`TransactionError::Commit`], or [`TransactionError::RolledBack`] where sqlx' own `commit` would claim success.
pub async fn commit<DB: Database>(transaction: Transaction<'_, DB>) -> Result<(), TransactionError> {
    if !transaction.is_in_transaction() {
        return Err(TransactionError::RolledBack);
    }
    transaction.commit().await.map_err(TransactionError::Commit)
}

impl CallFailure for TransactionError {
    fn repeat(&self) -> Repeat {
        match self {
            Self::Before(error) if error.repeat() == Repeat::IfIdempotent => Repeat::Safe,
            Self::Before(error) | Self::Commit(error) => error.repeat(),
            Self::RolledBack => Repeat::IfIdempotent,
        }
    }

    fn is_connection_lost(&self) -> bool {
        match self {
            Self::Before(error) | Self::Commit(error) => error.is_connection_lost(),
            Self::RolledBack => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn a_lost_connection_leaves_only_a_commit_in_doubt() {
        let lost = || Error::Io(io::ErrorKind::ConnectionReset.into());
        assert_eq!(TransactionError::Before(lost()).repeat(), Repeat::Safe);
        assert_eq!(TransactionError::Commit(lost()).repeat(), Repeat::IfIdempotent);
        assert_eq!(TransactionError::Before(Error::RowNotFound).repeat(), Repeat::Never);
        assert!(TransactionError::Before(lost()).is_connection_lost());
        assert!(TransactionError::Commit(lost()).is_connection_lost());
    }
}
