//! A caller that gives up takes nothing with it: the connect it ordered goes on and serves the next.

use std::time::Duration;

use tokio::{
    task::JoinHandle,
    time::{Instant, timeout},
};
use uschat_pool::{PoolError, Shared, SharedConfig};

use crate::fake::{Fake, Peer, grow, settle, shared_sized};

fn spawn(shared: &Shared<Fake>) -> JoinHandle<Result<usize, PoolError<std::io::Error>>> {
    let shared = shared.clone();
    tokio::spawn(async move { shared.handle().await.map(|handle| handle.number) })
}

#[tokio::test(start_paused = true)]
async fn the_next_caller_gets_what_it_ordered() {
    let fake = Fake::new();
    fake.on_connect(Peer::Gated);
    let shared = fake.shared(shared_sized(4));
    assert!(timeout(Duration::from_millis(1), shared.handle()).await.is_err());
    assert_eq!(shared.snapshot().in_flight, 0);

    let next = spawn(&shared);
    settle().await;
    fake.let_through(1);

    assert_eq!(next.await.unwrap().unwrap(), 1);
    assert_eq!(fake.connects(), 1);
}

#[tokio::test(start_paused = true)]
async fn it_is_made_even_if_nobody_waits_any_more() {
    let fake = Fake::new();
    fake.on_connect(Peer::Gated);
    let shared = fake.shared(shared_sized(4));
    let callers: Vec<_> = (0..10).map(|_| spawn(&shared)).collect();
    settle().await;
    assert_eq!(shared.snapshot().waiting, 9);
    for caller in callers {
        caller.abort();
        assert!(caller.await.unwrap_err().is_cancelled());
    }
    assert_eq!((shared.snapshot().waiting, shared.snapshot().in_flight), (0, 0));

    fake.let_through(1);
    settle().await;

    assert_eq!((shared.snapshot().live, shared.snapshot().in_flight), (1, 0));
    assert_eq!(shared.handle().await.unwrap().number, 1);
}

#[tokio::test(start_paused = true)]
async fn a_failure_that_nobody_waits_for_still_begins_a_pause() {
    let fake = Fake::new();
    fake.on_connect(Peer::Silent);
    let shared = fake.shared(shared_sized(4));
    assert!(timeout(Duration::from_millis(1), shared.handle()).await.is_err());
    tokio::time::sleep(Duration::from_millis(2_001)).await;
    assert!(matches!(shared.handle().await, Err(PoolError::BackingOff { .. })));
    assert_eq!(fake.connects(), 1);
}

#[tokio::test(start_paused = true)]
async fn those_that_wait_for_a_connect_that_fails_are_told_at_once() {
    let fake = Fake::new();
    fake.on_connect(Peer::Silent);
    let config = SharedConfig { create: Duration::from_millis(300), ..shared_sized(4) };
    let shared = fake.shared(config);
    let start = Instant::now();
    let callers: Vec<_> = (0..10).map(|_| spawn(&shared)).collect();
    let mut time_outs = 0;
    for caller in callers {
        match caller.await.unwrap() {
            Err(PoolError::ConnectTimeout { .. }) => time_outs += 1,
            Err(PoolError::BackingOff { .. }) => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((time_outs, fake.connects()), (1, 1));
    assert!(start.elapsed() < Duration::from_millis(310), "{:?}", start.elapsed());
}

/// Callers give up after any number of steps while others break and report what they got.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn at_any_moment() {
    const SIZE: usize = 3;
    let fake = Fake::new();
    let shared = fake.shared(shared_sized(SIZE));
    let tasks: Vec<_> = (0..24)
        .map(|task| {
            let (fake, shared) = (fake.clone(), shared.clone());
            tokio::spawn(async move {
                for round in 0..200 {
                    let patience = async {
                        for _ in 0..(task * 7 + round * 13) % 9 {
                            tokio::task::yield_now().await;
                        }
                    };
                    tokio::select! {
                        biased;
                        handle = shared.handle() => {
                            let handle = handle.unwrap();
                            assert_eq!(fake.most_connecting(), 1);
                            tokio::task::yield_now().await;
                            match (task + round) % 11 {
                                0 => handle.break_it(),
                                1 => handle.broken(),
                                _ => drop(handle),
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
    grow(&shared, SIZE).await;
    let snapshot = shared.snapshot();
    assert_eq!((snapshot.live, snapshot.in_flight, snapshot.waiting, fake.open()), (SIZE, 0, 0, SIZE));
}
