//! Transactions that are dropped, and transactions that are made again.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use tokio::sync::Barrier;
use uschat_pool::{
    CallError, Retry,
    sql::{TransactionError, commit},
};

use crate::support::{PATIENCE, client, execute, id, new_database, number, patient, pool, until};

/// How long the lock of a dropped transaction may be held.
const HAND_OVER: Duration = Duration::from_millis(100);

#[tokio::test]
async fn a_dropped_transaction_frees_its_locks_though_nobody_uses_the_pool() {
    let url = new_database().await;
    let pool = pool(&url, patient(1));
    let mut second = client(&url).await;
    execute(&mut second, "INSERT INTO word VALUES (1, 'locked')").await;
    let first = id(&mut pool.get().await.unwrap()).await;
    let mut times = Vec::new();
    for _ in 0..20 {
        let mut lease = pool.get().await.unwrap();
        assert_eq!(id(&mut lease).await, first, "the connection is kept");
        let mut transaction = lease.begin().await.unwrap();
        sqlx::query("UPDATE word SET text = 'dropped' WHERE id = 1").execute(&mut *transaction).await.unwrap();
        let waiting = tokio::spawn(async move {
            sqlx::query("UPDATE word SET text = 'second' WHERE id = 1").execute(&mut second).await.unwrap();
            (second, Instant::now())
        });
        let mut third = client(&url).await;
        until(&mut third, "SELECT COUNT(*) FROM information_schema.innodb_trx WHERE trx_state = 'LOCK WAIT'", 1).await;
        let dropped = Instant::now();
        drop(transaction);
        drop(lease);
        let (back, locked) = waiting.await.unwrap();
        second = back;
        times.push(locked.duration_since(dropped));
    }
    times.sort();
    println!("lock hand-over: median {:?}, most {:?}", times[times.len() / 2], times[times.len() - 1]);
    assert!(times.iter().all(|&time| time < HAND_OVER), "{times:?}");
    assert_eq!(number(&mut second, "SELECT COUNT(*) FROM word WHERE text = 'second'").await, 1);
}

#[tokio::test]
async fn a_deadlock_is_made_again() {
    let url = new_database().await;
    execute(&mut client(&url).await, "INSERT INTO word VALUES (1, ''), (2, '')").await;
    let pool = pool(&url, patient(2));
    let both_hold_one = Barrier::new(2);
    let attempts = AtomicUsize::new(0);
    let transfer = |first: i64, second: i64| {
        let (pool, barrier, attempts) = (&pool, &both_hold_one, &attempts);
        let mut waits = true;
        async move {
            let retry = Retry::within(PATIENCE);
            let call = pool.call(retry, |mut loan| {
                attempts.fetch_add(1, Ordering::Relaxed);
                let waits = std::mem::take(&mut waits);
                async move {
                    let mut transaction = loan.begin().await?;
                    let append = "UPDATE word SET text = CONCAT(text, 'x') WHERE id = ?";
                    sqlx::query(append).bind(first).execute(&mut *transaction).await?;
                    if waits {
                        barrier.wait().await;
                    }
                    sqlx::query(append).bind(second).execute(&mut *transaction).await?;
                    commit(transaction).await
                }
            });
            call.await.unwrap();
        }
    };
    tokio::join!(transfer(1, 2), transfer(2, 1));
    assert_eq!(attempts.load(Ordering::Relaxed), 3, "one of the two was the victim, once");
    let mut client = client(&url).await;
    assert_eq!(number(&mut client, "SELECT COUNT(*) FROM word WHERE text = 'xx'").await, 2);
}

