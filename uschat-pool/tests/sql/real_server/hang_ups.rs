//! Connections that the server ends, one way or another.

use std::time::Duration;

use sqlx::{AssertSqlSafe, Row};
use tokio::task::JoinSet;
use uschat_pool::{Pool, PoolConfig, Retry, sql::SqlManager};

use crate::support::{
    Connections, PATIENCE, client, execute, look_up, new_database, number, options, patient, pool, until,
};

/// Takes and gives back as many connections as the pool may have.
async fn fill(pool: &Connections) {
    let mut leases = Vec::new();
    for _ in 0..pool.snapshot().max_size {
        leases.push(pool.get().await.unwrap());
    }
}

fn connected(url: &str) -> String {
    let (_, database) = url.rsplit_once('/').unwrap();
    // Not the one that asks.
    format!("SELECT COUNT(*) FROM information_schema.processlist WHERE db = '{database}' AND id <> CONNECTION_ID()")
}

async fn kill_all(url: &str) {
    let mut client = client(url).await;
    let ids = connected(url).replace("COUNT(*)", "CAST(id AS SIGNED)");
    for row in sqlx::raw_sql(AssertSqlSafe(ids)).fetch_all(&mut client).await.unwrap() {
        execute(&mut client, &format!("KILL {}", row.get::<i64, _>(0))).await;
    }
    until(&mut client, &connected(url), 0).await;
}

#[tokio::test]
async fn a_call_is_made_again_when_its_connection_was_killed() {
    let url = new_database().await;
    let pool = pool(&url, patient(4));
    for _ in 0..3 {
        fill(&pool).await;
        kill_all(&url).await;
        let mut calls = JoinSet::new();
        for _ in 0..16 {
            let pool = pool.clone();
            calls.spawn(async move { pool.call(Retry::within(PATIENCE).idempotent(), look_up).await });
        }
        while let Some(ended) = calls.join_next().await {
            assert_eq!(ended.unwrap().unwrap(), 1);
        }
    }
}

#[tokio::test]
async fn a_lease_notices_if_every_connection_is_verified() {
    let url = new_database().await;
    let pool = pool(&url, PoolConfig { verify_after: Duration::ZERO, ..patient(4) });
    fill(&pool).await;
    kill_all(&url).await;
    for _ in 0..4 {
        let mut lease = pool.get().await.unwrap();
        assert_eq!(number(&mut lease, "SELECT 1").await, 1);
    }
}

#[tokio::test]
async fn nobody_meets_a_connection_that_was_idle_for_too_long_for_the_server() {
    let url = new_database().await;
    let manager = SqlManager::new(options(&url)).setup("SET wait_timeout = 1");
    let config = PoolConfig { verify_after: Duration::from_millis(500), min_idle: 4, ..patient(4) };
    let pool = Pool::new("idle", manager, config).unwrap();
    let mut client = client(&url).await;
    for _ in 0..2 {
        fill(&pool).await;
        until(&mut client, &connected(&url), 4).await;
        until(&mut client, &connected(&url), 0).await;
        for _ in 0..4 {
            let mut lease = pool.get().await.unwrap();
            assert_eq!(number(&mut lease, "SELECT 1").await, 1);
        }
    }
}
