//! Connections, transactions that may be run again, and what an error of the database means.

use std::{
    future::Future,
    ops::{Deref, DerefMut},
    sync::Arc,
    time::Duration,
};

use sqlx::{
    Executor, MySql, MySqlConnection, Row, SqlSafeStr,
    mysql::{MySqlArguments, MySqlRow},
    query::Query,
};
use tokio::time::{Instant, timeout};
use uschat_pool::{Lease, Pool, sql::SqlManager};

use super::{
    chats::Chats,
    failure::{Failure, classify},
};
use crate::store::{StoreError, meter::Meter, pauses::Pauses};

pub(super) type Connections = Pool<SqlManager<MySql>>;

/// The connections to one database.
#[derive(Clone)]
pub(super) struct Database {
    /// For everything but texts.
    pub(super) shared: Connections,
    /// For texts alone, so that a rush of look-ups does not hold up commits.
    pub(super) committing: Connections,
    /// How long a call goes on trying, and how long the statements of one transaction may take.
    pub(super) deadline: Duration,
    /// What follows `FOR UPDATE` where rows that others have locked are to be left out.
    pub(super) skip_locked: &'static str,
    /// Most bytes of texts in one transaction.
    pub(super) max_bytes: usize,
    pub(super) chats: Arc<Chats>,
    /// Of the transactions that store texts.
    pub(super) meter: Meter,
}

/// A transaction. It may be run several times: nothing it did counts unless it was committed.
pub(super) trait Work: Sync {
    type Output: Send;
    /// Why the transaction is rolled back although the database did all it was asked to.
    type Refusal: From<StoreError> + Send;

    fn run(
        &self,
        connection: &mut MySqlConnection,
    ) -> impl Future<Output = Result<Result<Self::Output, Self::Refusal>, sqlx::Error>> + Send;
}

impl Database {
    /// The rows of a look-up, which is asked again on another connection if one was lost: after a restart of the server
    /// every connection that rested is dead.
    pub(super) async fn rows<'q>(
        &self,
        statement: impl SqlSafeStr,
        bind: impl Fn(Query<'q, MySql, MySqlArguments>) -> Query<'q, MySql, MySqlArguments> + Sync,
    ) -> Result<Vec<MySqlRow>, StoreError> {
        let statement = statement.into_sql_str();
        let mut pauses = Pauses::until(Instant::now() + self.deadline);
        loop {
            let failure = match self.look_up(bind(sqlx::query(statement.clone()))).await {
                Ok(rows) => return Ok(rows),
                Err(failure) => failure,
            };
            if !failure.may_pass() || !pauses.pause().await {
                return Err(failure.into());
            }
        }
    }

    async fn look_up(&self, query: Query<'_, MySql, MySqlArguments>) -> Result<Vec<MySqlRow>, Failure> {
        let mut connection = Checked::lend(&self.shared).await?;
        let rows = within(self.deadline, query.fetch_all(&mut *connection)).await;
        match rows {
            Ok(rows) => {
                connection.release();
                Ok(rows)
            }
            Err(failure) => {
                if failure.connection_is_in_order() {
                    connection.release();
                }
                Err(failure)
            }
        }
    }

    /// Runs a transaction until it is committed or refused, or the deadline has passed.
    pub(super) async fn transact<W: Work>(&self, work: &W) -> Result<W::Output, W::Refusal> {
        let mut pauses = Pauses::until(Instant::now() + self.deadline);
        loop {
            let failure = match self.attempt(&self.shared, work).await {
                Ok(outcome) => return outcome,
                Err(failure) => failure,
            };
            if !failure.may_pass() || !pauses.pause().await {
                return Err(StoreError::from(failure).into());
            }
        }
    }

    /// Runs a transaction once. `BEGIN` and the rest are sent as text: sqlx counts transactions of its own, and this way
    /// what it counts cannot differ from what the server has open.
    pub(super) async fn attempt<W: Work>(
        &self,
        pool: &Connections,
        work: &W,
    ) -> Result<Result<W::Output, W::Refusal>, Failure> {
        let mut connection = Checked::lend(pool).await?;
        let worked = within(self.deadline, async {
            connection.execute("START TRANSACTION").await?;
            work.run(&mut connection).await
        });
        match worked.await {
            Ok(Ok(output)) => self.commit(connection).await.map(|()| Ok(output)),
            Ok(Err(refusal)) => {
                self.roll_back(connection).await;
                Ok(Err(refusal))
            }
            Err(failure) => {
                // A lock time-out undoes its statement only; the locks taken before it stay until this.
                if failure.connection_is_in_order() {
                    self.roll_back(connection).await;
                }
                Err(failure)
            }
        }
    }

    async fn commit(&self, mut connection: Checked) -> Result<(), Failure> {
        match within(self.deadline, connection.execute("COMMIT")).await {
            Ok(_) => {
                connection.release();
                Ok(())
            }
            Err(failure) if failure.connection_is_in_order() => {
                self.roll_back(connection).await;
                Err(failure)
            }
            Err(failure) => Err(Failure::Unknown(failure.into())),
        }
    }

    /// If even this fails, the connection is closed, and the server rolls back.
    async fn roll_back(&self, mut connection: Checked) {
        match within(self.deadline, connection.execute("ROLLBACK")).await {
            Ok(_) => connection.release(),
            Err(failure) => tracing::debug!(error = %StoreError::from(failure), "a transaction was not rolled back"),
        }
    }
}

/// A borrowed connection that goes back to its pool only by [`release`](Self::release). Dropped otherwise, because a call
/// was cancelled or failed, it is closed: nobody knows what the server would answer next.
pub(super) struct Checked(Option<Lease<SqlManager<MySql>>>);

impl Checked {
    pub(super) async fn lend(pool: &Connections) -> Result<Self, Failure> {
        let lease = pool.get().await.map_err(|error| Failure::Lost(StoreError::unavailable(error)))?;
        Ok(Self(Some(lease)))
    }

    pub(super) fn release(mut self) {
        self.0 = None;
    }
}

impl Drop for Checked {
    fn drop(&mut self) {
        if let Some(lease) = self.0.take() {
            lease.discard();
        }
    }
}

impl Deref for Checked {
    type Target = MySqlConnection;

    fn deref(&self) -> &MySqlConnection {
        self.0.as_ref().expect("only release and drop, which end it, take it out")
    }
}

impl DerefMut for Checked {
    fn deref_mut(&mut self) -> &mut MySqlConnection {
        self.0.as_mut().expect("only release and drop, which end it, take it out")
    }
}

async fn within<T>(limit: Duration, statements: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, Failure> {
    match timeout(limit, statements).await {
        Ok(outcome) => outcome.map_err(classify),
        Err(elapsed) => Err(Failure::Lost(StoreError::unavailable(elapsed))),
    }
}

/// A whole number, whatever kind of integer the column is: the originals' dumps differ in that.
pub(super) fn int(row: &MySqlRow, column: &str) -> Result<i64, sqlx::Error> {
    row.try_get_unchecked(column)
}

/// Like [`int`], for ids of users.
pub(super) fn uid(row: &MySqlRow, column: &str) -> Result<uschat_proto::chat::UserId, sqlx::Error> {
    row.try_get_unchecked(column).map(uschat_proto::chat::UserId)
}
