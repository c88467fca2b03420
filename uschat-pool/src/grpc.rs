//! gRPC channels: shared by many callers, or lent to one at a time.
//!
//! With a [`Shared`](crate::Shared) many calls run over few connections at the same time, which is what HTTP/2 is for: the
//! way to choose. The [`Handle`](crate::Handle) counts the call, so that the next goes where fewest are under way.
//!
//! ```no_run
//! # use std::time::Duration;
//! use uschat_pool::{CallError, Retry, Shared, SharedConfig};
//! use uschat_pool::grpc::{GrpcConfig, GrpcManager, tonic::Status};
//! # use uschat_pool::grpc::{GrpcChannel, GrpcError};
//! # struct StatusServiceClient(GrpcChannel);
//! # impl StatusServiceClient {
//! #     fn new(channel: GrpcChannel) -> Self { Self(channel) }
//! #     async fn get_chat_server(&mut self, uid: i64) -> Result<String, Status> { Ok(String::new()) }
//! # }
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let manager = GrpcManager::new("http://127.0.0.1:50052", &GrpcConfig::default())?;
//! let status = Shared::new("status", manager, SharedConfig::default())?;
//!
//! // One call over a connection that may have died meanwhile.
//! let handle = status.handle().await?;
//! let server = StatusServiceClient::new(handle.clone()).get_chat_server(1).await?;
//! drop(handle); // keep it until the call is over
//!
//! // The same, made again if that is safe.
//! let retry = Retry::within(Duration::from_secs(3)).idempotent();
//! let server = status.call(retry, async |channel| StatusServiceClient::new(channel).get_chat_server(1).await).await?;
//! # Ok(()) }
//! ```
//!
//! With a [`Pool`](crate::Pool) a caller has a connection to itself: for a server that handles the calls of one connection one
//! after another, or to bound how many calls are under way. It costs more, as every call is a write and a wake-up of its own.
//!
//! ```no_run
//! # use uschat_pool::grpc::{GrpcChannel, GrpcConfig, GrpcManager, tonic::Status};
//! # struct StatusServiceClient<'a>(&'a mut GrpcChannel);
//! # impl<'a> StatusServiceClient<'a> {
//! #     fn new(channel: &'a mut GrpcChannel) -> Self { Self(channel) }
//! #     async fn get_chat_server(&mut self, uid: i64) -> Result<String, Status> { Ok(String::new()) }
//! # }
//! use uschat_pool::{Pool, PoolConfig};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let manager = GrpcManager::new("http://127.0.0.1:50052", &GrpcConfig::default())?;
//! let stubs = Pool::new("status", manager, PoolConfig { size: 4, ..PoolConfig::default() })?;
//! let mut lease = stubs.get().await?;
//! let server = StatusServiceClient::new(&mut *lease).get_chat_server(1).await?;
//! # Ok(()) }
//! ```

use std::{sync::Arc, time::Duration};

use hyper_util::client::legacy::connect::HttpConnector;
use tonic::{
    Code, Request, Status,
    client::Grpc,
    codegen::http::uri::{PathAndQuery, Scheme},
    transport::Endpoint,
};

pub use tonic;

use self::{connector::ConnectOnce, deadline::Deadline, probe::Empty, watch::Watch};
use crate::{ConfigError, Manager};

mod channel;
mod config;
mod connector;
mod deadline;
mod failure;
mod probe;
mod watch;

pub use channel::{GrpcChannel, GrpcResponse};
pub use config::GrpcConfig;

/// Connects channels to one gRPC server.
///
/// A channel counts as connected when the server has answered a first call (the standard health check;
/// servers that do not offer it answer "unimplemented", which will do). Without that, a peer that
/// accepts TCP and then stays silent would look healthy until the first real call timed out.
///
/// What becomes of a channel later it notices by itself, see [`GrpcChannel`].
#[derive(Debug, Clone)]
pub struct GrpcManager {
    endpoint: Endpoint,
    tcp: HttpConnector,
    deadline: Deadline,
    connect_timeout: Duration,
    patience: Duration,
}

