//! A server that goes away and comes back costs time, and no call that may be made again.

use std::time::Duration;

use tokio::time::{Instant, timeout};
use uschat_pool::{Retry, grpc::GrpcChannel};

use crate::grpc_peer::{HELD, LONG, Peer, QUICK, call, proxy::Mode, proxy::Proxy, shared, warm};

#[tokio::test]
async fn calls_under_way_end_and_the_next_go_to_the_new_server() {
    let old = Peer::start().await;
    let shared = shared(old.address, 2);
    warm(&shared).await;
    let channels = [shared.handle().await.unwrap().clone(), shared.handle().await.unwrap().clone()];
    let held = tokio::spawn(call(channels[0].clone(), HELD));
    old.begun().await;

    old.drain();
    old.release();
    held.await.unwrap().unwrap();
    let address = old.address;
    old.ended().await;
    let noticed = async {
        while !channels.iter().all(GrpcChannel::is_broken) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(LONG, noticed).await.expect("a server that said goodbye is still taken for alive");

    let new = Peer::start_on(address).await;
    // Not idempotent: only what the old server certainly did not do is made again.
    let retry = Retry::within(LONG);
    for _ in 0..20 {
        shared.call(retry, |channel| call(channel, QUICK)).await.unwrap();
    }
    assert_eq!(new.calls(), 20, "each once");
}

#[tokio::test]
async fn within_a_second_of_its_return() {
    let peer = Peer::start().await;
    let proxy = Proxy::to(peer.address).await;
    let shared = shared(proxy.address, 4);
    warm(&shared).await;
    let retry = Retry::within(LONG).idempotent();
    for _ in 0..5 {
        proxy.set_all(Mode::Ends);
        let calls: Vec<_> = (0..16)
            .map(|_| {
                let shared = shared.clone();
                tokio::spawn(async move { shared.call(retry, |channel| call(channel, QUICK)).await })
            })
            .collect();
        tokio::time::sleep(Duration::from_millis(100)).await; // the outage
        proxy.set_next(Mode::Passes);
        let back = Instant::now();
        for call in calls {
            call.await.unwrap().unwrap();
        }
        assert!(back.elapsed() < Duration::from_secs(1), "{:?}", back.elapsed());
    }
}
