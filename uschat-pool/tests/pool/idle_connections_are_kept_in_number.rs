//! As many connections are kept ready as configured, and surplus ones are closed when they are idle for too long.

use std::{sync::atomic::Ordering, time::Duration};

use tokio::time::advance;
use uschat_pool::PoolConfig;

use crate::fake::{Fake, Peer, settle, sized};

/// Lets the time pass in steps, as it does in life, so that upkeep has its turns.
async fn pass(time: Duration) {
    for _ in 0..20 {
        advance(time / 20).await;
        settle().await;
    }
}

#[tokio::test(start_paused = true)]
async fn they_are_made_before_somebody_asks() {
    let fake = Fake::new();
    let pool = fake.pool(PoolConfig { min_idle: 3, ..sized(8) });
    settle().await;
    assert_eq!((fake.connects(), pool.snapshot().idle), (3, 3));

    let leases = [pool.get().await.unwrap(), pool.get().await.unwrap()];
    settle().await;
    let snapshot = pool.snapshot();
    assert_eq!((snapshot.idle, snapshot.in_use), (3, 2), "those that were lent are replaced");
    drop(leases);
    assert_eq!(pool.snapshot().idle, 5);
}

#[tokio::test(start_paused = true)]
async fn never_more_than_there_are_places() {
    let fake = Fake::new();
    let pool = fake.pool(PoolConfig { min_idle: 3, ..sized(4) });
    let mut leases = Vec::new();
    for in_use in 1..=4 {
        leases.push(pool.get().await.unwrap());
        settle().await;
        let snapshot = pool.snapshot();
        assert_eq!((snapshot.in_use, snapshot.idle), (in_use, 3.min(4 - in_use)));
    }
    assert_eq!(fake.open(), 4);
}

#[tokio::test(start_paused = true)]
async fn surplus_ones_end_and_the_last_few_stay() {
    let fake = Fake::new();
    let idle = Duration::from_secs(60);
    let config = PoolConfig { min_idle: 2, max_idle: idle, max_lifetime: 100 * idle, ..sized(8) };
    let pool = fake.pool(config);
    let mut leases = Vec::new();
    for _ in 0..8 {
        leases.push(pool.get().await.unwrap());
    }
    drop(leases);
    pass(idle * 9 / 10).await;
    assert_eq!(fake.open(), 8);
    pass(idle / 3).await;
    assert_eq!((fake.open(), pool.snapshot().idle), (2, 2));
    let made = fake.connects();
    pass(10 * idle).await;
    assert_eq!((fake.open(), fake.connects()), (2, made), "none is closed to be made anew");
}

#[tokio::test(start_paused = true)]
async fn steady_use_of_one_lets_the_others_go() {
    let fake = Fake::new();
    let idle = Duration::from_secs(60);
    let pool = fake.pool(PoolConfig { max_idle: idle, ..sized(4) });
    drop([pool.get().await.unwrap(), pool.get().await.unwrap(), pool.get().await.unwrap()]);
    let number = pool.get().await.unwrap().number;
    for _ in 0..10 {
        pass(idle / 5).await;
        assert_eq!(pool.get().await.unwrap().number, number, "the one used last is lent first");
    }
    assert_eq!(fake.open(), 1);
}

#[tokio::test(start_paused = true)]
async fn old_and_broken_ones_are_replaced_without_a_caller() {
    let fake = Fake::new();
    let lifetime = Duration::from_secs(60);
    let pool = fake.pool(PoolConfig { min_idle: 1, max_lifetime: lifetime, ..sized(2) });
    settle().await;
    let broken = std::sync::Arc::clone(&pool.get().await.unwrap().broken);
    broken.store(true, Ordering::SeqCst);
    pass(lifetime / 4).await;
    let snapshot = pool.snapshot();
    assert!(!pool.get().await.unwrap().broken.load(Ordering::SeqCst));
    assert!(snapshot.idle >= 1);

    let made = fake.connects();
    pass(2 * lifetime).await;
    assert!(fake.connects() > made && pool.snapshot().idle >= 1);
    assert_eq!(pool.get().await.unwrap().number, fake.connects());
}

#[tokio::test(start_paused = true)]
async fn a_server_that_comes_back_is_found_without_a_caller() {
    let fake = Fake::new();
    fake.on_connect(Peer::Refuses);
    let pool = fake.pool(PoolConfig { min_idle: 2, ..sized(4) });
    pass(Duration::from_secs(20)).await;
    let asked = fake.connects();
    assert!((5..=20).contains(&asked), "{asked} attempts in 20 s");
    fake.on_connect(Peer::Answers);
    pass(Duration::from_secs(5)).await;
    assert_eq!(pool.snapshot().idle, 2);
}
