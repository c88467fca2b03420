//! Every caller gets the connection with the fewest handles in use, and no more are made than needed.

use std::collections::HashMap;

use uschat_pool::{Handle, PoolError};

use crate::fake::{Fake, Peer, grow, settle, shared_sized};

fn per_connection(handles: &[Handle<Fake>]) -> HashMap<usize, usize> {
    let mut counts = HashMap::new();
    for handle in handles {
        *counts.entry(handle.number).or_insert(0) += 1;
    }
    counts
}

#[tokio::test]
async fn one_call_at_a_time_needs_one_connection() {
    let fake = Fake::new();
    let shared = fake.shared(shared_sized(4));
    for _ in 0..10 {
        assert_eq!(shared.handle().await.unwrap().number, 1);
    }
    assert_eq!(fake.connects(), 1);
}

#[tokio::test]
async fn calls_at_the_same_time_are_spread_evenly() {
    let fake = Fake::new();
    let shared = fake.shared(shared_sized(4));
    grow(&shared, 4).await;
    let mut handles = Vec::new();
    for _ in 0..12 {
        handles.push(shared.handle().await.unwrap());
    }
    assert_eq!(per_connection(&handles), HashMap::from([(1, 3), (2, 3), (3, 3), (4, 3)]));
    assert_eq!(shared.snapshot().in_flight, 12);

    // Two of one connection end: the next two calls go there.
    let (ended, handles): (Vec<_>, Vec<_>) = handles.into_iter().partition(|handle| handle.number == 3);
    drop(ended);
    let (a, b) = (shared.handle().await.unwrap(), shared.handle().await.unwrap());
    assert_eq!((a.number, b.number), (3, 3));
    drop((a, b, handles));
    assert_eq!(shared.snapshot().in_flight, 0);
}

#[tokio::test]
async fn one_more_is_made_when_the_least_loaded_is_in_use() {
    let fake = Fake::new();
    let shared = fake.shared(shared_sized(3));
    let mut handles = vec![shared.handle().await.unwrap()];
    settle().await;
    assert_eq!(fake.connects(), 1, "nobody shares it");
    for (in_use, connects) in [(2, 2), (3, 2), (4, 3), (12, 3)] {
        while handles.len() < in_use {
            handles.push(shared.handle().await.unwrap());
        }
        settle().await;
        assert_eq!(fake.connects(), connects, "{in_use} in use");
    }
}

#[tokio::test(start_paused = true)]
async fn one_connect_at_a_time_serves_all_that_wait() {
    let fake = Fake::new();
    fake.on_connect(Peer::Gated);
    let shared = fake.shared(shared_sized(2));
    let callers: Vec<_> = (0..10)
        .map(|_| {
            let shared = shared.clone();
            tokio::spawn(async move { shared.handle().await.unwrap() })
        })
        .collect();
    settle().await;
    assert_eq!((fake.connects(), shared.snapshot().waiting, shared.snapshot().in_flight), (1, 9, 10));

    fake.let_through(1);

    let mut handles = Vec::new();
    for caller in callers {
        handles.push(caller.await.unwrap());
    }
    assert_eq!(per_connection(&handles), HashMap::from([(1, 10)]));
    assert_eq!((shared.snapshot().waiting, shared.snapshot().in_flight), (0, 10));
    fake.let_through(1);
    settle().await;
    assert_eq!((shared.snapshot().live, fake.most_connecting()), (2, 1), "and they asked for one more");
}

#[tokio::test(start_paused = true)]
async fn no_call_that_a_live_connection_can_serve_waits_for_another() {
    for peer in [Peer::Gated, Peer::Silent, Peer::Refuses, Peer::Panics] {
        let fake = Fake::new();
        let shared = fake.shared(shared_sized(4));
        let mut handles = vec![shared.handle().await.unwrap()];
        fake.on_connect(peer);
        let start = tokio::time::Instant::now();
        for _ in 0..20 {
            handles.push(shared.handle().await.unwrap());
            settle().await;
        }
        assert_eq!((start.elapsed().as_millis(), fake.connects()), (0, 2));
        assert_eq!(per_connection(&handles), HashMap::from([(1, 21)]));
    }
}

#[tokio::test(start_paused = true)]
async fn callers_that_wait_for_a_connect_are_bounded_in_number_and_time() {
    let fake = Fake::new();
    fake.on_connect(Peer::Silent);
    let config =
        uschat_pool::SharedConfig { wait: std::time::Duration::from_millis(500), max_waiters: 1, ..shared_sized(1) };
    let shared = fake.shared(config);
    let spawn = || {
        let shared = shared.clone();
        tokio::spawn(async move { shared.handle().await.map(drop) })
    };
    let connecting = spawn();
    settle().await;
    let waiting = spawn();
    settle().await;

    assert!(matches!(shared.handle().await, Err(PoolError::Exhausted { waiting: 1, max: 1 })));
    assert!(matches!(waiting.await.unwrap(), Err(PoolError::Wait { .. })));
    assert!(matches!(connecting.await.unwrap(), Err(PoolError::ConnectTimeout { .. })));
    assert_eq!(shared.snapshot().in_flight, 0);
}
