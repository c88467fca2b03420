//! What SQLite refuses because others are writing is asked for again, and an abandoned statement harms nobody.

use std::{path::Path, time::Duration};

use sqlx::{Sqlite, sqlite::SqliteConnectOptions};
use tokio::time::timeout;
use uschat_pool::{
    CallError, Pool, PoolConfig, PoolError, Retry,
    sql::{SqlManager, TransactionError, commit},
};

const PATIENCE: Duration = Duration::from_secs(60);

fn pool(file: &Path, size: usize) -> Pool<SqlManager<Sqlite>> {
    let options = SqliteConnectOptions::new().filename(file).create_if_missing(true);
    let manager = SqlManager::new(options.busy_timeout(Duration::ZERO));
    Pool::new("words", manager, PoolConfig { size, ..PoolConfig::default() }).unwrap()
}

#[tokio::test]
async fn a_transaction_waits_for_those_of_others() {
    let folder = tempfile::tempdir().unwrap();
    let pool = pool(&folder.path().join("words.db"), 2);
    let mut holder = pool.get().await.unwrap();
    sqlx::raw_sql("CREATE TABLE word (text TEXT NOT NULL)").execute(&mut *holder).await.unwrap();
    let mut holding = Some(holder.begin_with("BEGIN IMMEDIATE").await.unwrap());
    let retry = Retry::within(PATIENCE);
    let mut attempts = 0;
    let call = pool.call(retry, |mut loan| {
        attempts += 1;
        // The first attempt meets the lock, and it is gone before the third.
        if attempts == 3 {
            drop(holding.take());
        }
        async move {
            let mut transaction = loan.begin_with("BEGIN IMMEDIATE").await?;
            sqlx::raw_sql("INSERT INTO word VALUES ('mine')").execute(&mut *transaction).await?;
            commit(transaction).await
        }
    });
    call.await.unwrap();
    assert!(attempts >= 3);
}

#[tokio::test]
async fn what_breaks_a_rule_is_not_made_again() {
    let folder = tempfile::tempdir().unwrap();
    let pool = pool(&folder.path().join("words.db"), 1);
    let retry = Retry::within(PATIENCE).idempotent();
    let mut attempts = 0;
    let call = pool.call(retry, |mut loan| {
        attempts += 1;
        async move {
            sqlx::raw_sql("CREATE TABLE word (id INTEGER PRIMARY KEY); INSERT INTO word VALUES (1), (1)")
                .execute(&mut *loan)
                .await
                .map_err(TransactionError::from)
        }
    });
    assert!(matches!(call.await, Err(CallError::Call(TransactionError::Before(sqlx::Error::Database(_))))));
    assert_eq!(attempts, 1);
}

#[tokio::test]
async fn a_file_that_cannot_be_opened_is_not_tried_again() {
    let folder = tempfile::tempdir().unwrap();
    let pool = pool(&folder.path().join("missing").join("words.db"), 1);
    let retry = Retry::within(PATIENCE).idempotent();
    let call = pool.call(retry, |mut loan| async move { sqlx::raw_sql("SELECT 1").execute(&mut *loan).await });
    let ended = timeout(PATIENCE / 2, call).await.unwrap();
    assert!(matches!(ended, Err(CallError::Pool(PoolError::Connect(_)))), "{ended:?}");
}

#[tokio::test]
async fn the_next_user_of_an_abandoned_statement_gets_its_own_answer() {
    let folder = tempfile::tempdir().unwrap();
    let pool = pool(&folder.path().join("words.db"), 1);
    let mut lease = pool.get().await.unwrap();
    let many =
        "WITH RECURSIVE c (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 1000000) SELECT max(n) FROM c";
    assert!(timeout(Duration::ZERO, sqlx::raw_sql(many).execute(&mut *lease)).await.is_err());
    drop(lease);
    let mut lease = pool.get().await.unwrap();
    let answer: i64 = sqlx::query_scalar("SELECT 7").fetch_one(&mut *lease).await.unwrap();
    assert_eq!(answer, 7);
}
