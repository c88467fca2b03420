//! Connections to Redis and Redis Cluster, handed out by a [`Shared`](crate::Shared).
//!
//! # URLs
//!
//! | URL | meaning |
//! |---|---|
//! | `redis://[user][:password@]host[:port][/db]` | one server; port 6379 and database 0 by default |
//! | `rediss://…` | the same over TLS; the server's certificate must be valid for `host` by the system's authorities |
//! | `rediss://…?ca=FILE` | … by the authorities in this PEM file alone |
//! | `redis[s]://…/?cluster=true&node=host:port` | Redis Cluster; the address is any node, `node` (repeatable) names more to ask at the start |
//!
//! Characters with a meaning in URLs are percent-encoded in user and password (`@` is `%40`). No error and no
//! `Debug` output shows a URL, a user or a password.
//!
//! # TLS
//!
//! rustls, with the cryptography that the *application* installed for the process; a library must not choose it. So a
//! program that uses `rediss://` begins with `rustls::crypto::ring::default_provider().install_default()`; without it
//! [`RedisManager::new`] fails with [`RedisError::NoTlsProvider`].

use std::{fmt, time::Duration};

use serde::{Deserialize, Serialize};
use tokio::{
    net::TcpStream,
    time::{Instant, timeout, timeout_at},
};
use tokio_rustls::{TlsConnector, rustls::pki_types::ServerName};

use ::redis::{
    AsyncConnectionConfig, ConnectionAddr, RedisConnectionInfo, TlsCertificates,
    aio::MultiplexedConnection,
    cluster::{ClusterClient, ClusterClientBuilder},
};

pub use ::redis;

use self::{address::Address, error::explain};
pub use self::{connection::RedisConnection, error::RedisError};
use crate::{
    ConfigError, Manager,
    config::{milliseconds, time},
};

mod address;
mod connection;
mod error;
mod tls;

const HOUR: Duration = Duration::from_secs(60 * 60);

/// Times of a Redis connection. In a configuration file: whole milliseconds under the key given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RedisConfig {
    /// How long a connect may take, TLS, login and a first answer included. Key `connect_timeout_ms`, default 2 s, from
    /// 1 ms to an hour.
    #[serde(rename = "connect_timeout_ms", with = "milliseconds")]
    pub connect_timeout: Duration,
    /// How long a command may take until it is answered; the connection counts as broken after that. Key
    /// `command_deadline_ms`, default 1 s (a server that saves its data may stop for some hundred milliseconds), from 1 ms
    /// to an hour.
    #[serde(rename = "command_deadline_ms", with = "milliseconds")]
    pub command_deadline: Duration,
}

impl Default for RedisConfig {
    fn default() -> Self {
        Self { connect_timeout: Duration::from_secs(2), command_deadline: Duration::from_secs(1) }
    }
}

impl RedisConfig {
    /// Checks every value against its range.
    ///
    /// # Errors
    /// Names the first field that is out of range.
    pub fn validate(&self) -> Result<(), ConfigError> {
        time("connect_timeout_ms", self.connect_timeout, 1, HOUR)?;
        time("command_deadline_ms", self.command_deadline, 1, HOUR)
    }
}

/// Connects to one Redis server, or to a Redis Cluster.
///
/// A connection counts as connected when the server has let us in and answered a `PING`. One that was lost, or that left a
/// command unanswered for the whole deadline, is broken and replaced without being reported; that of a
/// cluster reconnects to single nodes by itself and is replaced at most every 5 s.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use uschat_pool::{Shared, SharedConfig, redis::{RedisConfig, RedisManager, redis}};
///
/// let manager = RedisManager::new("redis://127.0.0.1:6379/0", &RedisConfig::default())?;
/// let state = Shared::new("state", manager, SharedConfig::pipelined())?;
/// let mut handle = state.handle().await?;
/// let token: Option<String> = redis::cmd("GET").arg("utoken_1001").query_async(&mut *handle).await?;
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct RedisManager {
    servers: String,
    target: Target,
    config: RedisConfig,
}

#[derive(Clone)]
enum Target {
    Server(Server),
    Cluster { client: Box<ClusterClient>, seeds: Vec<Server> },
}

/// One server, or one node of a cluster.
#[derive(Clone)]
struct Server {
    host: String,
    port: u16,
    login: RedisConnectionInfo,
    tls: Option<TlsConnector>,
}

impl RedisManager {
    /// A manager for the server or cluster at `url`, see [this module](self). Reads the file of a private CA; does not
    /// connect.
    ///
    /// # Errors
    /// [`RedisError::Config`], [`RedisError::Url`], [`RedisError::NoTlsProvider`] or [`RedisError::Tls`].
    pub fn new(url: &str, config: &RedisConfig) -> Result<Self, RedisError> {
        config.validate()?;
        let address = Address::parse(url)?;
        let ca = address.ca.as_deref().map(tls::read_ca).transpose()?;
        let tls = if address.tls { Some(tls::connector(ca.as_deref())?) } else { None };
        let server = |(host, port): &(String, u16)| Server {
            host: host.clone(),
            port: *port,
            login: address.login.clone(),
            tls: tls.clone(),
        };
        let mut servers: Vec<_> = address.nodes.iter().map(server).collect();
        let target = if address.cluster {
            Target::Cluster { client: Box::new(cluster_client(&address, ca, config)?), seeds: servers }
        } else {
            Target::Server(servers.swap_remove(0))
        };
        Ok(Self { servers: address.servers(), target, config: config.clone() })
    }

