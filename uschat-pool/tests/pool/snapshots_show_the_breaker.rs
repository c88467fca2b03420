//! A health page can tell from a snapshot whether the pool may connect, what went wrong and when the next attempt is due.

use std::time::Duration;

use serde_json::json;
use tokio::time::advance;
use uschat_pool::{BreakerState, FailedStep, PoolConfig};

use crate::fake::{Fake, Peer, settle, shared_sized, sized};

const PAUSE: Duration = Duration::from_millis(400);

#[tokio::test(start_paused = true)]
async fn it_opens_half_opens_and_closes() {
    let fake = Fake::new();
    let pool = fake.pool(PoolConfig { backoff: PAUSE, ..sized(1) });
    assert_eq!(pool.snapshot().breaker, BreakerState::Closed);

    fake.on_connect(Peer::Refuses);
    pool.get().await.unwrap_err();
    let BreakerState::Open { step: FailedStep::Connect, retry_in } = pool.snapshot().breaker else {
        panic!("{:?}", pool.snapshot().breaker);
    };
    assert!((PAUSE / 2..=PAUSE).contains(&retry_in), "{retry_in:?}");
    advance(retry_in).await;
    let due = BreakerState::Open { step: FailedStep::Connect, retry_in: Duration::ZERO };
    assert_eq!(pool.snapshot().breaker, due, "nobody has tried yet");

    fake.on_connect(Peer::Gated);
    let probe = tokio::spawn({
        let pool = pool.clone();
        async move { pool.get().await.map(drop) }
    });
    settle().await;
    assert_eq!(pool.snapshot().breaker, BreakerState::HalfOpen { step: FailedStep::Connect });
    fake.let_through(1);
    probe.await.unwrap().unwrap();
    assert_eq!(pool.snapshot().breaker, BreakerState::Closed);
}

#[tokio::test(start_paused = true)]
async fn shared_connections_show_theirs() {
    let fake = Fake::new();
    let shared = fake.shared(shared_sized(1));
    assert_eq!(shared.snapshot().breaker, BreakerState::Closed);
    fake.on_connect(Peer::Silent);
    shared.handle().await.unwrap_err();
    // The caller's time is over a moment before that of the attempt.
    settle().await;
    assert!(matches!(shared.snapshot().breaker, BreakerState::Open { step: FailedStep::ConnectTimeout, .. }));
}

#[tokio::test(start_paused = true)]
async fn snapshots_are_json() {
    let fake = Fake::new();
    let (pool, shared) = (fake.pool(sized(2)), fake.shared(shared_sized(2)));
    let (_lease, _handle) = (pool.get().await.unwrap(), shared.handle().await.unwrap());
    let expected = json!({
        "name": "fake", "max_size": 2, "size": 1, "idle": 0, "in_use": 1, "waiting": 0,
        "connected_total": 1, "closed_total": 0, "breaker": { "state": "closed" },
    });
    assert_eq!(serde_json::to_value(pool.snapshot()).unwrap(), expected);
    let expected = json!({
        "name": "fake", "size": 2, "live": 1, "in_flight": 1, "waiting": 0,
        "connected_total": 1, "closed_total": 0, "breaker": { "state": "closed" },
    });
    assert_eq!(serde_json::to_value(shared.snapshot()).unwrap(), expected);

    let half_open = BreakerState::HalfOpen { step: FailedStep::Connect };
    assert_eq!(serde_json::to_value(half_open).unwrap(), json!({ "state": "half_open", "step": "connect" }));
}
