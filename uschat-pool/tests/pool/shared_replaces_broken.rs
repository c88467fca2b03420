//! A connection reported or found broken is replaced at once in the background, and callers use the others meanwhile.

use std::time::Duration;

use tokio::time::{Instant, advance, sleep};
use uschat_pool::PoolError;

use crate::fake::{Fake, Peer, grow, settle, shared_sized};

#[tokio::test]
async fn after_a_report() {
    let fake = Fake::new();
    let shared = fake.shared(shared_sized(1));
    let (first, second) = (shared.handle().await.unwrap(), shared.handle().await.unwrap());

    first.broken();

    assert_eq!(shared.snapshot().live, 0);
    assert_eq!(second.number, 1, "handles in use stay");
    assert_eq!(shared.handle().await.unwrap().number, 2);
    second.broken();
    assert_eq!(shared.handle().await.unwrap().number, 2, "the second report was about the old one");
}

#[tokio::test]
async fn when_the_manager_sees_it() {
    let fake = Fake::new();
    let shared = fake.shared(shared_sized(1));
    shared.handle().await.unwrap().break_it();
    assert_eq!(shared.handle().await.unwrap().number, 2);
    assert_eq!(fake.open(), 1);
}

#[tokio::test(start_paused = true)]
async fn one_dead_of_four_costs_no_call_and_no_time() {
    let fake = Fake::new();
    let shared = fake.shared(shared_sized(4));
    grow(&shared, 4).await;
    for peer in [Peer::Refuses, Peer::Silent] {
        fake.on_connect(peer);
        let dead = shared.handle().await.unwrap();
        dead.break_it();
        let (start, number) = (Instant::now(), dead.number);
        drop(dead);
        for _ in 0..100 {
            assert_ne!(shared.handle().await.unwrap().number, number);
            settle().await;
        }
        assert_eq!(start.elapsed(), Duration::ZERO);
        fake.on_connect(Peer::Answers);
        sleep(Duration::from_secs(3)).await;
        assert_eq!(shared.snapshot().live, 4);
    }
}

#[tokio::test]
async fn without_waiting_for_a_caller() {
    let fake = Fake::new();
    let shared = fake.shared(shared_sized(4));
    grow(&shared, 4).await;
    let handles = [shared.handle().await.unwrap(), shared.handle().await.unwrap(), shared.handle().await.unwrap()];
    for handle in handles {
        handle.broken();
    }
    assert_eq!(shared.snapshot().live, 1);
    settle().await;
    assert_eq!((shared.snapshot().live, fake.connects(), fake.most_connecting()), (4, 7, 1));
}

#[tokio::test(start_paused = true)]
async fn one_attempt_a_pause_until_it_can_be_replaced() {
    let fake = Fake::new();
    let shared = fake.shared(shared_sized(4));
    grow(&shared, 4).await;
    fake.on_connect(Peer::Refuses);
    shared.handle().await.unwrap().broken();
    settle().await;
    assert_eq!(fake.connects(), 5);
    for _ in 0..6_000 {
        advance(Duration::from_millis(10)).await;
        settle().await;
        drop(shared.handle().await.unwrap());
    }
    // Pauses of 0.1, 0.2, 0.4, then 0.5 s, each between half and all of it.
    let attempts = fake.connects() - 5;
    assert!((115..=250).contains(&attempts), "{attempts}");

    fake.on_connect(Peer::Answers);
    advance(Duration::from_millis(501)).await;
    settle().await;
    assert_eq!(shared.snapshot().live, 4);
}

#[tokio::test(start_paused = true)]
async fn nobody_is_asked_for_ever_when_all_are_gone_and_nobody_calls() {
    let fake = Fake::new();
    let shared = fake.shared(shared_sized(2));
    grow(&shared, 2).await;
    fake.on_connect(Peer::Refuses);
    let (first, second) = (shared.handle().await.unwrap(), shared.handle().await.unwrap());
    first.broken();
    second.broken();
    for _ in 0..60 {
        settle().await;
        advance(Duration::from_secs(1)).await;
    }
    assert_eq!(fake.connects(), 3);

    // The first that calls hears why; then all are replaced.
    assert!(matches!(shared.handle().await, Err(PoolError::Connect(_))));
    fake.on_connect(Peer::Answers);
    advance(Duration::from_millis(200)).await;
    drop(shared.handle().await.unwrap());
    settle().await;
    assert_eq!(shared.snapshot().live, 2);
}
