//! A pool's background task belongs to it: it ends with the last clone, and starts again if its runtime ended.

use std::time::Duration;

use tokio::runtime::{Builder, Handle, Runtime};
use uschat_pool::{PoolConfig, PoolError};

use crate::fake::{Fake, Peer, settle, sized};

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().expect("a runtime of its own")
}

#[tokio::test]
async fn with_the_last_clone() {
    let fake = Fake::new();
    let tasks = || Handle::current().metrics().num_alive_tasks();
    let before = tasks();
    let pool = fake.pool(PoolConfig { min_idle: 2, ..sized(4) });
    settle().await;
    let (clone, lease) = (pool.clone(), pool.get().await.unwrap());
    assert_eq!(tasks(), before + 1);
    drop(pool);
    settle().await;
    assert_eq!(tasks(), before + 1);
    drop(clone);
    settle().await;
    assert_eq!((tasks(), fake.open()), (before, 1), "a lease stays usable");
    lease.soil();
    drop(lease);
    assert_eq!((fake.open(), fake.cleans()), (0, 0));
}

#[tokio::test]
async fn with_connects_and_cleanings_under_way() {
    let fake = Fake::new();
    let pool = fake.pool(sized(4));
    let lease = pool.get().await.unwrap();
    fake.on_clean(Peer::Silent);
    lease.soil();
    drop(lease);
    fake.on_connect(Peer::Silent);
    assert!(tokio::time::timeout(Duration::from_millis(1), pool.get()).await.is_err());
    drop(pool);
    settle().await;
    assert_eq!((fake.open(), Handle::current().metrics().num_alive_tasks()), (0, 0));
}

#[test]
fn a_pool_outlives_the_runtime_it_began_on() {
    let fake = Fake::new();
    let pool = fake.pool(PoolConfig { wait: Duration::from_millis(20), ..sized(1) });
    let first = runtime();
    drop(first.block_on(pool.get()).unwrap());
    drop(first);
    runtime().block_on(async {
        let lease = pool.get().await.unwrap();
        assert!(matches!(pool.get().await, Err(PoolError::Wait { .. })));
        lease.soil();
        drop(lease);
        assert_eq!(pool.get().await.unwrap().number, 1);
        assert_eq!(fake.cleans(), 1);
        pool.get().await.unwrap().discard();
        assert_eq!(pool.get().await.unwrap().number, 2);
    });
}

#[test]
fn callers_that_wait_are_still_turned_away_in_time_when_the_runtime_of_upkeep_ends() {
    let fake = Fake::new();
    let pool = fake.pool(PoolConfig { wait: Duration::from_millis(50), ..sized(1) });
    let first = runtime();
    let lease = first.block_on(pool.get()).unwrap();
    runtime().block_on(async {
        let waiter = tokio::spawn({
            let pool = pool.clone();
            async move { pool.get().await.map(drop) }
        });
        settle().await;
        assert_eq!(pool.snapshot().waiting, 1);
        first.shutdown_background();
        assert!(matches!(waiter.await.unwrap(), Err(PoolError::Wait { .. })));
    });
    drop(lease);
}

#[test]
fn a_probe_that_ends_with_its_runtime_is_left_to_the_next_caller() {
    let fake = Fake::new();
    let pause = Duration::from_millis(1);
    let pool = fake.pool(PoolConfig { backoff: pause, max_backoff: pause, ..sized(1) });
    let first = runtime();
    first.block_on(async {
        fake.on_connect(Peer::Refuses);
        let _ = pool.get().await.unwrap_err();
        fake.on_connect(Peer::Silent);
        tokio::time::sleep(2 * pause).await;
        assert!(tokio::time::timeout(2 * pause, pool.get()).await.is_err(), "it probes");
    });
    drop(first);
    fake.on_connect(Peer::Answers);
    assert_eq!(runtime().block_on(pool.get()).unwrap().number, 3);
}
