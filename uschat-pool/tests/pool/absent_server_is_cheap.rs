//! A server that is not there is asked once for each pause, whatever the number of callers, and costs those that come
//! in between no time.

use std::time::Duration;

use tokio::time::{Instant, advance};
use uschat_pool::{FailedStep, PoolConfig, PoolError};

use crate::fake::{Fake, Peer, settle, sized};

#[tokio::test(start_paused = true)]
async fn ten_thousand_callers_cost_one_attempt_a_pause() {
    let fake = Fake::new();
    fake.on_connect(Peer::Refuses);
    let pool = fake.pool(PoolConfig { max_waiters: 10_000, ..sized(8) });
    for attempts in 1..=4 {
        let start = Instant::now();
        let callers: Vec<_> = (0..10_000)
            .map(|_| {
                let pool = pool.clone();
                tokio::spawn(async move { pool.get().await.unwrap_err() })
            })
            .collect();
        let mut causes = 0;
        for caller in callers {
            match caller.await.unwrap() {
                PoolError::Connect(_) => causes += 1,
                PoolError::BackingOff { step: FailedStep::Connect, .. } => {}
                other => panic!("{other}"),
            }
        }
        assert_eq!((fake.connects(), causes), (attempts, 1), "one hears the cause, the others that it failed");
        assert_eq!(start.elapsed(), Duration::ZERO);
        assert_eq!(pool.snapshot().waiting, 0);
        advance(Duration::from_secs(5)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn callers_of_a_silent_server_fail_within_their_deadlines() {
    let fake = Fake::new();
    fake.on_connect(Peer::Silent);
    let pool = fake.pool(PoolConfig { max_waiters: 10_000, ..sized(8) });
    let start = Instant::now();
    let callers: Vec<_> = (0..10_000)
        .map(|_| {
            let pool = pool.clone();
            tokio::spawn(async move { pool.get().await.unwrap_err() })
        })
        .collect();
    for caller in callers {
        caller.await.unwrap();
    }
    // The defaults: 2 s for the wait and 2 s for a connect.
    assert!(start.elapsed() <= Duration::from_millis(4_010), "{:?}", start.elapsed());
    assert_eq!(fake.connects(), 1);
}

#[tokio::test(start_paused = true)]
async fn while_one_caller_probes_the_others_do_not_wait_for_it() {
    let fake = Fake::new();
    fake.on_connect(Peer::Refuses);
    let pool = fake.pool(sized(8));
    let _ = pool.get().await.unwrap_err();
    advance(Duration::from_millis(100)).await;
    fake.on_connect(Peer::Gated);
    let probe = tokio::spawn({
        let pool = pool.clone();
        async move { pool.get().await.map(|lease| lease.number) }
    });
    settle().await;

    let start = Instant::now();
    assert!(matches!(pool.get().await, Err(PoolError::BackingOff { .. })));
    assert_eq!((start.elapsed(), fake.connects()), (Duration::ZERO, 2));

    fake.let_through(1);
    assert_eq!(probe.await.unwrap().unwrap(), 2);
    fake.on_connect(Peer::Answers);
    assert!(pool.get().await.is_ok(), "it is back");
}

#[tokio::test(start_paused = true)]
async fn idle_connections_are_lent_while_no_new_one_can_be_made() {
    let fake = Fake::new();
    let pool = fake.pool(sized(2));
    drop(pool.get().await.unwrap());
    fake.on_connect(Peer::Refuses);
    let first = pool.get().await.unwrap();
    let _ = pool.get().await.unwrap_err();
    drop(first);
    for _ in 0..10 {
        assert_eq!(pool.get().await.unwrap().number, 1);
    }
    assert_eq!(fake.connects(), 2);
}

#[tokio::test(start_paused = true)]
async fn it_is_found_within_half_a_second_of_its_return() {
    let fake = Fake::new();
    fake.on_connect(Peer::Refuses);
    let pool = fake.pool(PoolConfig::default());
    let tick = Duration::from_millis(1);
    for _ in 0..60_000 {
        let _ = pool.get().await.unwrap_err();
        advance(tick).await;
    }
    fake.on_connect(Peer::Answers);
    let back_at = Instant::now();
    while pool.get().await.is_err() {
        advance(tick).await;
    }
    assert!(back_at.elapsed() <= Duration::from_millis(501), "{:?}", back_at.elapsed());
}
