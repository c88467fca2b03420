//! A peer that is there and does not answer: stopped, behind a black hole, or lost in the middle of a connection.

use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use uschat_pool::{CallError, PoolConfig, PoolError, Retry};

use crate::{
    mariadb::MariaDb,
    peer::Peer,
    support::{Connections, PATIENCE, look_up, new_database_on, patient, pool},
};

/// What a busy machine may add to a deadline.
const SLACK: Duration = Duration::from_secs(5);
const DEADLINE: Duration = Duration::from_secs(1);

fn impatient() -> PoolConfig {
    let short = Duration::from_millis(300);
    PoolConfig { create: short, recycle: short, max_backoff: Duration::from_millis(500), ..PoolConfig::default() }
}

async fn succeeds(pool: &Connections) {
    let answer = pool.call(Retry::within(PATIENCE).idempotent(), look_up).await;
    assert_eq!(answer.unwrap(), 1);
}

/// Calls that cannot succeed end in time. Returns how long the last one took.
async fn all_end(pool: &Connections, callers: usize) -> Duration {
    let start = Instant::now();
    let mut calls = JoinSet::new();
    for _ in 0..callers {
        let pool = pool.clone();
        calls.spawn(async move { pool.call(Retry::within(DEADLINE).idempotent(), look_up).await });
    }
    while let Some(ended) = calls.join_next().await {
        let error = ended.unwrap().unwrap_err();
        assert!(matches!(error, CallError::Deadline { .. } | CallError::Pool(_)), "{error:?}");
    }
    start.elapsed()
}

#[tokio::test]
async fn a_stopped_server_costs_a_call_its_deadline_and_is_used_again_when_it_goes_on() {
    let server = MariaDb::start(&[]).await;
    let url = new_database_on(&server).await;
    let pool = pool(&url, PoolConfig { verify_after: Duration::from_millis(100), ..impatient() });
    succeeds(&pool).await;
    for _ in 0..3 {
        server.freeze();
        let took = all_end(&pool, 64).await;
        server.thaw();
        assert!(took < DEADLINE + SLACK, "{took:?}");
        let back = Instant::now();
        succeeds(&pool).await;
        println!("stopped: 64 calls ended within {took:?}, first success {:?} after it went on", back.elapsed());
        assert!(back.elapsed() < DEADLINE + SLACK);
    }
}

#[tokio::test]
async fn ten_thousand_callers_of_a_black_hole_cost_one_attempt_a_step() {
    let hole = Peer::black_hole().await;
    let pool = pool(&hole.url("none"), impatient());
    let first = pool.get().await.unwrap_err();
    assert!(matches!(first, PoolError::ConnectTimeout { .. }), "{first:?}");
    let took = all_end(&pool, 10_000).await;
    assert!(took < DEADLINE + SLACK, "{took:?}");
    // Pauses of at least 50, 100 and 200 ms, then 250 ms, each after an attempt of 300 ms.
    let steps = 3 + (took.as_millis() / 550);
    println!("black hole: 10,000 callers, {} attempts in {took:?}", hole.accepted());
    assert!(hole.accepted() > 1 && hole.accepted() as u128 <= steps + 2, "{} in {took:?}", hole.accepted());
}

#[tokio::test]
async fn a_connection_that_swallows_is_given_up() {
    let server = MariaDb::shared().await;
    let url = new_database_on(server).await;
    let peer = Peer::start(server.port()).await;
    let (_, database) = url.rsplit_once('/').unwrap();
    let pool = pool(&peer.url(database), PoolConfig { create: PATIENCE, ..impatient() });
    succeeds(&pool).await;
    peer.swallow();
    let took = all_end(&pool, 1).await;
    assert!(took >= DEADLINE && took < DEADLINE + SLACK, "{took:?}");
    let before = peer.accepted();
    peer.pass_new();
    succeeds(&pool).await;
    assert!(peer.accepted() > before, "the silent connection is not used again");
}

#[tokio::test]
async fn an_idle_connection_that_swallows_costs_a_lease_one_verification() {
    let server = MariaDb::shared().await;
    let url = new_database_on(server).await;
    let peer = Peer::start(server.port()).await;
    let (_, database) = url.rsplit_once('/').unwrap();
    let recycle = Duration::from_millis(300);
    let pool = pool(&peer.url(database), PoolConfig { verify_after: Duration::ZERO, recycle, ..patient(4) });
    let leases = [pool.get().await.unwrap(), pool.get().await.unwrap(), pool.get().await.unwrap()];
    drop(leases);
    peer.swallow();
    peer.pass_new();
    let start = Instant::now();
    drop(pool.get().await.unwrap());
    assert!(start.elapsed() >= recycle && start.elapsed() < recycle + SLACK, "{:?}", start.elapsed());
    assert_eq!(pool.snapshot().size, 1, "all three silent ones are gone");
}