impl GrpcManager {
    /// A manager for the server at `uri`, such as `http://127.0.0.1:50052`. Does not connect.
    ///
    /// # Errors
    /// [`GrpcError::Config`] for a value out of range, [`GrpcError::Transport`] for an unusable `uri`,
    /// [`GrpcError::Scheme`] for one that is not `http`.
    pub fn new(uri: impl Into<String>, config: &GrpcConfig) -> Result<Self, GrpcError> {
        config.validate()?;
        let uri = uri.into();
        let endpoint = Endpoint::from_shared(uri.clone())?;
        // tonic would send `https` in the clear, and keeps another kind of address for `unix`.
        if uri.starts_with("unix:") || endpoint.uri().scheme() != Some(&Scheme::HTTP) {
            return Err(GrpcError::Scheme);
        }
        let endpoint = endpoint
            .timeout(config.call_deadline)
            .http2_keep_alive_interval(config.keep_alive_interval)
            .keep_alive_timeout(config.keep_alive_timeout)
            .keep_alive_while_idle(true);
        let mut tcp = HttpConnector::new();
        tcp.set_nodelay(true);
        // Shared out among the addresses of a name.
        tcp.set_connect_timeout(Some(config.connect_timeout));
        Ok(Self {
            endpoint,
            tcp,
            deadline: Deadline::new(config.call_deadline),
            connect_timeout: config.connect_timeout,
            patience: config.connect_timeout.min(config.call_deadline),
        })
    }
}

impl Manager for GrpcManager {
    type Connection = GrpcChannel;
    type Error = GrpcError;

    async fn connect(&self) -> Result<GrpcChannel, GrpcError> {
        let after = self.connect_timeout;
        let connecting = async {
            let watch = Arc::new(Watch::new(self.patience));
            let connector = ConnectOnce::new(self.tcp.clone(), Arc::clone(&watch));
            let channel = self.endpoint.connect_with_connector(connector).await?;
            let mut channel = GrpcChannel::new(channel, watch, self.deadline.clone());
            self.verify(&mut channel).await?;
            Ok(channel)
        };
        tokio::time::timeout(after, connecting).await.map_err(|_| GrpcError::Silent { after })?
    }

    async fn verify(&self, channel: &mut GrpcChannel) -> Result<(), GrpcError> {
        let mut client = Grpc::new(&mut *channel);
        client.ready().await?;
        let path = PathAndQuery::from_static("/grpc.health.v1.Health/Check");
        match client.unary(Request::new(()), path, Empty).await {
            Ok(_) => Ok(()),
            Err(status) if came_from_peer(status.code()) => Ok(()),
            Err(status) => Err(GrpcError::Probe(Box::new(status))),
        }
    }

    fn is_broken(&self, channel: &GrpcChannel) -> bool {
        channel.is_broken()
    }

    /// Only what stands in the configuration; every other error may pass.
    fn is_permanent(&self, error: &GrpcError) -> bool {
        matches!(error, GrpcError::Config(_) | GrpcError::Scheme)
    }
}

/// True for codes that tonic does not make up itself when the connection or the peer fails.
fn came_from_peer(code: Code) -> bool {
    !matches!(code, Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled | Code::Unknown | Code::Internal)
}

/// Why there is no channel.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GrpcError {
    /// A value is out of range. A retry does not help.
    #[error("a time of the gRPC connection is out of range")]
    Config(#[from] ConfigError),
    /// The address asks for something other than gRPC over plain HTTP/2. A retry does not help.
    #[error("the address of a gRPC server begins with http://")]
    Scheme,
    /// The address is unusable, or TCP or HTTP/2 could not be set up. A retry may help in the second case.
    #[error("the gRPC connection could not be set up")]
    Transport(#[from] tonic::transport::Error),
    /// The peer did not connect and answer in time. A retry may help.
    #[error("the peer did not answer within {after:?}")]
    Silent {
        /// The configured time.
        after: Duration,
    },
    /// The peer accepted the connection, but a first call failed. A retry may help.
    #[error("the peer accepted the connection but did not answer a call")]
    Probe(#[source] Box<Status>),
}
