//! A panic in the manager costs an attempt like a failure: nobody hangs, and the set goes on.

use std::time::Duration;

use tokio::time::{Instant, advance, sleep};
use uschat_pool::{FailedStep, PoolError};

use crate::fake::{Fake, Peer, shared_sized};

#[tokio::test(start_paused = true)]
async fn while_connecting() {
    let fake = Fake::new();
    fake.on_connect(Peer::Panics);
    let shared = fake.shared(shared_sized(2));
    let start = Instant::now();
    let callers: Vec<_> = (0..10)
        .map(|_| {
            let shared = shared.clone();
            tokio::spawn(async move { shared.handle().await.map(drop) })
        })
        .collect();
    for caller in callers {
        let outcome = caller.await.unwrap();
        assert!(matches!(outcome, Err(PoolError::BackingOff { step: FailedStep::Connect, .. })), "{outcome:?}");
    }
    assert_eq!((start.elapsed(), fake.connects()), (Duration::ZERO, 1));
    fake.on_connect(Peer::Answers);
    advance(Duration::from_millis(100)).await;
    assert_eq!(shared.handle().await.unwrap().number, 2);
}

#[tokio::test(start_paused = true)]
async fn while_verifying() {
    let fake = Fake::new();
    fake.on_verify(Peer::Panics);
    let shared = fake.shared(shared_sized(1));
    let _stuck = shared.handle().await.unwrap();
    sleep(Duration::from_secs(8)).await;
    assert_eq!(fake.verifies(), 1);
    fake.on_verify(Peer::Refuses);
    sleep(Duration::from_secs(8)).await;
    assert_eq!(shared.handle().await.unwrap().number, 2, "it still looks");
}
