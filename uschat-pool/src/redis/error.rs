use std::{error::Error, time::Duration};

use redis::ErrorKind;

use crate::ConfigError;

/// Why there is no connection. No text repeats the URL.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RedisError {
    /// A value is out of range. A retry does not help.
    #[error("a time of the Redis connection is out of range: {0}")]
    Config(#[from] ConfigError),
    /// The URL is unusable. A retry does not help.
    #[error("the Redis URL is unusable: {reason}")]
    Url {
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The URL asks for TLS and the application has installed no cryptography for rustls. A retry does not help.
    #[error("rediss:// needs a TLS provider: install one first, such as rustls::crypto::ring::default_provider()")]
    NoTlsProvider,
    /// TLS cannot be set up: the file of the private CA, or a certificate that is not valid for this host.
    #[error("TLS could not be set up: {0}")]
    Tls(#[source] Box<dyn Error + Send + Sync>),
    /// Nothing answers there, or the connection was lost at once. A retry may help.
    #[error("the server cannot be reached: {0}")]
    Unreachable(#[source] Box<dyn Error + Send + Sync>),
    /// The server did not connect and answer in time. A retry may help.
    #[error("the server did not answer within {after:?}")]
    Silent {
        /// The configured time.
        after: Duration,
    },
    /// User or password are wrong or missing. A retry does not help.
    #[error("the server refuses the user or the password, or wants one")]
    Refused,
    /// The server has no database of that number. A retry does not help.
    #[error("the server has no database of this number")]
    NoDatabase,
    /// The server belongs to a cluster and the URL does not say so. A retry does not help.
    #[error("the server is a node of a cluster, the URL must say cluster=true")]
    IsCluster,
    /// The URL says cluster=true and the server is none. A retry does not help.
    #[error("the server is no cluster, the URL must not say cluster=true")]
    NoCluster,
    /// Anything else the server or the driver says. Whether a retry helps depends on it: a server that loads its data is
    /// ready later.
    #[error("{0}")]
    Driver(#[source] redis::RedisError),
}

impl RedisError {
    /// It stays until somebody changes the configuration or the server's.
    pub(super) fn is_permanent(&self) -> bool {
        match self {
            Self::Config(_) | Self::Url { .. } | Self::NoTlsProvider | Self::Tls(_) => true,
            Self::Refused | Self::NoDatabase | Self::IsCluster | Self::NoCluster => true,
            Self::Unreachable(_) | Self::Silent { .. } | Self::Driver(_) => false,
        }
    }
}

pub(super) fn unreachable(cause: std::io::Error) -> RedisError {
    RedisError::Unreachable(cause.into())
}

/// The driver's error as one of ours; its text never repeats what was sent.
pub(super) fn explain(error: redis::RedisError) -> RedisError {
    if error.kind() == ErrorKind::AuthenticationFailed || matches!(error.code(), Some("NOAUTH" | "WRONGPASS")) {
        return RedisError::Refused;
    }
    if error.to_string().contains("switch database") || error.detail().is_some_and(|text| text.contains("DB index")) {
        return RedisError::NoDatabase;
    }
    if error.is_io_error() {
        return RedisError::Unreachable(error.into());
    }
    RedisError::Driver(error)
}