    /// `host:port` of the server, or of the nodes of a cluster that the URL names, for messages to people.
    #[must_use]
    pub fn servers(&self) -> &str {
        &self.servers
    }
}

impl Manager for RedisManager {
    type Connection = RedisConnection;
    type Error = RedisError;

    async fn connect(&self) -> Result<RedisConnection, RedisError> {
        let after = self.config.connect_timeout;
        let connecting = async {
            match &self.target {
                Target::Server(server) => server.connect(&self.config, false).await,
                Target::Cluster { client, seeds } => self.connect_cluster(client, seeds).await,
            }
        };
        timeout(after, connecting).await.map_err(|_| RedisError::Silent { after })?
    }

    async fn verify(&self, connection: &mut RedisConnection) -> Result<(), RedisError> {
        ping(connection).await
    }

    /// True once the connection has ended or a command went unanswered.
    fn is_broken(&self, connection: &RedisConnection) -> bool {
        connection.is_broken()
    }
}

impl RedisManager {
    async fn connect_cluster(&self, client: &ClusterClient, seeds: &[Server]) -> Result<RedisConnection, RedisError> {
        let half = Instant::now() + self.config.connect_timeout / 2;
        let error = match timeout_at(half, client.get_async_connection()).await {
            Ok(Ok(connection)) => {
                let mut connection = RedisConnection::cluster(connection);
                return ping(&mut connection).await.map(|()| connection);
            }
            Ok(Err(error)) => explain(error),
            Err(_) => RedisError::Silent { after: self.config.connect_timeout / 2 },
        };
        // The driver's error does not tell a wrong password from a server that is no cluster; a seed itself does.
        let mut cause = None;
        for seed in seeds {
            match seed.connect(&self.config, true).await {
                Ok(_) => return Err(error),
                Err(error) => cause = cause.or(Some(error)),
            }
        }
        Err(cause.unwrap_or(error))
    }
}

impl Server {
    async fn connect(&self, config: &RedisConfig, as_cluster: bool) -> Result<RedisConnection, RedisError> {
        let unreachable = |cause: std::io::Error| RedisError::Unreachable(cause.into());
        let stream = TcpStream::connect((self.host.as_str(), self.port)).await.map_err(unreachable)?;
        stream.set_nodelay(true).map_err(unreachable)?;
        let driver = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(config.connect_timeout))
            .set_response_timeout(Some(config.command_deadline));
        let mut connection = match &self.tls {
            None => {
                let (connection, driver) =
                    MultiplexedConnection::new_with_config(&self.login, stream, driver).await.map_err(explain)?;
                RedisConnection::server(connection, driver)
            }
            Some(tls) => {
                let name = ServerName::try_from(self.host.clone()).map_err(|cause| RedisError::Tls(cause.into()))?;
                let stream = tls.connect(name, stream).await.map_err(|cause| RedisError::Tls(cause.into()))?;
                let (connection, driver) =
                    MultiplexedConnection::new_with_config(&self.login, stream, driver).await.map_err(explain)?;
                RedisConnection::server(connection, driver)
            }
        };
        ping(&mut connection).await?;
        // Whoever may not ask is believed: the check only makes a mistake in the URL easy to find.
        let info = ::redis::cmd("INFO").arg("cluster").query_async::<String>(&mut connection).await;
        let is_cluster = info.ok().map(|info| info.contains("cluster_enabled:1"));
        match (is_cluster, as_cluster) {
            (Some(true), false) => Err(RedisError::IsCluster),
            (Some(false), true) => Err(RedisError::NoCluster),
            _ => Ok(connection),
        }
    }
}

fn cluster_client(address: &Address, ca: Option<Vec<u8>>, config: &RedisConfig) -> Result<ClusterClient, RedisError> {
    let nodes = address.nodes.iter().map(|(host, port)| {
        let (host, port) = (host.clone(), *port);
        let addr = if address.tls {
            ConnectionAddr::TcpTls { host, port, insecure: false, tls_params: None }
        } else {
            ConnectionAddr::Tcp(host, port)
        };
        let info = ::redis::IntoConnectionInfo::into_connection_info(addr)?;
        Ok::<_, ::redis::RedisError>(info.set_redis_settings(address.login.clone()))
    });
    let nodes = nodes.collect::<Result<Vec<_>, _>>().map_err(explain)?;
    let mut client = ClusterClientBuilder::new(nodes)
        .retries(0)
        // A node that is down must leave time for the others.
        .connection_timeout(config.connect_timeout / 5)
        .response_timeout(config.command_deadline);
    if let Some(pem) = ca {
        client = client.certs(TlsCertificates { client_tls: None, root_cert: Some(pem) });
    }
    client.build().map_err(explain)
}

async fn ping(connection: &mut RedisConnection) -> Result<(), RedisError> {
    ::redis::cmd("PING").exec_async(connection).await.map_err(explain)
}

/// Names the servers and nothing else: the rest is secret.
impl fmt::Debug for RedisManager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisManager").field("servers", &self.servers).finish_non_exhaustive()
    }
}
