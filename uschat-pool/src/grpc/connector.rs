//! The connection below a channel: made once, watched, and never made again behind our back.

use std::{
    future::ready,
    mem,
    sync::Arc,
    task::{Context, Poll},
};

use hyper_util::{client::legacy::connect::HttpConnector, rt::TokioIo};
use tonic::codegen::{BoxFuture, Service, StdError, http::Uri};

use super::watch::{Watch, WatchedStream};

/// tonic would connect again for the next call, without a sign of life from the peer first, and hold up every call behind
/// that attempt. This refuses to, so that such a call fails at once and unsent.
pub(super) struct ConnectOnce {
    tcp: HttpConnector,
    watch: Arc<Watch>,
    used: bool,
}

impl ConnectOnce {
    pub(super) fn new(tcp: HttpConnector, watch: Arc<Watch>) -> Self {
        Self { tcp, watch, used: false }
    }
}

impl Service<Uri> for ConnectOnce {
    type Response = TokioIo<WatchedStream>;
    type Error = StdError;
    type Future = BoxFuture<Self::Response, StdError>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), StdError>> {
        self.tcp.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        if mem::replace(&mut self.used, true) {
            self.watch.lose();
            return Box::pin(ready(Err(Ended.into())));
        }
        let connecting = self.tcp.call(uri);
        let watch = Arc::clone(&self.watch);
        Box::pin(async move {
            let stream = connecting.await?.into_inner();
            Ok(TokioIo::new(WatchedStream::new(stream, watch)))
        })
    }
}

/// Reaches callers as the source of a [`tonic::ConnectError`].
#[derive(Debug, thiserror::Error)]
#[error("the connection has ended")]
struct Ended;
