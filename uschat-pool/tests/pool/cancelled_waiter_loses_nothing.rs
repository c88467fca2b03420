//! A caller that gives up, at whatever step, takes no place and no connection with it.

use std::time::Duration;

use tokio::time::{advance, timeout};

use crate::fake::{Fake, Peer, settle, sized};

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
    fake.on_connect(Peer::Gated);
    let pool = fake.pool(sized(1));
    assert!(timeout(Duration::from_millis(10), pool.get()).await.is_err());

    // The connect goes on, and serves whoever comes next.
    fake.let_through(1);
    assert_eq!(pool.get().await.unwrap().number, 1);
    assert_eq!((fake.connects(), pool.snapshot().size), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn right_after_the_new_connection_was_handed_over() {
    let fake = Fake::new();
    fake.on_connect(Peer::Gated);
    let pool = fake.pool(sized(1));
    let caller = tokio::spawn({
        let pool = pool.clone();
        async move { pool.get().await.map(drop) }
    });
    settle().await;
    fake.let_through(1);
    // One step at a time until upkeep has the connection: some of these aborts come before the caller runs again.
    while fake.open() == 0 {
        tokio::task::yield_now().await;
    }
    tokio::task::yield_now().await;
    caller.abort();
    let _ = caller.await;

    settle().await;
    let snapshot = pool.snapshot();
    assert_eq!((snapshot.size, snapshot.idle), (1, 1));
    assert_eq!(pool.get().await.unwrap().number, 1);
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

/// Callers give up after any number of steps while others break, soil and discard what they got.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn at_any_moment() {
    const SIZE: usize = 3;
    let fake = Fake::new();
    let pool = fake.pool(sized(SIZE));
    let tasks: Vec<_> = (0..24)
        .map(|task| {
            let (fake, pool) = (fake.clone(), pool.clone());
            tokio::spawn(async move {
                for round in 0..200 {
                    let patience = async {
                        for _ in 0..(task * 7 + round * 13) % 9 {
                            tokio::task::yield_now().await;
                        }
                    };
                    tokio::select! {
                        biased;
                        lease = pool.get() => {
                            let lease = lease.unwrap();
                            assert!(fake.open() <= SIZE);
                            tokio::task::yield_now().await;
                            match (task + round) % 11 {
                                0 => lease.break_it(),
                                1 => lease.soil(),
                                2 => lease.discard(),
                                _ => drop(lease),
                            }
                        }
                        () = patience => {}
                    }
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let mut leases = Vec::new();
    for _ in 0..SIZE {
        leases.push(pool.get().await.unwrap());
    }
    let snapshot = pool.snapshot();
    assert_eq!((snapshot.in_use, snapshot.idle, snapshot.waiting, fake.open()), (SIZE, 0, 0, SIZE));
}
