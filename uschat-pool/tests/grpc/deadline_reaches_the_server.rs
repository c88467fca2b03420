//! Every call has a deadline, and its server knows it and stops working when it is over.

use std::time::Duration;

use tokio::time::Instant;
use tonic::Request;
use uschat_pool::{CallFailure, Repeat};

use crate::grpc_peer::{DEADLINE, HELD, NEVER, Peer, QUICK, call, send, shared};

#[tokio::test]
async fn the_configured_one_by_default() {
    let peer = Peer::start().await;
    let shared = shared(peer.address, 1);
    let handle = shared.handle().await.unwrap();

    let start = Instant::now();
    let status = call(handle.clone(), NEVER).await.unwrap_err();

    // Whichever of the two ends it first, neither side knows whether the other did something.
    assert_eq!(status.repeat(), Repeat::IfIdempotent, "{status:?}");
    assert!(start.elapsed() >= DEADLINE - Duration::from_millis(1), "{:?}", start.elapsed());
    assert!(start.elapsed() < 5 * DEADLINE, "{:?}", start.elapsed());
    peer.given_up().await;
    assert_eq!(peer.deadlines(), [Some(format!("{}m", DEADLINE.as_millis()))]);
}

#[tokio::test]
async fn the_server_gives_up_though_the_caller_does_not() {
    let peer = Peer::start().await;
    let shared = shared(peer.address, 1);
    let handle = shared.handle().await.unwrap();
    // The caller's side holds its own end open: it never polls the call again.
    let mut calling = Box::pin(call(handle.clone(), NEVER));
    tokio::select! {
        biased;
        _ = &mut calling => panic!("it is never answered"),
        () = peer.begun() => {}
    }
    peer.given_up().await;
    assert_eq!(peer.calls(), 1);
    drop(calling);
}

#[tokio::test]
async fn that_of_the_call_if_it_is_shorter() {
    let peer = Peer::start().await;
    let shared = shared(peer.address, 1);
    let handle = shared.handle().await.unwrap();

    let start = Instant::now();
    let mut short = Request::new(());
    short.set_timeout(DEADLINE / 10);
    send(handle.clone(), NEVER, short).await.unwrap_err();
    assert!(start.elapsed() < DEADLINE, "{:?}", start.elapsed());
    peer.given_up().await;

    let mut long = Request::new(());
    long.set_timeout(9 * DEADLINE);
    send(handle.clone(), NEVER, long).await.unwrap_err();
    assert!(start.elapsed() < 5 * DEADLINE, "{:?}", start.elapsed());
    peer.given_up().await;

    assert_eq!(peer.deadlines(), [Some("100000u".into()), Some("1000m".into())]);
}

#[tokio::test]
async fn a_response_in_time_is_not_cut_off() {
    let peer = Peer::start().await;
    let shared = shared(peer.address, 1);
    let handle = shared.handle().await.unwrap();
    let held = tokio::spawn(call(handle.clone(), HELD));
    peer.begun().await;
    call(handle.clone(), QUICK).await.unwrap();
    peer.release();
    held.await.unwrap().unwrap();
    assert!(!handle.is_broken());
}
