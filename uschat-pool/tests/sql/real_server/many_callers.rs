//! Many callers on few connections, and the end of the pool while they wait.

use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use uschat_pool::{PoolConfig, PoolError};

use crate::support::{PATIENCE, client, new_database, number, patient, pool, until};

fn connected(url: &str) -> String {
    let (_, database) = url.rsplit_once('/').unwrap();
    format!("SELECT COUNT(*) FROM information_schema.processlist WHERE db = '{database}'")
}

#[tokio::test]
async fn a_thousand_share_four_connections() {
    let url = new_database().await;
    let pool = pool(&url, patient(4));
    let mut callers = JoinSet::new();
    for caller in 0..1_000_i64 {
        let pool = pool.clone();
        callers.spawn(async move {
            let mut lease = pool.get().await.unwrap();
            let answer: i64 = sqlx::query_scalar("SELECT ?").bind(caller).fetch_one(&mut *lease).await.unwrap();
            assert_eq!(answer, caller);
        });
    }
    while let Some(ended) = callers.join_next().await {
        ended.unwrap();
    }
    let snapshot = pool.snapshot();
    assert_eq!((snapshot.size, snapshot.in_use, snapshot.waiting), (4, 0, 0));
    // Asked from elsewhere: the server knows of no fifth.
    let elsewhere = &url[..url.rfind('/').unwrap() + 1];
    assert_eq!(number(&mut client(elsewhere).await, &connected(&url)).await, 4);
}

#[tokio::test]
async fn waiters_hear_of_the_end_at_once_and_leases_end_in_their_own_time() {
    let url = new_database().await;
    let pool = pool(&url, PoolConfig { max_waiters: 1_000, ..patient(4) });
    let mut leases = Vec::new();
    for _ in 0..4 {
        leases.push(pool.get().await.unwrap());
    }
    let mut waiters = JoinSet::new();
    for _ in 0..1_000 {
        let pool = pool.clone();
        waiters.spawn(async move { pool.get().await.map(drop) });
    }
    while pool.snapshot().waiting < 1_000 {
        tokio::task::yield_now().await;
    }
    let closing = pool.clone();
    let drained = tokio::spawn(async move { closing.drain(PATIENCE).await });
    let start = Instant::now();
    while let Some(heard) = waiters.join_next().await {
        assert!(matches!(heard.unwrap(), Err(PoolError::Closed)));
    }
    assert!(start.elapsed() < Duration::from_secs(10));
    assert!(!drained.is_finished());
    for lease in &mut leases {
        assert_eq!(number(lease, "SELECT 1").await, 1);
    }
    drop(leases);
    assert_eq!(drained.await.unwrap(), 0);
    let elsewhere = &url[..url.rfind('/').unwrap() + 1];
    until(&mut client(elsewhere).await, &connected(&url), 0).await;
}
