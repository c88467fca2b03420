//! The size of a pool in use can be changed; nobody loses a lease by it, and there are never more connections than
//! before or after.

use uschat_pool::{ConfigError, PoolConfig, PoolError};

use crate::fake::{Fake, Peer, settle, sized};

#[tokio::test(start_paused = true)]
async fn growth_serves_those_that_wait_in_their_order() {
    let fake = Fake::new();
    let pool = fake.pool(sized(1));
    let _lease = pool.get().await.unwrap();
    let mut waiters = Vec::new();
    for _ in 0..3 {
        let pool = pool.clone();
        waiters.push(tokio::spawn(async move { pool.get().await.unwrap() }));
        settle().await;
    }

    pool.resize(3).unwrap();
    settle().await;

    let served: Vec<_> = waiters.iter().map(tokio::task::JoinHandle::is_finished).collect();
    assert_eq!(served, [true, true, false]);
    let snapshot = pool.snapshot();
    assert_eq!((snapshot.max_size, snapshot.in_use, snapshot.waiting), (3, 3, 1));
}

#[tokio::test(start_paused = true)]
async fn a_place_for_a_waiter_that_gave_up_goes_to_the_next() {
    let fake = Fake::new();
    let pool = fake.pool(sized(1));
    let _lease = pool.get().await.unwrap();
    let spawn = || {
        let pool = pool.clone();
        tokio::spawn(async move { pool.get().await.unwrap().number })
    };
    let first = spawn();
    settle().await;
    let second = spawn();
    settle().await;
    first.abort();
    settle().await;
    pool.resize(2).unwrap();
    assert_eq!(second.await.unwrap(), 2);
}

#[tokio::test(start_paused = true)]
async fn after_shrinking_idle_ones_end_at_once_and_lent_ones_with_their_lease() {
    let fake = Fake::new();
    let pool = fake.pool(sized(8));
    let mut leases = Vec::new();
    for _ in 0..8 {
        leases.push(pool.get().await.unwrap());
    }
    leases.truncate(4);
    assert_eq!((fake.open(), pool.snapshot().idle), (8, 4));

    pool.resize(2).unwrap();
    assert_eq!((fake.open(), pool.snapshot().idle), (4, 0));
    let waiter = tokio::spawn({
        let pool = pool.clone();
        async move { pool.get().await.unwrap().number }
    });
    settle().await;
    leases.pop();
    leases.pop();
    settle().await;
    assert_eq!((fake.open(), waiter.is_finished()), (2, false), "two leases are as many as may be");
    drop(leases);
    waiter.await.unwrap();
    let snapshot = pool.snapshot();
    assert_eq!((snapshot.max_size, snapshot.size, snapshot.idle, fake.open()), (2, 2, 2, 2));
}

#[tokio::test(start_paused = true)]
async fn there_and_back_while_all_are_lent() {
    let fake = Fake::new();
    let pool = fake.pool(sized(4));
    for size in [1, 6, 2, 4, 3] {
        let mut leases = Vec::new();
        while let Ok(Ok(lease)) = tokio::time::timeout(std::time::Duration::from_millis(1), pool.get()).await {
            leases.push(lease);
        }
        pool.resize(size).unwrap();
        leases.truncate(1);
        assert!(fake.open() <= size.max(leases.len()), "{} of {size}", fake.open());
    }
    let mut leases = Vec::new();
    while let Ok(Ok(lease)) = tokio::time::timeout(std::time::Duration::from_millis(1), pool.get()).await {
        leases.push(lease);
    }
    assert_eq!((leases.len(), fake.open()), (3, 3));
}

#[tokio::test(start_paused = true)]
async fn a_connect_that_shrinking_overtakes_is_not_kept() {
    let fake = Fake::new();
    let pool = fake.pool(PoolConfig { min_idle: 1, ..sized(2) });
    let _lease = pool.get().await.unwrap();
    settle().await;
    fake.on_connect(Peer::Gated);
    pool.get().await.unwrap().discard();
    let other = tokio::time::timeout(std::time::Duration::from_millis(1), pool.get()).await;
    assert!(other.is_err(), "it connects");
    pool.resize(1).unwrap();
    fake.let_through(1);
    tokio::time::sleep(std::time::Duration::from_secs(60)).await;
    assert_eq!((fake.open(), pool.snapshot().idle), (1, 0));
}

#[tokio::test]
async fn a_size_out_of_range_changes_nothing() {
    let pool = Fake::new().pool(sized(2));
    for size in [0, 4_097] {
        let error = pool.resize(size).unwrap_err();
        assert!(matches!(error, ConfigError::OutOfRange { field: "size", .. }), "{error}");
    }
    assert_eq!(pool.snapshot().max_size, 2);
    pool.close();
    pool.resize(4).unwrap();
    assert!(matches!(pool.get().await, Err(PoolError::Closed)));
}
