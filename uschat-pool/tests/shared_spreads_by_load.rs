//! Every caller gets the connection with the fewest handles in use, and no more are made than needed.

use std::collections::HashMap;

use uschat_pool::{Handle, PoolError};

use crate::fake::{Fake, Peer, settle, shared_sized};

mod fake;

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

#[tokio::test(start_paused = true)]
async fn each_place_is_connected_by_one_caller_while_the_others_wait() {
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
    assert_eq!((fake.connects(), shared.snapshot().waiting), (2, 8));

    fake.let_through(2);

    let mut handles = Vec::new();
    for caller in callers {
        handles.push(caller.await.unwrap());
    }
    assert_eq!((fake.connects(), fake.most_connecting()), (2, 2));
    assert_eq!(per_connection(&handles), HashMap::from([(1, 5), (2, 5)]));
    assert_eq!(shared.snapshot().in_flight, 10);
}

#[tokio::test(start_paused = true)]
async fn a_busy_place_does_not_hold_up_calls_that_a_live_connection_can_serve() {
    let fake = Fake::new();
    let shared = fake.shared(shared_sized(2));
    let _first = shared.handle().await.unwrap();
    fake.on_connect(Peer::Gated);
    let connecting = tokio::spawn({
        let shared = shared.clone();
        async move { shared.handle().await.map(drop) }
    });
    settle().await;

    let start = tokio::time::Instant::now();
    let handles = [shared.handle().await.unwrap(), shared.handle().await.unwrap()];
    assert!(handles.iter().all(|handle| handle.number == 1));
    assert_eq!(start.elapsed().as_millis(), 0);

    fake.let_through(1);
    connecting.await.unwrap().unwrap();
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
