//! The times of a gRPC connection.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{
    ConfigError,
    config::{milliseconds, time},
};

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
    /// How long a call may take until its response begins; the server is told with the call. A stream may go on for longer. A
    /// request may carry a shorter deadline of its own. Key `call_deadline_ms`, default 5 s, from 1 ms to an hour.
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
