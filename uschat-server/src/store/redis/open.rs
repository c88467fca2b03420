use std::{error::Error, time::Duration};

use uschat_pool::{
    ConfigError, Manager, Shared, SharedConfig,
    redis::{RedisConfig, RedisError, RedisManager},
};

use super::RedisOptions;

/// Why Redis was not opened. No text repeats the URL.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// An option is out of range.
    #[error("the options of Redis: {0}")]
    Options(#[from] ConfigError),
    /// The URL is unusable.
    #[error("the Redis URL is unusable: {reason}; write redis://[user][:password@]host[:port][/db]")]
    Url {
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The URL asks for TLS and the program has chosen no cryptography for it.
    #[error(
        "rediss:// needs a TLS provider: install one when the program starts, such as rustls::crypto::ring::default_provider()"
    )]
    NoTlsProvider,
    /// TLS could not be set up.
    #[error(
        "TLS to Redis could not be set up: {source}; check that the host in the URL is the one in the server's certificate and that ?ca= names the file of its authority"
    )]
    Tls {
        /// What rustls or the file system says.
        source: Box<dyn Error + Send + Sync>,
    },
    /// Nothing answers.
    #[error(
        "Redis at {servers} cannot be reached: {source}; check that it runs and that host and port in the URL are right"
    )]
    Unreachable {
        /// `host:port`, several for a cluster.
        servers: String,
        /// What the system or the driver says.
        source: Box<dyn Error + Send + Sync>,
    },
    /// The server lets nobody in without the right password.
    #[error(
        "Redis at {servers} refuses the user or the password, or wants one: write redis://[user]:password@… into the URL"
    )]
    Refused {
        /// `host:port`, several for a cluster.
        servers: String,
    },
    /// There is no database of that number.
    #[error(
        "Redis at {servers} has no database of the number at the end of the URL: take a smaller one, or raise `databases` in its configuration"
    )]
    NoDatabase {
        /// `host:port`.
        servers: String,
    },
    /// The server belongs to a cluster.
    #[error("Redis at {servers} is a node of a cluster: add ?cluster=true to the URL")]
    IsCluster {
        /// `host:port`.
        servers: String,
    },
    /// The server belongs to no cluster.
    #[error("Redis at {servers} is no cluster: remove cluster=true from the URL")]
    NoCluster {
        /// `host:port` of the nodes the URL names.
        servers: String,
    },
    /// Anything else the server says.
    #[error("Redis at {servers} is not usable: {source}; look into its log")]
    Unusable {
        /// `host:port`, several for a cluster.
        servers: String,
        /// What the server or the driver says.
        source: Box<dyn Error + Send + Sync>,
    },
}

/// A server that returns is asked again after this at the latest.
const MAX_BACKOFF: Duration = Duration::from_millis(500);

pub(super) async fn open(url: &str, options: &RedisOptions) -> Result<Shared<RedisManager>, OpenError> {
    let connect = options.connect_deadline;
    let config = RedisConfig { connect_timeout: connect, command_deadline: options.command_deadline };
    let manager = RedisManager::new(url, &config).map_err(|error| explain(error, String::new()))?;
    let servers = manager.servers().to_owned();
    let shared = SharedConfig {
        size: options.connections,
        wait: connect,
        // The manager keeps the deadline; its error says more.
        create: connect + MAX_BACKOFF,
        max_waiters: 100_000,
        backoff: Duration::from_millis(50),
        max_backoff: MAX_BACKOFF,
        ..SharedConfig::pipelined()
    };
    let pool = Shared::new("redis", manager.clone(), shared)?;
    // Not through the pool, which would log what the caller is told anyway.
    manager.connect().await.map_err(|error| explain(error, servers))?;
    Ok(pool)
}

fn explain(error: RedisError, servers: String) -> OpenError {
    match error {
        RedisError::Config(error) => OpenError::Options(error),
        RedisError::Url { reason } => OpenError::Url { reason },
        RedisError::NoTlsProvider => OpenError::NoTlsProvider,
        RedisError::Tls(source) => OpenError::Tls { source },
        RedisError::Unreachable(source) => OpenError::Unreachable { servers, source },
        error @ RedisError::Silent { .. } => OpenError::Unreachable { servers, source: error.into() },
        RedisError::Refused => OpenError::Refused { servers },
        RedisError::NoDatabase => OpenError::NoDatabase { servers },
        RedisError::IsCluster => OpenError::IsCluster { servers },
        RedisError::NoCluster => OpenError::NoCluster { servers },
        other => OpenError::Unusable { servers, source: other.into() },
    }
}
