//! After `close` nobody gets a connection, nobody waits on, and none stays open.

use tokio::time::Instant;
use uschat_pool::PoolError;

use crate::fake::{Fake, Peer, settle, sized};

#[tokio::test(start_paused = true)]
async fn waiters_and_later_callers_fail() {
    let fake = Fake::new();
    let pool = fake.pool(sized(2));
    let (idle, lent) = (pool.get().await.unwrap(), pool.get().await.unwrap());
    let waiter = tokio::spawn({
        let pool = pool.clone();
        async move { pool.get().await.map(drop) }
    });
    settle().await;
    let start = Instant::now();

    pool.close();

    assert!(matches!(waiter.await.unwrap(), Err(PoolError::Closed)));
    assert!(matches!(pool.get().await, Err(PoolError::Closed)));
    assert_eq!(start.elapsed().as_millis(), 0);
    drop(idle);
    assert_eq!(fake.open(), 1, "a lent connection stays usable");
    drop(lent);
    assert_eq!(fake.open(), 0);
    assert!(!PoolError::<std::io::Error>::Closed.may_pass());
}

#[tokio::test(start_paused = true)]
async fn idle_connections_are_dropped_at_once() {
    let fake = Fake::new();
    let pool = fake.pool(sized(3));
    drop((pool.get().await.unwrap(), pool.get().await.unwrap()));
    assert_eq!(fake.open(), 2);
    pool.close();
    assert_eq!(fake.open(), 0);
    assert_eq!(pool.snapshot().size, 0);
}

#[tokio::test(start_paused = true)]
async fn a_connect_that_ends_after_the_close_is_not_lent() {
    let fake = Fake::new();
    fake.on_connect(Peer::Gated);
    let pool = fake.pool(sized(1));
    let connecting = tokio::spawn({
        let pool = pool.clone();
        async move { pool.get().await.map(drop) }
    });
    settle().await;

    pool.close();
    fake.let_through(1);

    assert!(matches!(connecting.await.unwrap(), Err(PoolError::Closed)));
    assert_eq!(fake.open(), 0);
}