#[tokio::test]
async fn a_lock_that_others_hold_is_asked_for_again() {
    let url = new_database().await;
    let mut holder = client(&url).await;
    execute(&mut holder, "INSERT INTO word VALUES (1, 'old'), (2, 'old')").await;
    execute(&mut holder, "BEGIN; UPDATE word SET text = 'held' WHERE id = 2").await;
    let pool = pool(&url, patient(1));
    let mut attempts = 0;
    let retry = Retry::within(PATIENCE);
    let call = pool.call(retry, |mut loan| {
        attempts += 1;
        let (attempt, url) = (attempts, url.clone());
        async move {
            if attempt == 2 {
                // The first one left nothing behind, not even the lock it had.
                let mut other = client(&url).await;
                execute(&mut other, "SET innodb_lock_wait_timeout = 1").await;
                execute(&mut other, "UPDATE word SET text = 'free' WHERE id = 1").await;
            }
            let mut transaction = loan.begin().await?;
            sqlx::raw_sql("SET innodb_lock_wait_timeout = 1").execute(&mut *transaction).await?;
            sqlx::raw_sql("UPDATE word SET text = 'mine' WHERE id = 1").execute(&mut *transaction).await?;
            if attempt == 1 {
                sqlx::raw_sql("UPDATE word SET text = 'mine' WHERE id = 2").execute(&mut *transaction).await?;
            }
            commit(transaction).await
        }
    });
    call.await.unwrap();
    assert_eq!(attempts, 2);
    assert_eq!(pool.snapshot().size, 1, "the connection was kept");
}

#[tokio::test]
async fn one_whose_connection_is_killed_before_the_commit_is_made_again() {
    let url = new_database().await;
    let pool = pool(&url, patient(1));
    let mut attempts = 0;
    let retry = Retry::within(PATIENCE);
    let call = pool.call(retry, |mut loan| {
        attempts += 1;
        let killed = attempts == 1;
        let url = url.clone();
        async move {
            let mut transaction = loan.begin().await?;
            sqlx::raw_sql("INSERT INTO word VALUES (1, 'once')").execute(&mut *transaction).await?;
            if killed {
                let id = id(&mut transaction).await;
                execute(&mut client(&url).await, &format!("KILL {id}")).await;
            }
            sqlx::raw_sql("INSERT INTO word VALUES (2, 'once')").execute(&mut *transaction).await?;
            commit(transaction).await
        }
    });
    call.await.unwrap();
    assert_eq!(attempts, 2);
    assert_eq!(number(&mut client(&url).await, "SELECT COUNT(*) FROM word").await, 2);
}

#[tokio::test]
async fn one_whose_connection_is_killed_in_the_commit_is_not() {
    let url = new_database().await;
    let pool = pool(&url, patient(1));
    let mut attempts = 0;
    let retry = Retry::within(PATIENCE);
    let call = pool.call(retry, |mut loan| {
        attempts += 1;
        let url = url.clone();
        async move {
            let mut transaction = loan.begin().await?;
            let id = id(&mut transaction).await;
            execute(&mut client(&url).await, &format!("KILL {id}")).await;
            commit(transaction).await
        }
    });
    let error = call.await.unwrap_err();
    assert!(matches!(error, CallError::Call(TransactionError::Commit(_))), "{error:?}");
    assert_eq!(attempts, 1);
}

#[tokio::test]
async fn a_duplicate_is_not_made_again() {
    let url = new_database().await;
    let pool = pool(&url, patient(1));
    let mut attempts = 0;
    let retry = Retry::within(PATIENCE).idempotent();
    let call = pool.call(retry, |mut loan| {
        attempts += 1;
        async move {
            let mut transaction = loan.begin().await?;
            sqlx::raw_sql("INSERT INTO word VALUES (1, 'a'), (1, 'b')").execute(&mut *transaction).await?;
            commit(transaction).await
        }
    });
    let error = call.await.unwrap_err();
    let CallError::Call(TransactionError::Before(sqlx::Error::Database(cause))) = &error else {
        panic!("{error:?}");
    };
    assert!(cause.is_unique_violation());
    assert_eq!(attempts, 1);
    assert_eq!(pool.snapshot().size, 1, "the connection was kept");
}
