//! What is discarded, broken or cannot be cleaned never reaches another user.

use std::time::Duration;

use uschat_pool::PoolConfig;

use crate::fake::{Fake, Peer, settle, sized};

#[tokio::test]
async fn a_discarded_lease_frees_its_place_for_a_new_connection() {
    let fake = Fake::new();
    let pool = fake.pool(sized(1));
    let lease = pool.get().await.unwrap();
    let waiter = tokio::spawn({
        let pool = pool.clone();
        async move { pool.get().await.unwrap().number }
    });
    tokio::task::yield_now().await;
    lease.discard();
    assert_eq!(waiter.await.unwrap(), 2);
    assert_eq!(fake.open(), 1);
}

#[tokio::test]
async fn a_connection_taken_out_lives_on_and_leaves_its_place() {
    let fake = Fake::new();
    let pool = fake.pool(sized(1));
    let kept = pool.get().await.unwrap().into_connection();
    assert_eq!(pool.get().await.unwrap().number, 2);
    assert_eq!((kept.number, fake.open()), (1, 2));
}

#[tokio::test]
async fn a_broken_connection_is_dropped_when_given_back() {
    let fake = Fake::new();
    let pool = fake.pool(sized(1));
    let lease = pool.get().await.unwrap();
    lease.break_it();
    drop(lease);
    assert_eq!((fake.open(), pool.snapshot().size), (0, 0));
}

#[tokio::test]
async fn a_connection_that_breaks_while_idle_is_replaced() {
    let fake = Fake::new();
    let pool = fake.pool(sized(1));
    let lease = pool.get().await.unwrap();
    let broken = std::sync::Arc::clone(&lease.broken);
    drop(lease);
    broken.store(true, std::sync::atomic::Ordering::SeqCst);
    assert_eq!(pool.get().await.unwrap().number, 2);
}

#[tokio::test(start_paused = true)]
async fn a_dirty_connection_is_cleaned_before_it_is_idle() {
    let fake = Fake::new();
    fake.on_clean(Peer::Gated);
    let pool = fake.pool(sized(1));
    let lease = pool.get().await.unwrap();
    lease.soil();
    drop(lease);
    settle().await;
    let snapshot = pool.snapshot();
    assert_eq!((snapshot.idle, snapshot.in_use), (0, 1));

    fake.let_through(1);

    let lease = pool.get().await.unwrap();
    assert_eq!((lease.number, fake.cleans()), (1, 1));
    assert!(!lease.dirty.load(std::sync::atomic::Ordering::SeqCst));
}

#[tokio::test(start_paused = true)]
async fn one_that_cannot_be_cleaned_in_time_is_replaced() {
    for peer in [Peer::Refuses, Peer::Silent] {
        let fake = Fake::new();
        fake.on_clean(peer);
        let pool = fake.pool(PoolConfig { recycle: Duration::from_millis(200), ..sized(1) });
        let lease = pool.get().await.unwrap();
        lease.soil();
        drop(lease);
        assert_eq!(pool.get().await.unwrap().number, 2);
        assert_eq!(fake.open(), 1);
    }
}

#[test]
fn a_dirty_lease_that_outlives_its_runtime_is_dropped() {
    let fake = Fake::new();
    let pool = fake.pool(sized(1));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let lease = runtime.block_on(pool.get()).unwrap();
    lease.soil();
    drop(runtime);
    drop(lease);
    assert_eq!((fake.open(), fake.cleans()), (0, 0));
}

#[test]
fn cleaning_cut_short_by_the_end_of_the_runtime_drops_the_connection() {
    let fake = Fake::new();
    fake.on_clean(Peer::Silent);
    let pool = fake.pool(sized(1));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let lease = pool.get().await.unwrap();
        lease.soil();
        drop(lease);
        settle().await;
        assert_eq!(fake.cleans(), 1);
    });
    drop(runtime);
    assert_eq!((fake.open(), pool.snapshot().size), (0, 0));
}
