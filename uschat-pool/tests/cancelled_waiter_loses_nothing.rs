//! A caller that gives up, at whatever step, takes no place and no connection with it.

use std::time::Duration;

use tokio::time::{advance, timeout};

use crate::fake::{Fake, Peer, settle, shared_sized, sized};

mod fake;

#[tokio::test(start_paused = true)]
async fn while_waiting() {
    let fake = Fake::new();
    let pool = fake.pool(sized(1));
    let lease = pool.get().await.unwrap();
    for _ in 0..5 {
        assert!(timeout(Duration::from_millis(10), pool.get()).await.is_err());
    }
    assert_eq!(pool.snapshot().waiting, 0);
    drop(lease);
    assert_eq!(pool.get().await.unwrap().number, 1);
}

#[tokio::test(start_paused = true)]
async fn right_after_the_connection_was_handed_over() {
    let fake = Fake::new();
    let pool = fake.pool(sized(1));
    let lease = pool.get().await.unwrap();
    let waiter = tokio::spawn({
        let pool = pool.clone();
        async move { pool.get().await.map(drop) }
    });
    settle().await;

    // The place goes to the waiter, which is gone before it runs again.
    drop(lease);
    waiter.abort();
    assert!(waiter.await.unwrap_err().is_cancelled());

    assert_eq!(pool.get().await.unwrap().number, 1);
    assert_eq!(pool.snapshot().idle, 1);
}

#[tokio::test(start_paused = true)]
async fn while_connecting() {
    let fake = Fake::new();
    fake.on_connect(Peer::Silent);
    let pool = fake.pool(sized(1));
    assert!(timeout(Duration::from_millis(10), pool.get()).await.is_err());
    fake.on_connect(Peer::Answers);
    assert_eq!(pool.get().await.unwrap().number, 2);
    assert_eq!(pool.snapshot().size, 1);
}

#[tokio::test(start_paused = true)]
async fn while_verifying() {
    let fake = Fake::new();
    let pool = fake.pool(sized(1));
    drop(pool.get().await.unwrap());
    advance(Duration::from_secs(60)).await;
    fake.on_verify(Peer::Silent);
    assert!(timeout(Duration::from_millis(10), pool.get()).await.is_err());
    // Its answer may still arrive, so that connection must not be lent again.
    assert_eq!(fake.open(), 0);
    assert_eq!(pool.get().await.unwrap().number, 2);
    assert_eq!(pool.snapshot().size, 1);
}

#[tokio::test(start_paused = true)]
async fn the_next_waiter_connects_when_the_one_who_did_gives_up() {
    let fake = Fake::new();
    fake.on_connect(Peer::Gated);
    let shared = fake.shared(shared_sized(1));
    let connecting = tokio::spawn({
        let shared = shared.clone();
        async move { shared.handle().await.map(drop) }
    });
    settle().await;
    let waiter = tokio::spawn({
        let shared = shared.clone();
        async move { shared.handle().await.unwrap().number }
    });
    settle().await;
    assert_eq!(shared.snapshot().waiting, 1);

    connecting.abort();
    assert!(connecting.await.unwrap_err().is_cancelled());
    fake.let_through(1);

    assert_eq!(waiter.await.unwrap(), 2);
    let snapshot = shared.snapshot();
    assert_eq!((snapshot.in_flight, snapshot.waiting), (0, 0));
}
