//! Connections to Redis and Redis Cluster: handed out by a [`Shared`](crate::Shared) to many users at the same time, or lent
//! by a [`Pool`](crate::Pool) to one.
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
//!
//! # Dedicated connections
//!
//! A shared connection carries the commands of many users, and Redis answers them in order. So on a connection of
//! [`RedisManager::new`] a command is refused, without being sent, that lets the server wait (`BLPOP`, `XREAD BLOCK`,
//! `WAIT`, …) or leaves something behind for the others (`WATCH`, `MULTI`, `SELECT`, `AUTH`, `CLIENT TRACKING`, …), unless
//! the same pipeline ends it again, as `redis::pipe().atomic()` does.
//!
//! For these commands there are connections of [`RedisManager::dedicated`], in a [`Pool`](crate::Pool):
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use uschat_pool::{Pool, PoolConfig, redis::{RedisConfig, RedisManager, redis::cmd}};
//!
//! let manager = RedisManager::dedicated("redis://127.0.0.1:6379/0", &RedisConfig::default())?;
//! let workers = Pool::new("workers", manager, PoolConfig::default())?;
//! let mut lease = workers.get().await?;
//! let job: Option<(String, String)> = cmd("BLPOP").arg("jobs").arg(30).query_async(&mut *lease).await?;
//! # Ok(()) }
//! ```
//!
//! What is left when a lease ends never reaches the next user: a connection with keys still watched, an open
//! transaction, another database or user, or a command that was given up before its answer, is first reset by the
//! pool (`RESET`, known to Redis 6.2 and later); one that cannot be (`CLIENT NO-EVICT`), or whose server still waits
//! on behalf of a `BLPOP` that was given up, is replaced. That costs no round trip where nothing was left: `WATCH`
//! that ended with `EXEC`, `DISCARD` or `UNWATCH` leaves nothing.
//!
//! Commands after which answers could not be told apart (`SUBSCRIBE` and its kin, `MONITOR`, `CLIENT REPLY`, `SYNC`)
//! are refused on every connection.

use std::{fmt, time::Duration};

use serde::{Deserialize, Serialize};
use tokio::time::{Instant, timeout, timeout_at};

use ::redis::cluster::ClusterClient;

pub use ::redis;

use self::{address::Address, connection::Purpose, error::explain, server::Server};
pub use self::{
    connection::{RedisConnection, Within},
    error::RedisError,
};
use crate::{
    ConfigError, Manager,
    config::{milliseconds, time},
};

mod address;
mod cluster;
mod connection;
mod effect;
mod error;
mod failure;
mod health;
mod server;
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
    purpose: Purpose,
    config: RedisConfig,
}

#[derive(Clone)]
enum Target {
    Server(Server),
    Cluster { client: Box<ClusterClient>, seeds: Vec<Server> },
}

impl RedisManager {
    /// A manager for the server or cluster at `url`, see [this module](self). Reads the file of a private CA; does not
    /// connect.
    ///
    /// # Errors
    /// [`RedisError::Config`], [`RedisError::Url`], [`RedisError::NoTlsProvider`] or [`RedisError::Tls`].
    pub fn new(url: &str, config: &RedisConfig) -> Result<Self, RedisError> {
        Self::with_purpose(url, config, Purpose::Shared)
    }

    /// The same for connections that one user at a time has for itself: for a [`Pool`](crate::Pool), see [this
    /// module](self#dedicated-connections).
    ///
    /// # Errors
    /// Those of [`new`](Self::new), and [`RedisError::Url`] for a cluster.
    pub fn dedicated(url: &str, config: &RedisConfig) -> Result<Self, RedisError> {
        Self::with_purpose(url, config, Purpose::Dedicated)
    }

    fn with_purpose(url: &str, config: &RedisConfig, purpose: Purpose) -> Result<Self, RedisError> {
        config.validate()?;
        let address = Address::parse(url)?;
        if address.cluster && purpose == Purpose::Dedicated {
            return Err(RedisError::Url { reason: "a dedicated connection is to one server, not to a cluster" });
        }
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
            Target::Cluster { client: Box::new(cluster::client(&address, ca, config)?), seeds: servers }
        } else {
            Target::Server(servers.swap_remove(0))
        };
        Ok(Self { servers: address.servers(), target, purpose, config: config.clone() })
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
                Target::Server(server) => server.connect(&self.config, self.purpose, false).await,
                Target::Cluster { client, seeds } => self.connect_cluster(client, seeds).await,
            }
        };
        timeout(after, connecting).await.map_err(|_| RedisError::Silent { after })?
    }

    async fn verify(&self, connection: &mut RedisConnection) -> Result<(), RedisError> {
        ping(connection).await
    }

    /// True for what is wrong with the URL, the user, the password or the certificate.
    fn is_permanent(&self, error: &RedisError) -> bool {
        error.is_permanent()
    }

    /// True once the connection has ended, a command went unanswered, or the server turned out to be a replica.
    fn is_broken(&self, connection: &RedisConnection) -> bool {
        connection.is_broken()
    }

    /// True for a dedicated connection with something left in it, or with a command that was given up.
    fn is_dirty(&self, connection: &mut RedisConnection) -> bool {
        connection.is_dirty()
    }

    /// `RESET`, and logging in again. Not while the server waits on behalf of a command that was given up.
    async fn clean(&self, connection: &mut RedisConnection) -> Result<(), RedisError> {
        match &self.target {
            Target::Server(server) => connection.reset(&server.resetting()).await,
            Target::Cluster { .. } => Ok(()),
        }
    }
}

impl RedisManager {
    async fn connect_cluster(&self, client: &ClusterClient, seeds: &[Server]) -> Result<RedisConnection, RedisError> {
        let half = Instant::now() + self.config.connect_timeout / 2;
        let error = match timeout_at(half, client.get_async_connection()).await {
            Ok(Ok(connection)) => {
                let mut connection = RedisConnection::cluster(connection, self.config.command_deadline);
                return ping(&mut connection).await.map(|()| connection);
            }
            Ok(Err(error)) => explain(error),
            Err(_) => RedisError::Silent { after: self.config.connect_timeout / 2 },
        };
        // The driver's error does not tell a wrong password from a server that is no cluster; a seed itself does.
        let mut cause = None;
        for seed in seeds {
            match seed.connect(&self.config, self.purpose, true).await {
                Ok(_) => return Err(error),
                Err(error) => cause = cause.or(Some(error)),
            }
        }
        Err(cause.unwrap_or(error))
    }
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
