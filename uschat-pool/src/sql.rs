//! Connections of any sqlx database, lent by a [`Pool`](crate::Pool).
//!
//! Used instead of sqlx' own pool, so that SQL, gRPC and what else an application connects to share one
//! set of limits and errors, and a connection in steady use costs no extra round trip.

use std::fmt;

use sqlx::{Connection, Database, Executor, SqlSafeStr, SqlStr};

pub use sqlx;

use crate::Manager;

/// How to connect.
type Options<DB> = <<DB as Database>::Connection as Connection>::Options;

/// Connects to one database, runs setup statements on every new connection, and rolls back what a user
/// left open.
///
/// A transaction that was dropped without commit is rolled back before its connection is idle again:
/// sqlx only queues that ROLLBACK, and a connection that rests with it unsent keeps its locks. Known to
/// sqlx are transactions begun with `begin`; one opened by a statement of yours (`BEGIN` as text) must
/// be ended by you. Drop a future of `begin` itself only together with
/// [`Lease::discard`](crate::Lease::discard): some drivers cannot tell whether the server had started.
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
}

impl<DB: Database> Manager for SqlManager<DB>
where
    for<'c> &'c mut DB::Connection: Executor<'c, Database = DB>,
{
    type Connection = DB::Connection;
    type Error = sqlx::Error;

    async fn connect(&self) -> Result<DB::Connection, sqlx::Error> {
        let mut connection = DB::Connection::connect_with(&self.options).await?;
        for statement in &self.setup {
            connection.execute(sqlx::raw_sql(statement.clone())).await?;
        }
        Ok(connection)
    }

    async fn verify(&self, connection: &mut DB::Connection) -> Result<(), sqlx::Error> {
        connection.ping().await
    }

    /// sqlx does not say; a dead connection shows at its verification or its next statement.
    fn is_broken(&self, _: &DB::Connection) -> bool {
        false
    }

    /// A dropped transaction either still counts as open or waits in the connection's write buffer,
    /// according to the driver.
    fn is_dirty(&self, connection: &DB::Connection) -> bool {
        connection.is_in_transaction() || connection.should_flush()
    }

    /// A ping travels behind the queued ROLLBACK. What is open after that was not dropped, but leaked;
    /// the pool then replaces the connection.
    async fn clean(&self, connection: &mut DB::Connection) -> Result<(), sqlx::Error> {
        connection.ping().await
    }
}

/// Without the options: they hold the password.
impl<DB: Database> fmt::Debug for SqlManager<DB> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqlManager").field("database", &DB::NAME).finish_non_exhaustive()
    }
}
