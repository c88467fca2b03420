//! The status service: picks a chat server for a user and mints the token that lets them in. PROTOCOL.md, "Status".
//!
//! It picks the server with the fewest sessions among those that are alive and not draining. Because servers tell their
//! load only now and then, what this service handed out since counts too: a burst of logins spreads.
//!
//! A token is a random UUID (version 4), good on every chat server and for any number of logins until it expires, a
//! newer one replaces it, or the password is reset.
//!
//! ```no_run
//! # async fn example(state: std::sync::Arc<dyn uschat_server::store::State>) -> std::io::Result<()> {
//! use tokio_util::sync::CancellationToken;
//! use uschat_server::status::{Status, StatusConfig};
//!
//! let listener = tokio::net::TcpListener::bind("127.0.0.1:50052").await?;
//! Status::new(StatusConfig::default(), state).serve(listener, CancellationToken::new()).await
//! # }
//! ```

mod balance;
mod service;

use std::{collections::BTreeMap, fmt, io, sync::Arc, time::Duration};

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use uschat_proto::grpc::s1::status_service_server::StatusServiceServer;

use self::{balance::Balance, service::Service};
use crate::{
    grpc_server::{self, GrpcServerConfig, MAX_MESSAGE_BYTES},
    store::State,
};

/// Settings of the status service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusConfig {
    /// How long a token is good. Default 7 days.
    pub token_lifetime: Duration,
    /// How long a server handed out counts as a session that its server does not know yet, if the server's number of
    /// sessions does not change before. Should be longer than chat servers take to announce themselves. Default 10 s.
    pub hand_out_memory: Duration,
    /// Host and port that clients of a chat server are told, by its name, in place of what it announces: where clients come
    /// through a proxy, or a chat server does not know its own address. Default empty.
    pub client_addresses: BTreeMap<String, (String, u16)>,
    /// The listener's limits.
    pub server: GrpcServerConfig,
}

impl Default for StatusConfig {
    fn default() -> Self {
        Self {
            token_lifetime: Duration::from_secs(7 * 24 * 60 * 60),
            hand_out_memory: Duration::from_secs(10),
            client_addresses: BTreeMap::new(),
            server: GrpcServerConfig::default(),
        }
    }
}

/// The status service.
pub struct Status {
    config: StatusConfig,
    state: Arc<dyn State>,
}

impl Status {
    /// Wires the service. Does nothing yet.
    #[must_use]
    pub fn new(config: StatusConfig, state: Arc<dyn State>) -> Self {
        Self { config, state }
    }

    /// Serves gRPC on `listener` until `shutdown`, then finishes the calls under way and returns.
    ///
    /// # Errors
    /// When the listener is unusable.
    pub async fn serve(self, listener: TcpListener, shutdown: CancellationToken) -> io::Result<()> {
        let service = Service {
            state: self.state,
            token_lifetime: self.config.token_lifetime,
            balance: Balance::new(self.config.hand_out_memory),
            client_addresses: self.config.client_addresses,
        };
        let service = StatusServiceServer::new(service).max_decoding_message_size(MAX_MESSAGE_BYTES);
        grpc_server::serve(listener, Routes::new(service), self.config.server, shutdown).await
    }
}

impl fmt::Debug for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Status").field("config", &self.config).finish_non_exhaustive()
    }
}
