//! With the feature `metrics`, times are recorded for what took time and for nothing else, by step and outcome, and
//! snapshots set the gauges.

use std::time::Duration;

use tokio::{task::JoinHandle, time::advance};
use uschat_pool::{Lease, Pool, PoolConfig, PoolError};

use crate::{
    fake::{Fake, Peer, settle, shared_sized, sized},
    scrape::observed,
};

/// Longer than a connection may rest unverified.
const LONG: Duration = Duration::from_secs(60);

fn waiter(pool: &Pool<Fake>) -> JoinHandle<Result<Lease<Fake>, PoolError<std::io::Error>>> {
    let pool = pool.clone();
    tokio::spawn(async move { pool.get().await })
}

#[test]
fn steady_use_records_one_connect() {
    observed(async |scraper| {
        let pool = Fake::new().pool(sized(1));
        for _ in 0..100 {
            drop(pool.get().await.unwrap());
        }
        assert_eq!(pool.snapshot().idle, 1);
        assert_eq!(scraper.outcomes("connect"), [1, 0, 0]);
        for step in ["wait", "verify", "clean"] {
            assert_eq!(scraper.outcomes(step), [0, 0, 0], "{step}");
        }
        assert_eq!(["idle", "in_use", "waiting"].map(|state| scraper.connections(state)), [Some(1), Some(0), Some(0)]);
        assert_eq!(scraper.value("uschat_pool_max_connections", ""), Some(1));
    });
}

#[test]
fn waits_end_in_three_ways() {
    observed(async |scraper| {
        let pool = Fake::new().pool(PoolConfig { wait: Duration::from_secs(1), ..sized(1) });
        let lease = pool.get().await.unwrap();
        assert!(matches!(pool.get().await, Err(PoolError::Wait { .. })));

        let served = waiter(&pool);
        settle().await;
        drop(lease);
        let lease = served.await.unwrap().unwrap();

        let served = waiter(&pool);
        settle().await;
        lease.discard();
        let lease = served.await.unwrap().unwrap();

        let closed = waiter(&pool);
        settle().await;
        pool.close();
        assert!(matches!(closed.await.unwrap(), Err(PoolError::Closed)));
        drop(lease);
        assert_eq!(scraper.outcomes("wait"), [2, 1, 1]);
    });
}

#[test]
fn connects_end_in_three_ways() {
    observed(async |scraper| {
        let fake = Fake::new();
        let pool = fake.pool(sized(1));
        for (peer, outcomes) in [(Peer::Refuses, [0, 1, 0]), (Peer::Silent, [0, 1, 1]), (Peer::Answers, [1, 1, 1])] {
            fake.on_connect(peer);
            let _ = pool.get().await;
            settle().await;
            assert_eq!(scraper.outcomes("connect"), outcomes);
            advance(LONG).await;
        }
    });
}

#[test]
fn verifications_end_in_three_ways() {
    observed(async |scraper| {
        let fake = Fake::new();
        let pool = fake.pool(sized(1));
        drop(pool.get().await.unwrap());
        for (peer, outcomes) in [(Peer::Answers, [1, 0, 0]), (Peer::Refuses, [1, 1, 0]), (Peer::Silent, [1, 1, 1])] {
            advance(LONG).await;
            fake.on_verify(peer);
            drop(pool.get().await.unwrap());
            assert_eq!(scraper.outcomes("verify"), outcomes);
        }
    });
}

#[test]
fn cleanings_end_in_three_ways() {
    observed(async |scraper| {
        let fake = Fake::new();
        let pool = fake.pool(sized(1));
        for (peer, outcomes) in [(Peer::Answers, [1, 0, 0]), (Peer::Refuses, [1, 1, 0]), (Peer::Silent, [1, 1, 1])] {
            fake.on_clean(peer);
            let lease = pool.get().await.unwrap();
            lease.soil();
            drop(lease);
            drop(pool.get().await.unwrap());
            assert_eq!(scraper.outcomes("clean"), outcomes);
        }
    });
}

#[test]
fn shared_connections_report_as_well() {
    observed(async |scraper| {
        let shared = Fake::new().shared(shared_sized(2));
        let _handle = shared.handle().await.unwrap();
        assert_eq!(shared.snapshot().live, 1);
        assert_eq!(scraper.outcomes("connect"), [1, 0, 0]);
        assert_eq!(scraper.connections("live"), Some(1));
        assert_eq!(scraper.connections("in_flight"), Some(1));
        assert_eq!(scraper.connections("waiting"), Some(0));
        assert_eq!(scraper.value("uschat_pool_max_connections", ""), Some(2));
    });
}
