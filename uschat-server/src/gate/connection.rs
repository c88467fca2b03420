//! One HTTP/1.1 connection. Not `axum::serve`: that arms no timer while it waits for a header.

use std::{
    net::{IpAddr, SocketAddr},
    pin::pin,
    sync::Arc,
};

use axum::{Router, body::Body, extract::Request};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::TcpStream,
    time::{sleep, timeout},
};
use tonic::codegen::Service as _;
use tracing::debug;

use super::Inner;

/// Our clients send some ten.
const MAX_HEADERS: usize = 64;
/// Of a request's line and headers together.
const MAX_HEADER_BYTES: usize = 32 * 1024;

/// Where a request comes from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Caller(pub(super) IpAddr);

pub(super) async fn serve(stream: TcpStream, peer: SocketAddr, router: Router, gate: Arc<Inner>) {
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let mut request: Request = request.map(Body::new);
        request.extensions_mut().insert(Caller(peer.ip()));
        router.clone().call(request)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(gate.config.header_deadline)
        .max_headers(MAX_HEADERS)
        .max_buf_size(MAX_HEADER_BYTES)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);

    tokio::select! {
        outcome = connection.as_mut() => {
            if let Err(error) = outcome {
                debug!(%peer, %error, "an HTTP connection failed");
            }
            return;
        }
        () = gate.tasks.drain.cancelled() => {}
        // Bounds what a client can do that never reads its responses.
        () = sleep(gate.config.connection_lifetime) => {}
    }
    connection.as_mut().graceful_shutdown();
    if timeout(gate.config.drain, connection).await.is_err() {
        debug!(%peer, "an HTTP connection did not end in time");
    }
}
