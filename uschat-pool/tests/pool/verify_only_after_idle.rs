//! A connection is verified only after it was idle for a while, counted from its return; one that does
//! not pass, or is too old, is replaced without the caller noticing.

use std::time::Duration;

use tokio::time::{Instant, advance};
use uschat_pool::PoolConfig;

use crate::fake::{Fake, Peer, sized};

const IDLE: Duration = Duration::from_secs(30);

#[tokio::test(start_paused = true)]
async fn steady_use_costs_no_verification() {
    let fake = Fake::new();
    let pool = fake.pool(sized(1));
    for _ in 0..10 {
        drop(pool.get().await.unwrap());
        advance(IDLE - Duration::from_millis(1)).await;
    }
    assert_eq!((fake.connects(), fake.verifies()), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn time_in_use_does_not_count_as_idle() {
    let fake = Fake::new();
    let pool = fake.pool(sized(1));
    let lease = pool.get().await.unwrap();
    advance(10 * IDLE).await;
    drop(lease);
    drop(pool.get().await.unwrap());
    assert_eq!(fake.verifies(), 0);
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_is_verified_once() {
    let fake = Fake::new();
    let pool = fake.pool(sized(1));
    drop(pool.get().await.unwrap());
    advance(IDLE).await;
    assert_eq!(pool.get().await.unwrap().number, 1);
    assert_eq!(pool.get().await.unwrap().number, 1);
    assert_eq!((fake.connects(), fake.verifies()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn one_that_does_not_pass_is_replaced() {
    let fake = Fake::new();
    let pool = fake.pool(sized(1));
    drop(pool.get().await.unwrap());
    advance(IDLE).await;
    fake.on_verify(Peer::Refuses);
    assert_eq!(pool.get().await.unwrap().number, 2);
    assert_eq!(fake.open(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_silent_peer_costs_one_deadline_for_all_idle_connections() {
    let fake = Fake::new();
    let pool = fake.pool(PoolConfig { recycle: Duration::from_secs(1), ..sized(8) });
    let mut leases = Vec::new();
    for _ in 0..8 {
        leases.push(pool.get().await.unwrap());
    }
    drop(leases);
    advance(IDLE).await;
    fake.on_verify(Peer::Silent);

    let start = Instant::now();
    let lease = pool.get().await.unwrap();

    assert_eq!(lease.number, 9);
    assert_eq!((fake.verifies(), fake.open()), (1, 1));
    assert!(start.elapsed() < Duration::from_millis(1_010), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_connection_past_its_lifetime_is_replaced() {
    let fake = Fake::new();
    let lifetime = Duration::from_secs(20);
    let pool = fake.pool(PoolConfig { max_lifetime: lifetime, ..sized(1) });
    drop(pool.get().await.unwrap());
    advance(lifetime * 89 / 100).await;
    assert_eq!(pool.get().await.unwrap().number, 1);
    advance(lifetime * 11 / 100).await;
    assert_eq!(pool.get().await.unwrap().number, 2);
    assert_eq!((fake.verifies(), fake.open()), (0, 1));
}
