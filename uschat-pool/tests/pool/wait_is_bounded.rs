//! A caller waits as long as configured and no longer, and only so many wait.

use std::time::Duration;

use tokio::time::Instant;
use uschat_pool::{PoolConfig, PoolError};

use crate::fake::{Fake, Peer, settle, sized};

#[tokio::test(start_paused = true)]
async fn waits_for_as_long_as_configured() {
    let pool = Fake::new().pool(PoolConfig { wait: Duration::from_millis(700), ..sized(1) });
    let _lease = pool.get().await.unwrap();

    let start = Instant::now();
    let error = pool.get().await.unwrap_err();

    assert!(matches!(error, PoolError::Wait { after } if after == Duration::from_millis(700)), "{error}");
    assert!((700..=702).contains(&start.elapsed().as_millis()), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn zero_means_that_nobody_waits() {
    let pool = Fake::new().pool(PoolConfig { wait: Duration::ZERO, ..sized(1) });
    let _lease = pool.get().await.unwrap();
    let start = Instant::now();
    assert!(matches!(pool.get().await, Err(PoolError::Wait { .. })));
    assert_eq!(start.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_lease_given_back_goes_to_the_caller_who_waited_longest() {
    let pool = Fake::new().pool(sized(1));
    let lease = pool.get().await.unwrap();
    let first = tokio::spawn({
        let pool = pool.clone();
        async move { pool.get().await.unwrap() }
    });
    settle().await;
    let second = tokio::spawn({
        let pool = pool.clone();
        async move { pool.get().await.unwrap() }
    });
    settle().await;

    drop(lease);

    let first = first.await.unwrap();
    settle().await;
    assert!(!second.is_finished());
    drop(first);
    assert_eq!(second.await.unwrap().number, 1);
}

#[tokio::test(start_paused = true)]
async fn one_waiter_too_many_is_refused_at_once() {
    let pool = Fake::new().pool(PoolConfig { max_waiters: 2, ..sized(1) });
    let lease = pool.get().await.unwrap();
    let waiters: Vec<_> = (0..2)
        .map(|_| {
            let pool = pool.clone();
            tokio::spawn(async move { pool.get().await.map(drop) })
        })
        .collect();
    settle().await;
    assert_eq!(pool.snapshot().waiting, 2);

    let start = Instant::now();
    let error = pool.get().await.unwrap_err();

    assert!(matches!(error, PoolError::Exhausted { waiting: 2, max: 2 }), "{error}");
    assert_eq!(start.elapsed(), Duration::ZERO);
    drop(lease);
    for waiter in waiters {
        waiter.await.unwrap().unwrap();
    }
    assert_eq!(pool.snapshot().waiting, 0);
}

#[tokio::test(start_paused = true)]
async fn a_silent_peer_costs_one_create_deadline() {
    let fake = Fake::new();
    fake.on_connect(Peer::Silent);
    let pool = fake.pool(PoolConfig { create: Duration::from_millis(300), ..sized(4) });

    let start = Instant::now();
    let error = pool.get().await.unwrap_err();

    assert!(matches!(error, PoolError::ConnectTimeout { after } if after == Duration::from_millis(300)), "{error}");
    assert!(start.elapsed() < Duration::from_millis(310), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_refused_connect_keeps_its_cause_and_frees_its_place() {
    let fake = Fake::new();
    fake.on_connect(Peer::Refuses);
    let pool = fake.pool(sized(1));

    let error = pool.get().await.unwrap_err();

    let cause = std::error::Error::source(&error).expect("the cause is kept");
    assert!(cause.is::<std::io::Error>());
    assert!(matches!(error, PoolError::Connect(_)) && error.may_pass());
    fake.on_connect(Peer::Answers);
    tokio::time::advance(Duration::from_millis(100)).await;
    assert_eq!(pool.get().await.unwrap().number, 2);
}
