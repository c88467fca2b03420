//! A manager that panics fails the call at hand; the pool and its upkeep go on.

use std::time::Duration;

use tokio::time::advance;
use uschat_pool::PoolError;

use crate::fake::{Fake, Peer, settle, sized};

#[tokio::test(start_paused = true)]
async fn while_connecting() {
    let fake = Fake::new();
    fake.on_connect(Peer::Panics);
    let pool = fake.pool(sized(1));
    assert!(matches!(pool.get().await, Err(PoolError::BackingOff { .. })));
    fake.on_connect(Peer::Answers);
    advance(Duration::from_millis(100)).await;
    assert_eq!(pool.get().await.unwrap().number, 2);
}

#[tokio::test(start_paused = true)]
async fn while_verifying() {
    let fake = Fake::new();
    let pool = fake.pool(sized(1));
    drop(pool.get().await.unwrap());
    advance(Duration::from_secs(60)).await;
    fake.on_verify(Peer::Panics);
    let caller = tokio::spawn({
        let pool = pool.clone();
        async move { pool.get().await.map(drop) }
    });
    assert!(caller.await.unwrap_err().is_panic());
    assert_eq!((fake.open(), pool.get().await.unwrap().number), (0, 2));
}

#[tokio::test(start_paused = true)]
async fn while_cleaning() {
    let fake = Fake::new();
    let pool = fake.pool(sized(1));
    let lease = pool.get().await.unwrap();
    fake.on_clean(Peer::Panics);
    lease.soil();
    drop(lease);
    settle().await;
    assert_eq!((fake.open(), pool.snapshot().in_use), (0, 0));
    assert_eq!(pool.get().await.unwrap().number, 2);
}
