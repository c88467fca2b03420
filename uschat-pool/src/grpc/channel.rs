//! A tonic channel that knows when it must be replaced.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use tonic::{
    body::Body,
    codegen::{
        Service,
        http::{Request, Response},
    },
    transport::{self, Channel},
};

use super::{deadline::Deadline, failure::Failure, watch::Watch};

/// One HTTP/2 connection to a gRPC server, for any number of calls at the same time. Clones are the same connection.
///
/// Every generated client takes it in place of tonic's channel: `StatusServiceClient::new(channel)`. Unlike that one it does
/// not connect again by itself: when the connection has ended (closed by the peer, a keep-alive ping unanswered, the server
/// shutting down), a call fails at once, unsent, and the pool replaces the channel. It also does so if calls wait in vain,
/// for the shorter of [`connect_timeout`](super::GrpcConfig::connect_timeout) and
/// [`call_deadline`](super::GrpcConfig::call_deadline), and not one byte comes in meanwhile. A slow method does not do
/// that to a channel on which other calls are answered; on a quiet one it may, which costs a connect and no call, as calls
/// under way go on.
#[derive(Clone)]
pub struct GrpcChannel {
    channel: Channel,
    line: Arc<Line>,
}

struct Line {
    watch: Arc<Watch>,
    deadline: Deadline,
}

impl GrpcChannel {
    pub(super) fn new(channel: Channel, watch: Arc<Watch>, deadline: Deadline) -> Self {
        Self { channel, line: Arc::new(Line { watch, deadline }) }
    }

    /// True if the channel is of no more use: its connection has ended, or the peer is silent. It stays so.
    #[must_use]
    pub fn is_broken(&self) -> bool {
        self.line.watch.is_lost()
    }
}

impl Service<Request<Body>> for GrpcChannel {
    type Response = Response<Body>;
    type Error = transport::Error;
    type Future = GrpcResponse;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), transport::Error>> {
        self.channel.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Body>) -> GrpcResponse {
        self.line.deadline.announce(request.headers_mut());
        let call = Call { began: Some(self.line.watch.ask()), line: Arc::clone(&self.line) };
        GrpcResponse { response: self.channel.call(request), call }
    }
}

/// Without the address, which says no more than the pool's name.
impl fmt::Debug for GrpcChannel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GrpcChannel").field("is_broken", &self.is_broken()).finish()
    }
}

/// The response of a [`GrpcChannel`], once it begins.
pub struct GrpcResponse {
    response: <Channel as Service<Request<Body>>>::Future,
    call: Call,
}

impl Future for GrpcResponse {
    type Output = Result<Response<Body>, transport::Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let outcome = ready!(Pin::new(&mut self.response).poll(cx));
        self.call.end(outcome.as_ref().err());
        Poll::Ready(outcome)
    }
}

impl fmt::Debug for GrpcResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GrpcResponse").finish_non_exhaustive()
    }
}

/// A call under way. Dropped before it has ended, its caller has given up.
struct Call {
    line: Arc<Line>,
    /// None: it has ended.
    began: Option<u64>,
}

impl Call {
    fn end(&mut self, error: Option<&transport::Error>) {
        let watch = &self.line.watch;
        match (error.map(Failure::of_transport), self.began.take()) {
            (Some(Failure::TimedOut), Some(began)) => watch.unanswered(began),
            (Some(failure), _) if failure.is_connection_lost() => watch.lose(),
            _ => {}
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        if let Some(began) = self.began {
            self.line.watch.unanswered(began);
        }
    }
}
