//! A set's background task belongs to it: it ends with the last clone, and starts again if its runtime ended.

use std::time::Duration;

use tokio::runtime::{Builder, Handle, Runtime};
use uschat_pool::SharedConfig;

use crate::fake::{Fake, Peer, grow, settle, shared_sized};

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().expect("a runtime of its own")
}

fn tasks() -> usize {
    Handle::current().metrics().num_alive_tasks()
}

#[tokio::test]
async fn with_the_last_clone() {
    let fake = Fake::new();
    let shared = fake.shared(shared_sized(2));
    settle().await;
    assert_eq!(tasks(), 0, "none before it is needed");
    grow(&shared, 2).await;
    let (clone, handle) = (shared.clone(), shared.handle().await.unwrap());
    drop(shared);
    settle().await;
    assert_eq!(tasks(), 1);
    drop(clone);
    settle().await;
    assert_eq!((tasks(), fake.open()), (0, 1), "a handle stays usable");
    handle.broken();
    settle().await;
    assert_eq!((tasks(), fake.open(), fake.connects()), (0, 0, 2));
}

#[tokio::test]
async fn when_it_is_closed() {
    let fake = Fake::new();
    let shared = fake.shared(shared_sized(2));
    let _handle = shared.handle().await.unwrap();
    shared.close();
    settle().await;
    assert_eq!(tasks(), 0);
}

#[tokio::test(start_paused = true)]
async fn with_connects_and_verifications_under_way() {
    let fake = Fake::new();
    let shared = fake.shared(SharedConfig { recycle: Duration::from_secs(60), ..shared_sized(2) });
    fake.on_verify(Peer::Silent);
    let handle = shared.handle().await.unwrap();
    tokio::time::sleep(Duration::from_secs(8)).await;
    fake.on_connect(Peer::Silent);
    let _second = shared.handle().await.unwrap();
    settle().await;
    assert_eq!((fake.verifies(), fake.connects(), tasks()), (1, 2, 3));
    drop((shared, handle, _second));
    settle().await;
    assert_eq!((tasks(), fake.open()), (0, 0));
}

#[test]
fn a_set_outlives_the_runtime_it_began_on() {
    let fake = Fake::new();
    let shared = fake.shared(shared_sized(2));
    let first = runtime();
    drop(first.block_on(shared.handle()).unwrap());
    drop(first);
    runtime().block_on(async {
        shared.handle().await.unwrap().broken();
        assert_eq!(shared.handle().await.unwrap().number, 2);
        grow(&shared, 2).await;
    });
}

#[test]
fn a_connect_that_ends_with_its_runtime_is_ordered_again() {
    let fake = Fake::new();
    let shared = fake.shared(shared_sized(1));
    fake.on_connect(Peer::Silent);
    let first = runtime();
    first.block_on(async {
        assert!(tokio::time::timeout(Duration::from_millis(1), shared.handle()).await.is_err());
    });
    runtime().block_on(async {
        let waiter = tokio::spawn({
            let shared = shared.clone();
            async move { shared.handle().await.map(|handle| handle.number) }
        });
        settle().await;
        assert_eq!(shared.snapshot().waiting, 1);
        fake.on_connect(Peer::Answers);
        first.shutdown_background();
        assert_eq!(waiter.await.unwrap().unwrap(), 2);
    });
}

#[test]
fn a_probe_that_ends_with_its_runtime_is_left_to_the_next_caller() {
    let fake = Fake::new();
    let pause = Duration::from_millis(1);
    let shared = fake.shared(SharedConfig { backoff: pause, max_backoff: pause, ..shared_sized(1) });
    let first = runtime();
    first.block_on(async {
        fake.on_connect(Peer::Refuses);
        let _ = shared.handle().await.unwrap_err();
        fake.on_connect(Peer::Silent);
        tokio::time::sleep(2 * pause).await;
        assert!(tokio::time::timeout(2 * pause, shared.handle()).await.is_err(), "it probes");
    });
    drop(first);
    fake.on_connect(Peer::Answers);
    assert_eq!(runtime().block_on(shared.handle()).unwrap().number, 3);
}
