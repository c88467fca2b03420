//! A connection whose statement was abandoned half-way is not lent again.

use std::time::{Duration, Instant};

use sqlx::Connection;
use tokio::time::timeout;
use uschat_pool::{
    CallError, PoolConfig, Retry,
    sql::{TransactionError, commit},
};

use crate::support::{client, execute, id, new_database, number, patient, pool, until};

/// Long enough for a statement to reach the server.
const A_MOMENT: Duration = Duration::from_millis(100);
const LONG: Duration = Duration::from_secs(20);

#[tokio::test]
async fn its_next_user_does_not_wait_for_it() {
    let pool = pool(&new_database().await, patient(1));
    let mut lease = pool.get().await.unwrap();
    let before = id(&mut lease).await;
    let abandoned = sqlx::raw_sql("DO SLEEP(30)").execute(&mut *lease);
    assert!(timeout(A_MOMENT, abandoned).await.is_err());
    drop(lease);

    let start = Instant::now();
    let mut lease = pool.get().await.unwrap();
    assert_ne!(id(&mut lease).await, before);
    assert!(start.elapsed() < LONG);
}

#[tokio::test]
async fn its_next_user_does_not_get_its_error() {
    let pool = pool(&new_database().await, patient(1));
    let mut lease = pool.get().await.unwrap();
    let fails_late = "SELECT SLEEP(0.3) + (SELECT 1 UNION SELECT 2)";
    assert!(timeout(A_MOMENT, sqlx::raw_sql(fails_late).execute(&mut *lease)).await.is_err());
    drop(lease);
    let mut lease = pool.get().await.unwrap();
    assert_eq!(number(&mut lease, "SELECT 7").await, 7);
}

#[tokio::test]
async fn a_look_up_that_takes_its_one_row_is_none() {
    let pool = pool(&new_database().await, patient(1));
    let first = id(&mut pool.get().await.unwrap()).await;
    for _ in 0..20 {
        let mut lease = pool.get().await.unwrap();
        sqlx::query("SELECT 1").fetch_optional(&mut *lease).await.unwrap();
    }
    assert_eq!(id(&mut pool.get().await.unwrap()).await, first);
}

#[tokio::test]
async fn nor_is_one_in_a_transaction_that_is_dropped_with_it() {
    let config = PoolConfig { recycle: Duration::from_millis(200), ..patient(1) };
    let pool = pool(&new_database().await, config);
    let mut lease = pool.get().await.unwrap();
    let before = id(&mut lease).await;
    let mut transaction = lease.begin().await.unwrap();
    let abandoned = sqlx::raw_sql("DO SLEEP(30)").execute(&mut *transaction);
    assert!(timeout(A_MOMENT, abandoned).await.is_err());
    drop(transaction);
    drop(lease);

    let start = Instant::now();
    let mut lease = pool.get().await.unwrap();
    assert_ne!(id(&mut lease).await, before);
    assert!(start.elapsed() < LONG);
}

#[tokio::test]
async fn a_transaction_whose_begin_was_abandoned_is_not_inherited() {
    let pool = pool(&new_database().await, patient(1));
    let mut lease = pool.get().await.unwrap();
    let before = id(&mut lease).await;
    // Polled once; again if it had its answer by then.
    while timeout(Duration::ZERO, lease.begin()).await.is_ok() {}
    // The answer has come, and nothing more is due.
    sqlx::raw_sql("DO 1").execute(&mut *lease).await.unwrap();
    drop(lease);
    let mut lease = pool.get().await.unwrap();
    assert_ne!(id(&mut lease).await, before);
    assert_eq!(number(&mut lease, "SELECT CAST(@@in_transaction AS SIGNED)").await, 0);
}

#[tokio::test]
async fn a_transaction_that_ended_when_an_inner_one_was_abandoned_is_not_said_to_be_committed() {
    let url = new_database().await;
    let pool = pool(&url, patient(1));
    let mut lease = pool.get().await.unwrap();
    let mut transaction = lease.begin().await.unwrap();
    sqlx::raw_sql("INSERT INTO word VALUES (1, 'lost')").execute(&mut *transaction).await.unwrap();
    while timeout(Duration::ZERO, transaction.begin()).await.is_ok() {}
    assert!(matches!(commit(transaction).await, Err(TransactionError::RolledBack)));
    drop(lease);
    assert_eq!(number(&mut pool.get().await.unwrap(), "SELECT COUNT(*) FROM word").await, 0);
}

#[tokio::test]
async fn a_call_that_runs_out_of_time_frees_its_locks() {
    let url = new_database().await;
    let mut client = client(&url).await;
    execute(&mut client, "INSERT INTO word VALUES (1, '')").await;
    let pool = pool(&url, patient(1));
    drop(pool.get().await.unwrap());
    let retry = Retry::within(3 * A_MOMENT);
    let call = pool.call(retry, |mut loan| async move {
        let mut transaction = loan.begin().await?;
        sqlx::raw_sql("UPDATE word SET text = 'never' WHERE id = 1").execute(&mut *transaction).await?;
        std::future::pending::<Result<(), sqlx::Error>>().await
    });
    assert!(matches!(call.await, Err(CallError::Deadline { .. })));
    assert_eq!(pool.snapshot().size, 0, "what it left open is closed");
    until(&mut client, "SELECT COUNT(*) FROM word WHERE text = '' FOR UPDATE", 1).await;
}
