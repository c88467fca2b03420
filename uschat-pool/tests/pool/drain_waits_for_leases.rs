//! Draining refuses new callers at once and waits for those who have a connection, but only so long.

use std::time::Duration;

use tokio::time::{Instant, sleep};
use uschat_pool::PoolError;

use crate::fake::{Fake, Peer, settle, sized};

const LONG: Duration = Duration::from_secs(60);

#[tokio::test(start_paused = true)]
async fn until_the_last_has_ended() {
    let fake = Fake::new();
    let pool = fake.pool(sized(3));
    let (first, second) = (pool.get().await.unwrap(), pool.get().await.unwrap());
    drop(pool.get().await.unwrap());
    for (seconds, lease) in [(3, first), (7, second)] {
        tokio::spawn(async move {
            sleep(Duration::from_secs(seconds)).await;
            drop(lease);
        });
    }
    settle().await;
    let start = Instant::now();
    assert_eq!(pool.drain(LONG).await, 0);
    assert_eq!((start.elapsed().as_secs(), fake.open()), (7, 0));
    assert!(matches!(pool.get().await, Err(PoolError::Closed)));
    assert_eq!(pool.drain(Duration::ZERO).await, 0);
}

#[tokio::test(start_paused = true)]
async fn no_longer_than_allowed() {
    let fake = Fake::new();
    let pool = fake.pool(sized(2));
    let lease = pool.get().await.unwrap();
    let start = Instant::now();
    assert_eq!(pool.drain(Duration::from_secs(5)).await, 1);
    assert_eq!((start.elapsed().as_secs(), fake.open()), (5, 1));
    drop(lease);
    assert_eq!(fake.open(), 0);
}

#[tokio::test(start_paused = true)]
async fn waiters_and_those_that_connect_do_not_hold_it_up() {
    let fake = Fake::new();
    let pool = fake.pool(sized(2));
    let lease = pool.get().await.unwrap();
    fake.on_connect(Peer::Silent);
    let callers: Vec<_> = (0..3)
        .map(|_| {
            let pool = pool.clone();
            tokio::spawn(async move { pool.get().await.map(drop) })
        })
        .collect();
    settle().await;
    let draining = tokio::spawn({
        let pool = pool.clone();
        async move { pool.drain(LONG).await }
    });
    let start = Instant::now();
    for caller in callers {
        assert!(matches!(caller.await.unwrap(), Err(PoolError::Closed)));
    }
    drop(lease);
    assert_eq!(draining.await.unwrap(), 0);
    assert_eq!(start.elapsed(), Duration::ZERO);
}
