//! gRPC servers that come, move and go: calls follow them.

use uschat_pool::{
    PeerPools, PeersConfig,
    grpc::{GrpcError, GrpcManager},
};

use crate::grpc_peer::{HELD, Peer, QUICK, call, config};

#[tokio::test]
async fn calls_follow_and_those_under_way_end_where_they_began() {
    let connect =
        |_: &str, address: &str| -> Result<_, GrpcError> { GrpcManager::new(format!("http://{address}"), &config()) };
    let peers = PeerPools::new("chat servers", PeersConfig::default(), connect).unwrap();
    let (old, new) = (Peer::start().await, Peer::start().await);

    peers.update([("one", old.address.to_string())]).unwrap();
    let handle = peers.handle("one").await.unwrap();
    let held = tokio::spawn(async move { call(handle.clone(), HELD).await });
    old.begun().await;

    peers.update([("one", new.address.to_string())]).unwrap();
    for _ in 0..5 {
        let handle = peers.handle("one").await.unwrap();
        call(handle.clone(), QUICK).await.unwrap();
    }
    old.release();
    held.await.unwrap().unwrap();
    assert_eq!((old.calls(), new.calls()), (1, 5));

    let changes = peers.update([("one", "not an address")]).unwrap();
    assert!(matches!(&*changes.refused, [(name, GrpcError::Transport(_))] if name == "one"), "{changes:?}");
}
