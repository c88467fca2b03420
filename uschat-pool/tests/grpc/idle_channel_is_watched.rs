//! A channel that dies while no call is under way is found out without one.

use std::time::Duration;

use tokio::time::{sleep, timeout};
use uschat_pool::{
    Shared, SharedConfig,
    grpc::{GrpcConfig, GrpcManager},
};

use crate::grpc_peer::{
    LONG, Peer, QUICK, call, config,
    proxy::{Mode, Proxy},
};

#[tokio::test]
async fn cut_off_or_silent() {
    for mode in [Mode::Ends, Mode::Swallows] {
        let peer = Peer::start().await;
        let proxy = Proxy::to(peer.address).await;
        let ping = Duration::from_millis(200);
        let config = GrpcConfig { keep_alive_interval: ping, keep_alive_timeout: ping, ..config() };
        let manager = GrpcManager::new(format!("http://{}", proxy.address), &config).unwrap();
        let shared = Shared::new("peer", manager, SharedConfig { size: 1, ..SharedConfig::default() }).unwrap();
        let channel = shared.handle().await.unwrap().clone();
        sleep(5 * ping).await; // several pings, all of them answered
        assert!(!channel.is_broken());

        proxy.set(0, mode);

        let noticed = async {
            while !channel.is_broken() {
                sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(LONG, noticed).await.expect("nobody notices");
        call(shared.handle().await.unwrap().clone(), QUICK).await.unwrap();
        assert_eq!((peer.calls(), proxy.connections()), (1, 2));
    }
}
