//! A peer that refuses is asked at growing intervals; calls in between fail at once and say why.

use std::time::Duration;

use tokio::time::{Instant, advance};
use uschat_pool::{FailedStep, PoolError, SharedConfig};

use crate::fake::{Fake, Peer, settle, shared_sized};

#[tokio::test(start_paused = true)]
async fn calls_during_a_pause_fail_at_once_with_the_failed_step() {
    let fake = Fake::new();
    let shared = fake.shared(shared_sized(1));
    fake.on_connect(Peer::Refuses);
    assert!(matches!(shared.handle().await, Err(PoolError::Connect(_))));

    let start = Instant::now();
    let error = shared.handle().await.unwrap_err();

    assert_eq!(start.elapsed(), Duration::ZERO);
    assert!(matches!(error, PoolError::BackingOff { step: FailedStep::Connect, .. }), "{error}");
    assert_eq!(fake.connects(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_silent_peer_is_named_as_such() {
    let fake = Fake::new();
    let shared = fake.shared(shared_sized(1));
    fake.on_connect(Peer::Silent);
    assert!(matches!(shared.handle().await, Err(PoolError::ConnectTimeout { .. })));
    let error = shared.handle().await.unwrap_err();
    assert!(matches!(error, PoolError::BackingOff { step: FailedStep::ConnectTimeout, .. }), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_dead_peer_is_asked_ever_more_rarely() {
    let fake = Fake::new();
    let shared = fake.shared(SharedConfig { max_backoff: Duration::from_secs(5), ..shared_sized(1) });
    fake.on_connect(Peer::Refuses);
    let mut attempts_per_minute = Vec::new();
    for _ in 0..2 {
        let before = fake.connects();
        for _ in 0..6_000 {
            assert!(shared.handle().await.is_err());
            advance(Duration::from_millis(10)).await;
        }
        attempts_per_minute.push(fake.connects() - before);
    }
    // Pauses of 0.1, 0.2 ... 3.2, then 5 s, each between half and all of it.
    assert!((15..=34).contains(&attempts_per_minute[0]), "{attempts_per_minute:?}");
    assert!((12..=25).contains(&attempts_per_minute[1]), "{attempts_per_minute:?}");
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_is_back_is_used_after_the_pause_and_its_past_forgotten() {
    let fake = Fake::new();
    let shared = fake.shared(shared_sized(1));
    fake.on_connect(Peer::Refuses);
    for _ in 0..4 {
        let _ = shared.handle().await.unwrap_err();
        advance(Duration::from_secs(5)).await;
    }
    fake.on_connect(Peer::Answers);
    shared.handle().await.unwrap().broken();

    fake.on_connect(Peer::Refuses);
    let _ = shared.handle().await.unwrap_err();
    match shared.handle().await.unwrap_err() {
        PoolError::BackingOff { retry_in, .. } => assert!(retry_in <= Duration::from_millis(100)),
        other => panic!("{other}"),
    }
}

#[tokio::test(start_paused = true)]
async fn one_call_makes_one_attempt_whatever_the_number_of_places() {
    let fake = Fake::new();
    let shared = fake.shared(shared_sized(4));
    fake.on_connect(Peer::Silent);
    let start = Instant::now();
    assert!(matches!(shared.handle().await, Err(PoolError::ConnectTimeout { .. })));
    assert_eq!(fake.connects(), 1);
    assert!(start.elapsed() < Duration::from_millis(2_010), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_callers_cost_one_attempt_a_pause() {
    let fake = Fake::new();
    let shared = fake.shared(shared_sized(4));
    fake.on_connect(Peer::Refuses);
    let mut attempts = Vec::new();
    for _ in 0..4 {
        let before = fake.connects();
        for _ in 0..10_000 {
            let _ = shared.handle().await.unwrap_err();
        }
        attempts.push(fake.connects() - before);
        advance(Duration::from_secs(5)).await;
    }
    assert_eq!(attempts, [1; 4]);
}

#[tokio::test(start_paused = true)]
async fn while_one_caller_probes_the_others_do_not_wait_for_it() {
    for places in [1, 4] {
        let fake = Fake::new();
        let shared = fake.shared(shared_sized(places));
        fake.on_connect(Peer::Refuses);
        let _ = shared.handle().await.unwrap_err();
        advance(Duration::from_millis(100)).await;
        fake.on_connect(Peer::Gated);
        let probe = tokio::spawn({
            let shared = shared.clone();
            async move { shared.handle().await.map(drop) }
        });
        settle().await;
        let start = Instant::now();
        assert!(matches!(shared.handle().await, Err(PoolError::BackingOff { .. })));
        assert_eq!((start.elapsed(), fake.connects()), (Duration::ZERO, 2));

        fake.let_through(1);
        probe.await.unwrap().unwrap();
        assert_eq!(shared.handle().await.unwrap().number, 2);
    }
}
