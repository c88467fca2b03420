//! A gRPC server in this process, its client, and what both say to each other: nothing, in empty messages.

pub mod proxy;

use std::{
    convert::Infallible,
    future::pending,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use tokio::{net::TcpListener, sync::Notify, task::JoinHandle, time::timeout};
use tokio_util::sync::CancellationToken;
use tonic::{
    Request, Response, Status,
    body::Body,
    client,
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
    codegen::{
        BoxFuture, Service,
        http::{self, uri::PathAndQuery},
        tokio_stream::wrappers::TcpListenerStream,
    },
    server::{self, NamedService},
    transport::Server,
};
use uschat_pool::{
    Shared, SharedConfig,
    grpc::{GrpcChannel, GrpcConfig, GrpcManager},
};

/// Nothing in these tests takes so long unless it hangs.
pub const LONG: Duration = Duration::from_secs(20);

/// Answered at once.
pub const QUICK: &str = "/test.Peer/Quick";
/// Answered once [`Peer::release`] was called.
pub const HELD: &str = "/test.Peer/Held";
/// Never answered.
pub const NEVER: &str = "/test.Peer/Never";

/// Quick calls are over within it, also on a busy machine.
pub const DEADLINE: Duration = Duration::from_secs(1);

pub fn config() -> GrpcConfig {
    GrpcConfig { connect_timeout: DEADLINE, call_deadline: DEADLINE, ..GrpcConfig::default() }
}

pub fn manager(peer: SocketAddr) -> GrpcManager {
    GrpcManager::new(format!("http://{peer}"), &config()).unwrap()
}

/// Channels that are connected to again after a few milliseconds.
pub fn shared(peer: SocketAddr, size: usize) -> Shared<GrpcManager> {
    let (backoff, max_backoff) = (Duration::from_millis(5), Duration::from_millis(20));
    let config = SharedConfig { size, backoff, max_backoff, ..SharedConfig::default() };
    Shared::new("peer", manager(peer), config).unwrap()
}

/// Uses the set until all of its connections are there.
pub async fn warm(shared: &Shared<GrpcManager>) {
    let warming = async {
        let size = shared.snapshot().size;
        while shared.snapshot().live < size {
            let mut handles = Vec::new();
            for _ in 0..size {
                handles.push(shared.handle().await.unwrap());
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(LONG, warming).await.expect("the set does not fill up");
}

/// Makes a call as a generated client does.
pub async fn call(channel: GrpcChannel, method: &'static str) -> Result<(), Status> {
    send(channel, method, Request::new(())).await
}

pub async fn send(channel: GrpcChannel, method: &'static str, request: Request<()>) -> Result<(), Status> {
    let mut client = client::Grpc::new(channel);
    client.ready().await.unwrap();
    let calling = client.unary(request, PathAndQuery::from_static(method), Nothing);
    timeout(LONG, calling).await.expect("the call hangs").map(Response::into_inner)
}

/// The server. Ends when it is dropped.
pub struct Peer {
    pub address: SocketAddr,
    state: Arc<State>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

#[derive(Default)]
struct State {
    calls: AtomicUsize,
    under_way: AtomicUsize,
    most_under_way: AtomicUsize,
    deadlines: Mutex<Vec<Option<String>>>,
    names: Mutex<Vec<String>>,
    release: CancellationToken,
    begun: Notify,
    given_up: Notify,
}

impl Peer {
    pub async fn start() -> Self {
        Self::start_on("127.0.0.1:0".parse().unwrap()).await
    }

    pub async fn start_on(address: SocketAddr) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (state, stop) = (Arc::<State>::default(), CancellationToken::new());
        let service = PeerService(Arc::clone(&state));
        let stopped = stop.clone().cancelled_owned();
        let task = tokio::spawn(async move {
            let incoming = TcpListenerStream::new(listener);
            Server::builder().add_service(service).serve_with_incoming_shutdown(incoming, stopped).await.unwrap();
        });
        Self { address, state, stop, task }
    }

    /// Calls that arrived, the pool's own ones not counted.
    pub fn calls(&self) -> usize {
        self.state.calls.load(Ordering::Relaxed)
    }

    pub fn most_under_way(&self) -> usize {
        self.state.most_under_way.load(Ordering::Relaxed)
    }

    /// The deadline that each call so far came with, as gRPC writes it.
    pub fn deadlines(&self) -> Vec<Option<String>> {
        self.state.deadlines.lock().unwrap().clone()
    }

    /// What each call so far called itself in the metadata `name`, if it did.
    pub fn names(&self) -> Vec<String> {
        self.state.names.lock().unwrap().clone()
    }

    /// Waits until a call has arrived that was not waited for before.
    pub async fn begun(&self) {
        timeout(LONG, self.state.begun.notified()).await.expect("no call arrives");
    }

    /// Waits until the server has stopped to work on a call that it did not answer.
    pub async fn given_up(&self) {
        timeout(LONG, self.state.given_up.notified()).await.expect("the server goes on");
    }

    pub fn release(&self) {
        self.state.release.cancel();
    }

    /// Takes nothing new, and ends when what is under way has ended.
    pub fn drain(&self) {
        self.stop.cancel();
    }

    /// Waits until it has ended after [`drain`](Self::drain).
    pub async fn ended(mut self) {
        timeout(LONG, &mut self.task).await.expect("the server does not end").unwrap();
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.stop.cancel();
        self.task.abort();
    }
}

#[derive(Clone)]
struct PeerService(Arc<State>);

impl NamedService for PeerService {
    const NAME: &'static str = "test.Peer";
}

impl Service<http::Request<Body>> for PeerService {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Infallible>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let method = Method { path: request.uri().path().to_owned(), state: Arc::clone(&self.0) };
        Box::pin(async move { Ok(server::Grpc::new(Nothing).unary(method, request).await) })
    }
}

struct Method {
    path: String,
    state: Arc<State>,
}

impl Service<Request<()>> for Method {
    type Response = Response<()>;
    type Error = Status;
    type Future = BoxFuture<Response<()>, Status>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Status>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<()>) -> Self::Future {
        let text = |key| request.metadata().get(key).map(|value| value.to_str().unwrap().to_owned());
        let state = Arc::clone(&self.state);
        state.deadlines.lock().unwrap().push(text("grpc-timeout"));
        state.names.lock().unwrap().extend(text("name"));
        let path = self.path.clone();
        Box::pin(async move {
            let mut work = Work::begin(&state);
            match path.as_str() {
                QUICK => {}
                HELD => state.release.cancelled().await,
                NEVER => pending().await,
                _ => return Err(Status::unimplemented("no such method")),
            }
            work.done = true;
            Ok(Response::new(()))
        })
    }
}

/// A call that the server works on.
struct Work<'a> {
    state: &'a State,
    done: bool,
}

impl<'a> Work<'a> {
    fn begin(state: &'a State) -> Self {
        state.calls.fetch_add(1, Ordering::Relaxed);
        let under_way = state.under_way.fetch_add(1, Ordering::Relaxed) + 1;
        state.most_under_way.fetch_max(under_way, Ordering::Relaxed);
        state.begun.notify_one();
        Self { state, done: false }
    }
}

impl Drop for Work<'_> {
    fn drop(&mut self) {
        self.state.under_way.fetch_sub(1, Ordering::Relaxed);
        if !self.done {
            self.state.given_up.notify_one();
        }
    }
}

/// Messages without a byte.
#[derive(Clone, Copy)]
struct Nothing;

impl Codec for Nothing {
    type Encode = ();
    type Decode = ();
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Nothing {
    type Item = ();
    type Error = Status;

    fn encode(&mut self, (): (), _: &mut EncodeBuf<'_>) -> Result<(), Status> {
        Ok(())
    }
}

impl Decoder for Nothing {
    type Item = ();
    type Error = Status;

    fn decode(&mut self, _: &mut DecodeBuf<'_>) -> Result<Option<()>, Status> {
        Ok(Some(()))
    }
}
