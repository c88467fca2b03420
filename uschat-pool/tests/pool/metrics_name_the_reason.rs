//! With the feature `metrics`, every connection that leaves a pool and every caller that is refused is counted with the
//! reason; the snapshot counts the same without it.

use std::time::Duration;

use tokio::time::advance;
use uschat_pool::{Pool, PoolConfig, PoolError, SharedConfig};

use crate::{
    fake::{Fake, Peer, settle, shared_sized, sized},
    scrape::{Scraper, observed},
};

const REASONS: [&str; 9] =
    ["broken", "lifetime", "idle", "unverified", "unclean", "surplus", "discarded", "taken", "shutdown"];

/// Those that left, with the reason, as far as there are any.
fn closed(scraper: &Scraper) -> Vec<(&'static str, u64)> {
    let counts = REASONS.map(|reason| (reason, scraper.closed(reason)));
    counts.into_iter().filter(|(_, count)| *count > 0).collect()
}

async fn shut_down(pool: Pool<Fake>, scraper: &Scraper, expected: &[(&str, u64)]) {
    assert_eq!(closed(scraper), expected);
    let snapshot = pool.snapshot();
    assert_eq!(snapshot.closed_total, expected.iter().map(|(_, count)| count).sum::<u64>());
    assert_eq!(snapshot.connected_total - snapshot.closed_total, snapshot.size as u64);
    drop(pool.get().await.unwrap());
    pool.close();
    assert_eq!(scraper.closed("shutdown"), 1);
    assert_eq!(pool.snapshot().connected_total, pool.snapshot().closed_total);
}

#[test]
fn users_end_them() {
    observed(async |scraper| {
        let pool = Fake::new().pool(sized(1));
        pool.get().await.unwrap().discard();
        drop(pool.get().await.unwrap().into_connection());
        let lease = pool.get().await.unwrap();
        lease.break_it();
        drop(lease);
        shut_down(pool, &scraper, &[("broken", 1), ("discarded", 1), ("taken", 1)]).await;
    });
}

#[test]
fn time_ends_them() {
    observed(async |scraper| {
        let (idle, lifetime) = (Duration::from_secs(60), Duration::from_secs(100));
        let pool = Fake::new().pool(PoolConfig { max_idle: idle, max_lifetime: lifetime, min_idle: 1, ..sized(2) });
        settle().await;
        let two = (pool.get().await.unwrap(), pool.get().await.unwrap());
        drop(two);
        advance(idle + idle / 8).await;
        settle().await;
        assert_eq!(closed(&scraper), [("idle", 1)]);
        advance(lifetime - idle).await;
        settle().await;
        shut_down(pool, &scraper, &[("lifetime", 1), ("idle", 1)]).await;
    });
}

#[test]
fn tests_end_them() {
    observed(async |scraper| {
        let fake = Fake::new();
        let pool = fake.pool(sized(1));
        drop(pool.get().await.unwrap());
        advance(Duration::from_secs(60)).await;
        fake.on_verify(Peer::Refuses);
        let lease = pool.get().await.unwrap();
        fake.on_clean(Peer::Refuses);
        lease.soil();
        drop(lease);
        settle().await;
        shut_down(pool, &scraper, &[("unverified", 1), ("unclean", 1)]).await;
    });
}

#[test]
fn a_resize_ends_those_at_rest_and_those_lent() {
    observed(async |scraper| {
        let pool = Fake::new().pool(sized(3));
        let [first, second, third] = [pool.get().await, pool.get().await, pool.get().await].map(Result::unwrap);
        drop(first);
        pool.resize(1).unwrap();
        assert_eq!(closed(&scraper), [("surplus", 1)]);
        drop(second);
        drop(third);
        shut_down(pool, &scraper, &[("surplus", 2)]).await;
    });
}

#[test]
fn refusals_that_took_no_time_are_counted() {
    observed(async |scraper| {
        let fake = Fake::new();
        let none_waits = fake.pool(PoolConfig { wait: Duration::ZERO, ..sized(1) });
        let _lease = none_waits.get().await.unwrap();
        assert!(matches!(none_waits.get().await, Err(PoolError::Wait { .. })));
        assert_eq!(["full", "exhausted", "backing_off"].map(|reason| scraper.refused(reason)), [1, 0, 0]);

        let pool = fake.pool(PoolConfig { max_waiters: 0, ..sized(1) });
        let _lease = pool.get().await.unwrap();
        assert!(matches!(pool.get().await, Err(PoolError::Exhausted { .. })));
        assert_eq!(["full", "exhausted", "backing_off"].map(|reason| scraper.refused(reason)), [1, 1, 0]);

        fake.on_connect(Peer::Refuses);
        let pool = fake.pool(sized(1));
        assert!(matches!(pool.get().await, Err(PoolError::Connect(_))));
        assert!(matches!(pool.get().await, Err(PoolError::BackingOff { .. })));
        assert_eq!(["full", "exhausted", "backing_off"].map(|reason| scraper.refused(reason)), [1, 1, 1]);

        let shared = fake.shared(shared_sized(1));
        assert!(matches!(shared.handle().await, Err(PoolError::Connect(_))));
        assert!(matches!(shared.handle().await, Err(PoolError::BackingOff { .. })));
        assert_eq!(["full", "exhausted", "backing_off"].map(|reason| scraper.refused(reason)), [1, 1, 2]);
    });
}

#[test]
fn shared_connections_are_counted_too() {
    observed(async |scraper| {
        let shared = Fake::new().shared(SharedConfig { size: 1, ..SharedConfig::default() });
        shared.handle().await.unwrap().broken();
        let handle = shared.handle().await.unwrap();
        handle.break_it();
        drop(handle);
        drop(shared.handle().await.unwrap());
        assert_eq!(closed(&scraper), [("broken", 2)]);
        shared.close();
        assert_eq!(closed(&scraper), [("broken", 2), ("shutdown", 1)]);
        let snapshot = shared.snapshot();
        assert_eq!((snapshot.connected_total, snapshot.closed_total), (3, 3));
    });
}
