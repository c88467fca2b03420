//! Connections of any sqlx database, lent by a [`Pool`](crate::Pool).
//!
//! Used instead of sqlx' own pool, so that SQL, gRPC and what else an application connects to share one
//! set of limits and errors, and a connection in steady use costs no extra round trip.

mod failure;
mod transaction;

use std::{
    fmt,
    pin::pin,
    task::{Context, Poll, Waker},
    time::Duration,
};

use log::LevelFilter;
use sqlx::{ConnectOptions, Connection, Database, Error, Executor, SqlSafeStr, SqlStr};

pub use sqlx;
pub use transaction::{TransactionError, commit};

use crate::Manager;

/// How to connect.
type Options<DB> = <<DB as Database>::Connection as Connection>::Options;

/// Connects to one database, runs setup statements on every new connection, and rolls back what a user
/// left open.
///
/// - A transaction that was dropped without commit is rolled back before its connection is idle again: sqlx only queues
///   that ROLLBACK, and a connection that rests with it unsent keeps its locks.
/// - A connection whose statement was abandoned half-way, because its future was dropped, is replaced: its next user would
///   wait for that statement, or get its error. The same may happen if somebody takes one row of many and leaves the rest
///   unread; say `LIMIT 1`. With SQLite the old statement just ends first.
/// - One on which a `begin` was abandoned is replaced, too, see [`Lease::begin`](crate::Lease::begin).
/// - Prepared statements stay with their connection from one lease to the next.
/// - `ping` is the verification, see [`PoolConfig::verify_after`](crate::PoolConfig::verify_after). Keep that below the
///   time after which the server hangs up on idle clients (`wait_timeout` of MySQL, `idle_session_timeout` of PostgreSQL).
///
/// Not seen are transactions that your own text opens (`BEGIN`, `SET autocommit = 0`) and settings that it changes: sqlx
/// does not say what the server reports of them. Use `begin` and `begin_with`, or end such a lease with
/// [`discard`](crate::Lease::discard).
///
/// ```
/// # use uschat_pool::{Pool, PoolConfig, sql::{SqlManager, sqlx}};
/// use sqlx::sqlite::{Sqlite, SqliteConnectOptions};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let options = SqliteConnectOptions::new().in_memory(true);
/// let manager = SqlManager::<Sqlite>::new(options).setup("PRAGMA foreign_keys = ON");
/// let pool = Pool::new("accounts", manager, PoolConfig::default())?;
///
/// let mut lease = pool.get().await?;
/// let one: i64 = sqlx::query_scalar("SELECT 1").fetch_one(&mut *lease).await?;
/// assert_eq!(one, 1);
/// # Ok(()) }
/// ```
pub struct SqlManager<DB: Database> {
    options: Options<DB>,
    setup: Vec<SqlStr>,
}

impl<DB: Database> SqlManager<DB> {
    /// A manager without setup statements.
    #[must_use]
    pub fn new(options: Options<DB>) -> Self {
        Self { options, setup: Vec::new() }
    }

    /// Adds a statement that every new connection runs, after those added before. If one fails, so does
    /// the connect.
    #[must_use]
    pub fn setup(mut self, statement: impl SqlSafeStr) -> Self {
        self.setup.push(statement.into_sql_str());
        self
    }

    /// Statements that take at least this long are logged as warnings: target `sqlx::query`, with the text as it was
    /// written, the time and the number of rows, never with the values bound to it. Default 1 s. They appear in the
    /// caller's span; [`Pool::call`](crate::Pool::call) opens one that names the pool.
    #[must_use]
    pub fn slow_after(self, duration: Duration) -> Self {
        Self { options: self.options.log_slow_statements(LevelFilter::Warn, duration), ..self }
    }
}

impl<DB: Database> Manager for SqlManager<DB>
where
    for<'c> &'c mut DB::Connection: Executor<'c, Database = DB>,
{
    type Connection = DB::Connection;
    type Error = Error;

    async fn connect(&self) -> Result<DB::Connection, Error> {
        let mut connection = DB::Connection::connect_with(&self.options).await?;
        for statement in &self.setup {
            connection.execute(sqlx::raw_sql(statement.clone())).await?;
        }
        Ok(connection)
    }

    async fn verify(&self, connection: &mut DB::Connection) -> Result<(), Error> {
        connection.ping().await
    }

    fn is_permanent(&self, error: &Error) -> bool {
        failure::is_permanent(error)
    }

    /// sqlx does not say; a dead connection shows at its verification or its next statement.
    fn is_broken(&self, _: &DB::Connection) -> bool {
        false
    }

    fn is_dirty(&self, connection: &mut DB::Connection) -> bool {
        awaits_rollback(connection) || is_unfinished(connection)
    }

    /// A ping travels behind the queued ROLLBACK. What is open after that was not dropped, but leaked; the pool then
    /// replaces the connection. So it does if a statement is unfinished: its answer may have been read in part.
    async fn clean(&self, connection: &mut DB::Connection) -> Result<(), Error> {
        // With SQLite the rollback may be over by now: it has a thread of its own.
        if !awaits_rollback(connection) && is_unfinished(connection) {
            return Err(Error::Protocol("a statement was abandoned".into()));
        }
        connection.ping().await
    }
}

/// A dropped transaction either still counts as open or waits in the connection's write buffer, according to the driver.
fn awaits_rollback(connection: &impl Connection) -> bool {
    connection.is_in_transaction() || connection.should_flush()
}

/// Flushing waits for the answers that are due, and ends at once, without input or output, if there are none.
fn is_unfinished(connection: &mut impl Connection) -> bool {
    let flushed = pin!(connection.flush()).poll(&mut Context::from_waker(Waker::noop()));
    !matches!(flushed, Poll::Ready(Ok(())))
}

/// Without the options: they hold the password.
impl<DB: Database> fmt::Debug for SqlManager<DB> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqlManager").field("database", &DB::NAME).finish_non_exhaustive()
    }
}
