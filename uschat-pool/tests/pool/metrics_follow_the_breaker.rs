//! With the feature `metrics`, a gauge shows the state of the breaker when it changes, without a snapshot.

use std::time::Duration;

use tokio::time::advance;
use uschat_pool::{PoolConfig, SharedConfig};

use crate::{
    fake::{Fake, Peer, settle, shared_sized, sized},
    scrape::observed,
};

const PAUSE: Duration = Duration::from_millis(400);

#[test]
fn of_a_pool() {
    observed(async |scraper| {
        let fake = Fake::new();
        let pool = fake.pool(PoolConfig { backoff: PAUSE, ..sized(1) });
        assert_eq!(scraper.breaker(), 0);
        fake.on_connect(Peer::Refuses);
        pool.get().await.unwrap_err();
        assert_eq!(scraper.breaker(), 2);
        advance(PAUSE).await;
        fake.on_connect(Peer::Gated);
        let probe = tokio::spawn(async move { pool.get().await.map(drop) });
        settle().await;
        assert_eq!(scraper.breaker(), 1);
        fake.let_through(1);
        probe.await.unwrap().unwrap();
        assert_eq!(scraper.breaker(), 0);
    });
}

#[test]
fn of_shared_connections() {
    observed(async |scraper| {
        let fake = Fake::new();
        let shared = fake.shared(SharedConfig { backoff: PAUSE, ..shared_sized(1) });
        fake.on_connect(Peer::Refuses);
        shared.handle().await.unwrap_err();
        assert_eq!(scraper.breaker(), 2);
        advance(PAUSE).await;
        fake.on_connect(Peer::Answers);
        drop(shared.handle().await.unwrap());
        assert_eq!(scraper.breaker(), 0);
    });
}
