//! A peer that refuses or stays silent is noticed while connecting, within the connect time-out.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use tokio::net::TcpListener;
use tonic::{service::Routes, transport::Server};
use uschat_pool::{
    Pool, PoolConfig, PoolError, Shared, SharedConfig,
    grpc::{GrpcConfig, GrpcError, GrpcManager},
};

const CONNECT: Duration = Duration::from_millis(300);

fn manager(peer: SocketAddr) -> GrpcManager {
    let config = GrpcConfig { connect_timeout: CONNECT, ..GrpcConfig::default() };
    GrpcManager::new(format!("http://{peer}"), &config).unwrap()
}

fn shared(peer: SocketAddr) -> Shared<GrpcManager> {
    Shared::new("peer", manager(peer), SharedConfig::default()).unwrap()
}

/// A gRPC server without any service: it answers every call with "unimplemented".
async fn live_peer() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let incoming = tonic::codegen::tokio_stream::wrappers::TcpListenerStream::new(listener);
    tokio::spawn(Server::builder().add_routes(Routes::default()).serve_with_incoming(incoming));
    address
}

#[tokio::test]
async fn a_closed_port() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let start = Instant::now();
    let error = shared(address).handle().await.unwrap_err();
    assert!(matches!(error, PoolError::Connect(GrpcError::Transport(_))), "{error:?}");
    assert!(start.elapsed() < CONNECT, "{:?}", start.elapsed());
}

#[tokio::test]
async fn a_listener_that_accepts_and_never_answers() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let start = Instant::now();
    let error = shared(listener.local_addr().unwrap()).handle().await.unwrap_err();
    assert!(matches!(error, PoolError::Connect(GrpcError::Silent { after: CONNECT })), "{error:?}");
    assert!(start.elapsed() >= CONNECT && start.elapsed() < 4 * CONNECT, "{:?}", start.elapsed());
}

#[tokio::test]
async fn a_peer_that_hangs_up() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            drop(stream);
        }
    });
    let error = shared(address).handle().await.unwrap_err();
    assert!(matches!(error, PoolError::Connect(GrpcError::Probe(_) | GrpcError::Transport(_))), "{error:?}");
}

#[tokio::test]
async fn a_live_peer_is_connected_even_if_it_offers_no_health_check() {
    let shared = shared(live_peer().await);
    let _handle = shared.handle().await.unwrap();
    assert_eq!(shared.snapshot().live, 1);
}

#[tokio::test]
async fn a_lent_channel_is_verified_by_the_same_call() {
    let config = PoolConfig { verify_after: Duration::ZERO, ..PoolConfig::default() };
    let pool = Pool::new("peer", manager(live_peer().await), config).unwrap();
    drop(pool.get().await.unwrap());
    drop(pool.get().await.unwrap());
    assert_eq!(pool.snapshot().size, 1);
}

#[test]
fn an_address_that_is_none_is_refused_before_connecting() {
    let error = GrpcManager::new("not an address", &GrpcConfig::default()).unwrap_err();
    assert!(matches!(error, GrpcError::Transport(_)), "{error:?}");
}
