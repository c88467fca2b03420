//! Closing a set ends every wait for a connection at once, and the connect under way with it.

use std::time::Duration;

use tokio::time::Instant;
use uschat_pool::PoolError;

use crate::fake::{Fake, Peer, settle, shared_sized};

#[tokio::test(start_paused = true)]
async fn whoever_waits_or_comes_later() {
    let fake = Fake::new();
    fake.on_connect(Peer::Silent);
    let shared = fake.shared(shared_sized(2));
    let callers: Vec<_> = (0..10)
        .map(|_| {
            let shared = shared.clone();
            tokio::spawn(async move { shared.handle().await.map(drop) })
        })
        .collect();
    settle().await;
    let start = Instant::now();

    shared.close();

    for caller in callers {
        assert!(matches!(caller.await.unwrap(), Err(PoolError::Closed)));
    }
    assert!(matches!(shared.handle().await, Err(PoolError::Closed)));
    assert_eq!((start.elapsed(), fake.connects(), shared.snapshot().in_flight), (Duration::ZERO, 1, 0));
}

/// The task that connects belongs to a runtime that stands still.
#[test]
fn at_once_even_if_upkeep_does_not_run() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime of its own");
    let fake = Fake::new();
    fake.on_connect(Peer::Silent);
    let shared = fake.shared(shared_sized(1));
    let first = runtime();
    first.block_on(async {
        assert!(tokio::time::timeout(Duration::from_millis(1), shared.handle()).await.is_err());
    });
    runtime().block_on(async {
        let waiter = tokio::spawn({
            let shared = shared.clone();
            async move { shared.handle().await.map(drop) }
        });
        settle().await;
        assert_eq!(shared.snapshot().waiting, 1);
        shared.close();
        assert!(matches!(waiter.await.unwrap(), Err(PoolError::Closed)));
    });
}

#[tokio::test]
async fn connections_end_with_their_handles() {
    let fake = Fake::new();
    let shared = fake.shared(shared_sized(2));
    let handle = shared.handle().await.unwrap();
    shared.close();
    assert_eq!((shared.snapshot().live, shared.snapshot().in_flight, fake.open()), (0, 1, 1));
    handle.broken();
    settle().await;
    assert_eq!((fake.open(), fake.connects()), (0, 1), "nothing is replaced any more");
}
