//! Of four channels one dies: at most the calls under way on it fail, and none that begins after the first failure.

use std::time::Duration;

use tokio::{task::JoinSet, time::Instant};
use uschat_pool::{Retry, Shared, grpc::GrpcManager};

use crate::grpc_peer::{
    DEADLINE, LONG, Peer, QUICK, call,
    proxy::{Mode, Proxy},
    shared, warm,
};

const CHANNELS: usize = 4;

async fn four_channels() -> (Peer, Proxy, Shared<GrpcManager>) {
    let peer = Peer::start().await;
    let proxy = Proxy::to(peer.address).await;
    let shared = shared(proxy.address, CHANNELS);
    warm(&shared).await;
    assert_eq!(proxy.connections(), CHANNELS);
    (peer, proxy, shared)
}

/// Calls over every channel, side by side; how many failed.
async fn failed_in_one_round(shared: &Shared<GrpcManager>) -> usize {
    let mut calls = JoinSet::new();
    for _ in 0..CHANNELS {
        let handle = shared.handle().await.unwrap();
        calls.spawn(async move { call(handle.clone(), QUICK).await });
    }
    calls.join_all().await.iter().filter(|outcome| outcome.is_err()).count()
}

#[tokio::test]
async fn cut_while_nothing_is_under_way() {
    for dead in 0..CHANNELS {
        let (_peer, proxy, shared) = four_channels().await;
        proxy.set(dead, Mode::Ends);
        let first = failed_in_one_round(&shared).await;
        assert!(first <= 1, "{first} failed");
        for _ in 0..50 {
            assert_eq!(failed_in_one_round(&shared).await, 0, "after the first");
        }
        warm(&shared).await;
        assert!(proxy.connections() > CHANNELS, "it was replaced");
    }
}

#[tokio::test]
async fn black_holed() {
    for dead in 0..CHANNELS {
        let (_peer, proxy, shared) = four_channels().await;
        proxy.set(dead, Mode::Swallows);
        assert_eq!(failed_in_one_round(&shared).await, 1, "nobody can know before");
        for _ in 0..50 {
            assert_eq!(failed_in_one_round(&shared).await, 0, "after the first");
        }
        warm(&shared).await;
        assert!(proxy.connections() > CHANNELS, "it was replaced");
    }
}

#[tokio::test]
async fn while_no_new_connection_can_be_made() {
    for mode in [Mode::Ends, Mode::Swallows] {
        let (_peer, proxy, shared) = four_channels().await;
        proxy.set_next(mode);
        proxy.set(1, mode);
        let first = failed_in_one_round(&shared).await;
        assert!(first <= 1, "{first} failed");
        for _ in 0..10 {
            assert_eq!(failed_in_one_round(&shared).await, 0, "the other three are there");
        }
    }
}

/// Callers without a pause between their calls: none of their calls that began after the first failure fails.
#[tokio::test]
async fn under_load() {
    const CALLERS: usize = 16;
    for mode in [Mode::Ends, Mode::Swallows] {
        let (_peer, proxy, shared) = four_channels().await;
        let mut callers = JoinSet::new();
        let until = Instant::now() + 3 * DEADLINE;
        for _ in 0..CALLERS {
            let shared = shared.clone();
            callers.spawn(async move {
                let (mut failures, mut answered) = (Vec::new(), 0);
                while Instant::now() < until {
                    let began = Instant::now();
                    let handle = shared.handle().await.unwrap();
                    match call(handle.clone(), QUICK).await {
                        Ok(()) => answered += 1,
                        Err(_) => failures.push((began, Instant::now())),
                    }
                }
                (failures, answered)
            });
        }
        tokio::time::sleep(DEADLINE / 2).await; // the load's own time, not awaiting anything
        proxy.set(2, mode);

        let outcomes = callers.join_all().await;
        let failures: Vec<_> = outcomes.iter().flat_map(|(failures, _)| failures).collect();
        let first = failures.iter().map(|(_, ended)| ended).min().expect("every channel was in use");
        let later = failures.iter().filter(|(began, _)| began > first).count();
        assert_eq!(later, 0, "{mode:?}: of {} failures", failures.len());
        assert!(failures.len() <= CALLERS, "{mode:?}: {} failures", failures.len());
        assert!(outcomes.iter().all(|(_, answered)| *answered > 0));
    }
}

#[tokio::test]
async fn not_even_the_first_call_fails_if_it_may_be_made_again() {
    for mode in [Mode::Ends, Mode::Swallows] {
        let (_peer, proxy, shared) = four_channels().await;
        let retry = Retry::within(LONG).idempotent();
        proxy.set(0, mode);
        let start = Instant::now();
        for _ in 0..20 {
            shared.call(retry, |channel| call(channel, QUICK)).await.unwrap();
        }
        assert!(start.elapsed() < DEADLINE + Duration::from_secs(5), "{:?}", start.elapsed());
    }
}
