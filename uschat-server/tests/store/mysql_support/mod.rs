//! What the tests of the MySQL adapter share: a database for each case, and statements behind the store's back.

use std::{
    fmt::Debug,
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::Poll,
    time::Duration,
};

use sqlx::{AssertSqlSafe, Connection, Executor, MySqlConnection, Row};
use uschat_proto::chat::ThreadId;
use uschat_server::store::{
    StoreError, SubmitError,
    mysql::{MysqlOptions, MysqlStore, OpenError},
};

#[path = "../../real_servers/mariadb.rs"]
pub mod mariadb;

pub mod proxy;

use mariadb::MariaDb;

/// The URL of a new, empty database on the shared server.
pub async fn new_database() -> String {
    new_database_on(MariaDb::shared().await).await
}

pub async fn new_database_on(server: &MariaDb) -> String {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let name = format!("case{}", NEXT.fetch_add(1, Ordering::Relaxed));
    execute(&server.url(""), &format!("CREATE DATABASE {name}")).await;
    server.url(&name)
}

/// Many cases run at a time on few processors, so a case may use fewer connections and more time than a server would.
pub fn options() -> MysqlOptions {
    MysqlOptions { wait: Duration::from_secs(10), connect: Duration::from_secs(10), ..MysqlOptions::default() }
}

pub async fn open(url: &str) -> Arc<MysqlStore> {
    Arc::new(MysqlStore::open(url, options()).await.unwrap())
}

pub async fn refusal(url: &str) -> OpenError {
    MysqlStore::open(url, options()).await.unwrap_err()
}

pub async fn connect(url: &str) -> MySqlConnection {
    MySqlConnection::connect(url).await.unwrap()
}

/// Runs statements behind the store's back.
pub async fn execute(url: &str, statements: &str) {
    let mut connection = connect(url).await;
    sqlx::raw_sql(AssertSqlSafe(statements.to_owned())).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

/// The rows of a query, every value as text (`NULL` for none), joined by `|`.
pub async fn rows(url: &str, query: &str) -> Vec<String> {
    let mut connection = connect(url).await;
    rows_of(&mut connection, query).await
}

pub async fn rows_of(connection: &mut MySqlConnection, query: &str) -> Vec<String> {
    let rows = sqlx::raw_sql(AssertSqlSafe(query.to_owned())).fetch_all(connection).await.unwrap();
    let text = |row: &sqlx::mysql::MySqlRow, at| {
        let bytes: Option<Vec<u8>> = row.try_get_unchecked(at).unwrap();
        bytes.map_or("NULL".to_owned(), |bytes| String::from_utf8(bytes).unwrap())
    };
    rows.iter().map(|row| (0..row.len()).map(|at| text(row, at)).collect::<Vec<_>>().join("|")).collect()
}

/// Another client, in a transaction that has locked this conversation.
pub async fn lock(url: &str, thread: ThreadId) -> MySqlConnection {
    let mut client = connect(url).await;
    let lock = format!("SELECT * FROM thread_head WHERE thread_id = {thread} FOR UPDATE");
    client.execute("START TRANSACTION").await.unwrap();
    client.execute(AssertSqlSafe(lock)).await.unwrap();
    client
}

pub fn unavailable<T: Debug>(outcome: &Result<T, SubmitError>) -> bool {
    matches!(outcome, Err(SubmitError::Store(StoreError::Unavailable(_))))
}

/// Gives a future so many polls, each after it was woken, then drops it: every place where it waits is one at which it can
/// be cancelled.
pub async fn polled<T>(polls: usize, future: impl Future<Output = T>) -> Option<T> {
    let mut future = std::pin::pin!(future);
    let mut left = polls;
    std::future::poll_fn(move |cx| {
        let Some(rest) = left.checked_sub(1) else {
            return Poll::Ready(None);
        };
        left = rest;
        match future.as_mut().poll(cx) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending if left == 0 => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}
