//! gRPC channels, handed out by a [`Shared`](crate::Shared).

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tonic::{
    Code, Request, Status,
    client::Grpc,
    codegen::http::uri::PathAndQuery,
    transport::{Channel, Endpoint},
};

pub use tonic;

use self::probe::Empty;
use crate::{
    ConfigError, Manager,
    config::{milliseconds, time},
};

mod probe;

const HOUR: Duration = Duration::from_secs(60 * 60);

/// Times of a gRPC connection. In a configuration file: whole milliseconds under the key given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GrpcConfig {
    /// How long a connect may take, the peer's first answer included. Key `connect_timeout_ms`, default
    /// 2 s, from 1 ms to an hour.
    #[serde(rename = "connect_timeout_ms", with = "milliseconds")]
    pub connect_timeout: Duration,
    /// How often HTTP/2 pings the peer, also while no call runs. Key `keep_alive_interval_ms`, default
    /// 10 s, from 1 ms to an hour.
    #[serde(rename = "keep_alive_interval_ms", with = "milliseconds")]
    pub keep_alive_interval: Duration,
    /// How long such a ping may go unanswered before the connection is given up. Key
    /// `keep_alive_timeout_ms`, default 5 s, from 1 ms to an hour.
    #[serde(rename = "keep_alive_timeout_ms", with = "milliseconds")]
    pub keep_alive_timeout: Duration,
    /// How long a call may take until its response begins. A stream may go on for longer. A request may
    /// carry a shorter deadline of its own. Key `call_deadline_ms`, default 5 s, from 1 ms to an hour.
    #[serde(rename = "call_deadline_ms", with = "milliseconds")]
    pub call_deadline: Duration,
}

impl Default for GrpcConfig {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(2),
            keep_alive_interval: Duration::from_secs(10),
            keep_alive_timeout: Duration::from_secs(5),
            call_deadline: Duration::from_secs(5),
        }
    }
}

impl GrpcConfig {
    /// Checks every value against its range.
    ///
    /// # Errors
    /// Names the first field that is out of range.
    pub fn validate(&self) -> Result<(), ConfigError> {
        time("connect_timeout_ms", self.connect_timeout, 1, HOUR)?;
        time("keep_alive_interval_ms", self.keep_alive_interval, 1, HOUR)?;
        time("keep_alive_timeout_ms", self.keep_alive_timeout, 1, HOUR)?;
        time("call_deadline_ms", self.call_deadline, 1, HOUR)
    }
}

/// Connects channels to one gRPC server.
///
/// A channel counts as connected when the server has answered a first call (the standard health check;
/// servers that do not offer it answer "unimplemented", which will do). Without that, a peer that
/// accepts TCP and then stays silent would look healthy until the first real call timed out.
///
/// A channel reconnects by itself after its connection was lost, without asking the peer first; report
/// one that keeps failing with [`Handle::broken`](crate::Handle::broken).
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use uschat_pool::{Shared, SharedConfig, grpc::{GrpcConfig, GrpcManager}};
///
/// let manager = GrpcManager::new("http://127.0.0.1:50052", &GrpcConfig::default())?;
/// let status = Shared::new("status", manager, SharedConfig::default())?;
/// let handle = status.handle().await?;
/// // StatusServiceClient::new(handle.clone()) makes the calls; keep `handle` until they are done.
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
pub struct GrpcManager {
    endpoint: Endpoint,
    connect_timeout: Duration,
}

impl GrpcManager {
    /// A manager for the server at `uri`, such as `http://127.0.0.1:50052`. Does not connect.
    ///
    /// # Errors
    /// [`GrpcError::Config`] for a value out of range, [`GrpcError::Transport`] for an unusable `uri`.
    pub fn new(uri: impl Into<String>, config: &GrpcConfig) -> Result<Self, GrpcError> {
        config.validate()?;
        let endpoint = Endpoint::from_shared(uri.into())?
            .connect_timeout(config.connect_timeout)
            .timeout(config.call_deadline)
            .http2_keep_alive_interval(config.keep_alive_interval)
            .keep_alive_timeout(config.keep_alive_timeout)
            .keep_alive_while_idle(true)
            .tcp_nodelay(true);
        Ok(Self { endpoint, connect_timeout: config.connect_timeout })
    }
}

impl Manager for GrpcManager {
    type Connection = Channel;
    type Error = GrpcError;

    async fn connect(&self) -> Result<Channel, GrpcError> {
        let after = self.connect_timeout;
        let connecting = async {
            let mut channel = self.endpoint.connect().await?;
            self.verify(&mut channel).await?;
            Ok(channel)
        };
        tokio::time::timeout(after, connecting).await.map_err(|_| GrpcError::Silent { after })?
    }

    async fn verify(&self, channel: &mut Channel) -> Result<(), GrpcError> {
        let mut client = Grpc::new(&mut *channel);
        client.ready().await?;
        let path = PathAndQuery::from_static("/grpc.health.v1.Health/Check");
        match client.unary(Request::new(()), path, Empty).await {
            Ok(_) => Ok(()),
            Err(status) if came_from_peer(status.code()) => Ok(()),
            Err(status) => Err(GrpcError::Probe(Box::new(status))),
        }
    }

    /// A channel does not say.
    fn is_broken(&self, _: &Channel) -> bool {
        false
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
