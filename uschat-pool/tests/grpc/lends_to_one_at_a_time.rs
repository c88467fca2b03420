//! Channels checked out one by one: a stub to oneself, and none that does not work.

use std::time::Duration;

use tokio::task::JoinSet;
use uschat_pool::{Pool, PoolConfig, Retry, grpc::GrpcManager};

use crate::grpc_peer::{
    HELD, LONG, Peer, QUICK, call, manager,
    proxy::{Mode, Proxy},
};

fn pool(proxy: &Proxy, config: PoolConfig) -> Pool<GrpcManager> {
    Pool::new("stubs", manager(proxy.address), config).unwrap()
}

#[tokio::test]
async fn no_more_calls_are_under_way_than_there_are_channels() {
    let peer = Peer::start().await;
    let proxy = Proxy::to(peer.address).await;
    let pool = pool(&proxy, PoolConfig { size: 3, ..PoolConfig::default() });
    let mut calls = JoinSet::new();
    for _ in 0..60 {
        let pool = pool.clone();
        calls.spawn(async move {
            let lease = pool.get().await.unwrap();
            call(lease.clone(), HELD).await.unwrap();
        });
    }
    for _ in 0..3 {
        peer.begun().await;
    }
    peer.release();
    calls.join_all().await;
    assert_eq!((peer.calls(), peer.most_under_way(), proxy.connections()), (60, 3, 3));
}

#[tokio::test]
async fn one_that_broke_while_lent_is_not_lent_again() {
    let peer = Peer::start().await;
    let proxy = Proxy::to(peer.address).await;
    let pool = pool(&proxy, PoolConfig { size: 1, ..PoolConfig::default() });
    for mode in [Mode::Ends, Mode::Swallows] {
        let lease = pool.get().await.unwrap();
        proxy.set(proxy.connections() - 1, mode);
        call(lease.clone(), QUICK).await.unwrap_err();
        drop(lease);
        assert_eq!(pool.snapshot().idle, 0, "{mode:?}");
        call(pool.get().await.unwrap().clone(), QUICK).await.unwrap();
    }
    assert_eq!(proxy.connections(), 3);
}

#[tokio::test]
async fn one_that_fell_silent_while_it_rested_is_found_out_before_it_is_lent() {
    let peer = Peer::start().await;
    let proxy = Proxy::to(peer.address).await;
    let verified =
        PoolConfig { verify_after: Duration::ZERO, recycle: Duration::from_millis(300), ..PoolConfig::default() };
    let pool = pool(&proxy, verified);
    drop(pool.get().await.unwrap());
    proxy.set(0, Mode::Swallows);
    for _ in 0..3 {
        call(pool.get().await.unwrap().clone(), QUICK).await.unwrap();
    }
    assert_eq!(proxy.connections(), 2);
}

#[tokio::test]
async fn a_call_through_the_pool_is_made_again_over_another_channel() {
    let peer = Peer::start().await;
    let proxy = Proxy::to(peer.address).await;
    let pool = pool(&proxy, PoolConfig { size: 1, ..PoolConfig::default() });
    let retry = Retry::within(LONG).idempotent();
    for connection in 0..5 {
        pool.call(retry, async |stub| call(stub.clone(), QUICK).await).await.unwrap();
        proxy.set(connection, if connection % 2 == 0 { Mode::Ends } else { Mode::Swallows });
    }
    assert_eq!(peer.calls(), 5, "each arrived once");
}
