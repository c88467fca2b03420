//! Clients of a gRPC server that answers with what it was asked.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use deadpool::managed::{self, Metrics, RecycleResult};
use tonic::Request;
use tonic::body::Body;
use tonic::client::{Grpc, GrpcService};
use tonic::codegen::http::uri::PathAndQuery;
use tonic::codegen::{Body as HttpBody, StdError};
use tonic::transport::{Channel, Endpoint};
use uschat_pool::grpc::{GrpcConfig, GrpcManager};
use uschat_pool::{Pool, PoolConfig, Shared, SharedConfig};

use super::grpc_server::{EchoServer, PATH, Raw};
use super::load::Work;

const MESSAGE: Bytes = Bytes::from_static(&[7; 64]);

/// What each task does, as a generated client does it.
async fn echo<C>(channel: C)
where
    C: GrpcService<Body>,
    C::ResponseBody: HttpBody<Data = Bytes> + Send + 'static,
    <C::ResponseBody as HttpBody>::Error: Into<StdError> + Send,
{
    let mut client = Grpc::new(channel);
    if client.ready().await.is_err() {
        panic!("the channel is closed");
    }
    let answer = client.unary(Request::new(MESSAGE), PathAndQuery::from_static(PATH), Raw).await.expect("an answer");
    assert_eq!(answer.get_ref().len(), MESSAGE.len());
}

/// With what a server between servers needs: a time-out for connecting, a deadline for every call, and pings. The values
/// are those of [`GrpcConfig`].
fn endpoint(server: &EchoServer) -> Endpoint {
    let GrpcConfig { connect_timeout, keep_alive_interval, keep_alive_timeout, call_deadline, .. } =
        GrpcConfig::default();
    bare_endpoint(server)
        .connect_timeout(connect_timeout)
        .timeout(call_deadline)
        .http2_keep_alive_interval(keep_alive_interval)
        .keep_alive_timeout(keep_alive_timeout)
        .keep_alive_while_idle(true)
}

/// tonic's defaults.
fn bare_endpoint(server: &EchoServer) -> Endpoint {
    Endpoint::from_shared(server.uri()).expect("a URI")
}

/// One or more channels that all tasks share by turns.
#[derive(Clone)]
pub(crate) struct RoundRobin {
    channels: Arc<[Channel]>,
    next: Arc<AtomicUsize>,
}

pub(crate) async fn round_robin(server: &EchoServer, channels: usize) -> RoundRobin {
    connected(&endpoint(server), channels).await
}

/// Without time-outs and deadlines.
pub(crate) async fn bare_round_robin(server: &EchoServer, channels: usize) -> RoundRobin {
    connected(&bare_endpoint(server), channels).await
}

async fn connected(endpoint: &Endpoint, count: usize) -> RoundRobin {
    let mut channels = Vec::new();
    for _ in 0..count {
        channels.push(endpoint.connect().await.expect("a connection"));
    }
    RoundRobin { channels: channels.into(), next: Arc::default() }
}

impl Work for RoundRobin {
    type Held = ();

    async fn begin(&self) {
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        echo(self.channels[turn % self.channels.len()].clone()).await;
    }
}

/// One channel that all tasks share.
#[derive(Clone)]
pub(crate) struct OneChannel(Channel);

pub(crate) async fn one_channel(server: &EchoServer) -> OneChannel {
    OneChannel(endpoint(server).connect().await.expect("a connection"))
}

impl Work for OneChannel {
    type Held = ();

    async fn begin(&self) {
        echo(self.0.clone()).await;
    }
}

/// Channels lent by deadpool, for one call at a time.
#[derive(Clone)]
pub(crate) struct Deadpool(managed::Pool<Endpoints>);

pub(crate) fn deadpool_checkout(server: &EchoServer, size: usize) -> Deadpool {
    let pool = managed::Pool::builder(Endpoints(endpoint(server))).max_size(size).build();
    Deadpool(pool.expect("a valid configuration"))
}

impl Work for Deadpool {
    type Held = ();

    async fn begin(&self) {
        let channel = self.0.get().await.expect("a connection");
        echo(channel.clone()).await;
    }
}

pub(crate) struct Endpoints(Endpoint);

impl managed::Manager for Endpoints {
    type Type = Channel;
    type Error = tonic::transport::Error;

    async fn create(&self) -> Result<Channel, Self::Error> {
        self.0.connect().await
    }

    async fn recycle(&self, _: &mut Channel, _: &Metrics) -> RecycleResult<Self::Error> {
        Ok(())
    }
}

/// Ours, shared, as its defaults are.
#[derive(Clone)]
pub(crate) struct UsChatShared(Shared<GrpcManager>);

pub(crate) fn uschat_shared(server: &EchoServer) -> UsChatShared {
    UsChatShared(Shared::new("echo", manager(server), SharedConfig::default()).expect("a valid configuration"))
}

impl Work for UsChatShared {
    type Held = ();

    async fn begin(&self) {
        let handle = self.0.handle().await.expect("a connection");
        echo(handle.clone()).await;
    }
}

/// Ours, lent for one call at a time.
#[derive(Clone)]
pub(crate) struct UsChatPool(Pool<GrpcManager>);

pub(crate) fn uschat_checkout(server: &EchoServer, size: usize) -> UsChatPool {
    let config = PoolConfig { size, ..PoolConfig::default() };
    UsChatPool(Pool::new("echo", manager(server), config).expect("a valid configuration"))
}

impl Work for UsChatPool {
    type Held = ();

    async fn begin(&self) {
        let lease = self.0.get().await.expect("a connection");
        echo(lease.clone()).await;
    }
}

fn manager(server: &EchoServer) -> GrpcManager {
    GrpcManager::new(server.uri(), &GrpcConfig::default()).expect("a valid configuration")
}
