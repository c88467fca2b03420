//! How this crate serves gRPC: one place for the limits of every service.
//!
//! Plain HTTP/2 over TCP with `TCP_NODELAY`. Not tonic's own server, because that has no bound on connections, lets a
//! silent one stay for ever, and waits without end for the last one when it stops.

use std::{convert::Infallible, future::pending, io, net::SocketAddr, pin::pin, time::Duration};

use hyper::{Request, Response, body::Incoming, rt::Executor, server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    time::timeout,
};
use tokio_util::sync::CancellationToken;
use tonic::{Status, body::Body, codegen::Service, service::Routes, transport::server::TcpConnectInfo};
use tracing::debug;

use crate::connection_tasks::{AcceptConfig, Tasks, accept_until};

/// The longest message our services decode: 1 MiB. Each generated server must be told
/// (`max_decoding_message_size`), because the limit is not one of the connection.
pub const MAX_MESSAGE_BYTES: usize = 1024 * 1024;

const MAX_HEADER_BYTES: u32 = 16 * 1024;
/// Streams a peer may open and reset before we have looked at them; one more ends its connection.
const MAX_PENDING_RESETS: usize = 20;
/// Streams we may reset because of the peer's faults before its connection ends.
const MAX_FAULTY_STREAMS: usize = 64;

/// Limits of a gRPC server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrpcServerConfig {
    /// Connections at one time; more of them wait in the kernel's backlog. Default 1,024.
    pub max_connections: usize,
    /// Calls under way on one connection. Default 256.
    pub max_concurrent_streams: u32,
    /// How long a new connection may take until its first call. Default 10 s.
    pub first_call: Duration,
    /// How long a call may take until its response begins. Default 10 s.
    pub call_deadline: Duration,
    /// How often a connection is asked for a sign of life. Default 20 s.
    pub keep_alive_interval: Duration,
    /// How long it may take to give one. Default 10 s.
    pub keep_alive_timeout: Duration,
    /// How long calls may go on after shutdown began. Default 10 s.
    pub drain: Duration,
}

impl Default for GrpcServerConfig {
    fn default() -> Self {
        Self {
            max_connections: 1_024,
            max_concurrent_streams: 256,
            first_call: Duration::from_secs(10),
            call_deadline: Duration::from_secs(10),
            keep_alive_interval: Duration::from_secs(20),
            keep_alive_timeout: Duration::from_secs(10),
            drain: Duration::from_secs(10),
        }
    }
}

/// Serves `routes` until `shutdown`, then finishes the calls under way and returns.
///
/// Handlers that take longer than the drain deadline are dropped. Dropping the future aborts every connection at once.
///
/// # Errors
/// When the listener is unusable. Failures of single connections or of `accept` are logged and survived.
pub async fn serve(
    listener: TcpListener,
    routes: Routes,
    config: GrpcServerConfig,
    shutdown: CancellationToken,
) -> io::Result<()> {
    serve_with(listener, routes, config, shutdown, Tasks::default()).await
}

/// As [`serve`], for services that spawn work of their own into `tasks`.
pub(crate) async fn serve_with(
    listener: TcpListener,
    routes: Routes,
    config: GrpcServerConfig,
    shutdown: CancellationToken,
    tasks: Tasks,
) -> io::Result<()> {
    let local = listener.local_addr()?;
    let routes = routes.prepare();
    let bounds = AcceptConfig { server: "grpc", max_connections: config.max_connections, drain: config.drain };
    let connection_tasks = tasks.clone();
    accept_until(listener, &bounds, tasks, shutdown, |stream, peer| {
        serve_connection(stream, peer, local, routes.clone(), config.clone(), connection_tasks.clone())
    })
    .await;
    Ok(())
}

async fn serve_connection(
    stream: TcpStream,
    peer: SocketAddr,
    local: SocketAddr,
    routes: Routes,
    config: GrpcServerConfig,
    tasks: Tasks,
) {
    let drain = tasks.drain.clone();
    let called = CancellationToken::new();
    let first_call = called.clone();
    let service = service_fn(move |mut request: Request<Incoming>| {
        first_call.cancel();
        request.extensions_mut().insert(TcpConnectInfo { local_addr: Some(local), remote_addr: Some(peer) });
        answer(routes.clone(), request, config.call_deadline)
    });
    let connection = http2::Builder::new(StreamTasks(tasks))
        .timer(TokioTimer::new())
        .keep_alive_interval(config.keep_alive_interval)
        .keep_alive_timeout(config.keep_alive_timeout)
        .max_concurrent_streams(config.max_concurrent_streams)
        .max_header_list_size(MAX_HEADER_BYTES)
        .max_pending_accept_reset_streams(MAX_PENDING_RESETS)
        .max_local_error_reset_streams(MAX_FAULTY_STREAMS)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);

    let silent = async {
        if timeout(config.first_call, called.cancelled()).await.is_ok() {
            pending::<()>().await;
        }
    };
    tokio::select! {
        outcome = connection.as_mut() => {
            if let Err(error) = outcome {
                debug!(%peer, %error, "a gRPC connection failed");
            }
            return;
        }
        () = silent => {
            debug!(%peer, "closing a gRPC connection that never called");
            return;
        }
        () = drain.cancelled() => connection.as_mut().graceful_shutdown(),
    }
    // Bounded by whoever drains: the task this runs in is aborted at the deadline.
    if let Err(error) = connection.await {
        debug!(%peer, %error, "a gRPC connection failed while draining");
    }
}

async fn answer(
    mut routes: Routes,
    request: Request<Incoming>,
    deadline: Duration,
) -> Result<Response<Body>, Infallible> {
    match timeout(deadline, routes.call(request)).await {
        Ok(outcome) => outcome,
        Err(_) => Ok(Status::deadline_exceeded("the call took too long").into_http()),
    }
}

/// Runs the calls of a connection where draining sees them.
#[derive(Debug, Clone)]
struct StreamTasks(Tasks);

impl<F> Executor<F> for StreamTasks
where
    F: Future<Output: Send> + Send + 'static,
{
    fn execute(&self, stream: F) {
        self.0.spawn_abortable(stream);
    }
}
