//! A method that is too slow for its deadline does not cost the channel on which others are answered.

use tokio::time::{Instant, timeout};

use crate::grpc_peer::{
    DEADLINE, NEVER, Peer, QUICK, call,
    proxy::{Mode, Proxy},
    shared,
};

#[tokio::test]
async fn while_others_are_answered() {
    let peer = Peer::start().await;
    let proxy = Proxy::to(peer.address).await;
    let shared = shared(proxy.address, 1);
    let handle = shared.handle().await.unwrap();

    let slow = tokio::spawn(call(handle.clone(), NEVER));
    let start = Instant::now();
    while !slow.is_finished() {
        call(shared.handle().await.unwrap().clone(), QUICK).await.unwrap();
    }

    slow.await.unwrap().unwrap_err();
    assert!(start.elapsed() >= DEADLINE);
    assert!(!handle.is_broken());
    call(shared.handle().await.unwrap().clone(), QUICK).await.unwrap();
    assert_eq!(proxy.connections(), 1);
}

#[tokio::test]
async fn when_callers_give_up_early() {
    let peer = Peer::start().await;
    let proxy = Proxy::to(peer.address).await;
    let shared = shared(proxy.address, 1);
    let start = Instant::now();
    while start.elapsed() < 2 * DEADLINE {
        let handle = shared.handle().await.unwrap();
        timeout(DEADLINE / 10, call(handle.clone(), NEVER)).await.unwrap_err();
        call(handle.clone(), QUICK).await.unwrap();
    }
    assert_eq!(proxy.connections(), 1);
}

/// The other side of the promise: callers who give up before the deadline find out together that nobody is there.
#[tokio::test]
async fn but_a_silent_peer_is_noticed_by_callers_who_give_up_early() {
    let peer = Peer::start().await;
    let proxy = Proxy::to(peer.address).await;
    let shared = shared(proxy.address, 1);
    call(shared.handle().await.unwrap().clone(), QUICK).await.unwrap();
    proxy.set(0, Mode::Swallows);

    let start = Instant::now();
    while proxy.connections() == 1 {
        assert!(start.elapsed() < 5 * DEADLINE, "nobody notices");
        let handle = shared.handle().await.unwrap();
        let _in_vain = timeout(DEADLINE / 5, call(handle.clone(), QUICK)).await;
    }
    call(shared.handle().await.unwrap().clone(), QUICK).await.unwrap();
}
