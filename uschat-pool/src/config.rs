//! What can be set about a pool, with the defaults and the range of every value.
//!
//! Configuration files write every time as a whole number of milliseconds under a key that ends in
//! `_ms` (`wait_ms = 2000`); in Rust the same field is a [`Duration`]. A key that does not exist is
//! refused, so that a misspelt limit cannot silently become the default.

use std::time::Duration;

use serde::{Deserialize, Serialize};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const MOST_CONNECTIONS: u64 = 4_096;
const MOST_WAITERS: u64 = 1_000_000;

/// The limits of a [`Pool`](crate::Pool).
///
/// ```
/// use std::time::Duration;
/// use uschat_pool::PoolConfig;
///
/// let config: PoolConfig = serde_json::from_str(r#"{ "size": 4, "wait_ms": 500 }"#)?;
/// assert_eq!(config.wait, Duration::from_millis(500));
/// assert_eq!(config.max_waiters, 1_024);
/// assert!(config.validate().is_ok());
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PoolConfig {
    /// Most connections that exist at one time. Default 8, from 1 to 4,096.
    pub size: usize,
    /// How long a caller waits for a connection that somebody else holds. Key `wait_ms`, default 2 s,
    /// up to a day; zero means that nobody waits.
    #[serde(rename = "wait_ms", with = "milliseconds")]
    pub wait: Duration,
    /// How long one connect may take. Key `create_ms`, default 2 s, from 1 ms to a day.
    #[serde(rename = "create_ms", with = "milliseconds")]
    pub create: Duration,
    /// How long verifying or cleaning a connection may take before it is given up and replaced. Key
    /// `recycle_ms`, default 1 s, from 1 ms to a day.
    #[serde(rename = "recycle_ms", with = "milliseconds")]
    pub recycle: Duration,
    /// A connection that has been idle this long is verified before it is lent again; a younger one
    /// is lent as it is. Key `verify_after_ms`, default 30 s, up to a day; zero verifies every time.
    #[serde(rename = "verify_after_ms", with = "milliseconds")]
    pub verify_after: Duration,
    /// A connection older than this is replaced instead of lent. Each one gets its own limit between
    /// 90 and 100 % of the value, so that connections made together do not end together. Key
    /// `max_lifetime_ms`, default 30 min, from 1 ms to 30 days.
    #[serde(rename = "max_lifetime_ms", with = "milliseconds")]
    pub max_lifetime: Duration,
    /// Connections kept ready beside those that are lent, as far as `size` allows; made before somebody needs them.
    /// Default 0, up to `size`.
    pub min_idle: usize,
    /// A connection that has been idle this long is closed, unless it is one of `min_idle`. Looked after every 30 s,
    /// or in an eighth of this or of the lifetime if that is less. Key `max_idle_ms`, default 10 min, from 1 ms to
    /// 30 days.
    #[serde(rename = "max_idle_ms", with = "milliseconds")]
    pub max_idle: Duration,
    /// Most callers that wait at one time; the next one is refused. Default 1,024, up to 1,000,000.
    pub max_waiters: usize,
    /// Pause after a first failed connect; it doubles with every further failure. Each pause is a
    /// random time between half and all of that. Key `backoff_ms`, default 100 ms, from 1 ms to a day.
    #[serde(rename = "backoff_ms", with = "milliseconds")]
    pub backoff: Duration,
    /// Where the doubling ends. One attempt in each pause costs the peer next to nothing, and a peer that is back is noticed
    /// within this. Key `max_backoff_ms`, default 500 ms, from 1 ms to a day.
    #[serde(rename = "max_backoff_ms", with = "milliseconds")]
    pub max_backoff: Duration,
}

impl Default for PoolConfig {
    fn default() -> Self {
        Self {
            size: 8,
            wait: Duration::from_secs(2),
            create: Duration::from_secs(2),
            recycle: Duration::from_secs(1),
            verify_after: Duration::from_secs(30),
            max_lifetime: Duration::from_secs(30 * 60),
            min_idle: 0,
            max_idle: Duration::from_secs(10 * 60),
            max_waiters: 1_024,
            backoff: Duration::from_millis(100),
            max_backoff: Duration::from_millis(500),
        }
    }
}

impl PoolConfig {
    /// Checks every value against its range.
    ///
    /// # Errors
    /// Names the first field that is out of range.
    pub fn validate(&self) -> Result<(), ConfigError> {
        size(self.size)?;
        time("wait_ms", self.wait, 0, DAY)?;
        time("create_ms", self.create, 1, DAY)?;
        time("recycle_ms", self.recycle, 1, DAY)?;
        time("verify_after_ms", self.verify_after, 0, DAY)?;
        time("max_lifetime_ms", self.max_lifetime, 1, 30 * DAY)?;
        count("min_idle", self.min_idle, 0, whole(self.size))?;
        time("max_idle_ms", self.max_idle, 1, 30 * DAY)?;
        count("max_waiters", self.max_waiters, 0, MOST_WAITERS)?;
        time("backoff_ms", self.backoff, 1, DAY)?;
        time("max_backoff_ms", self.max_backoff, 1, DAY)
    }
}

/// The limits of a [`Shared`](crate::Shared).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SharedConfig {
    /// Most connections that exist at one time. Default 4, from 1 to 4,096.
    pub size: usize,
    /// How long a caller waits for a connect that another caller is making. Key `wait_ms`, default
    /// 2 s, up to a day; zero means that nobody waits.
    #[serde(rename = "wait_ms", with = "milliseconds")]
    pub wait: Duration,
    /// How long one connect may take. Key `create_ms`, default 2 s, from 1 ms to a day.
    #[serde(rename = "create_ms", with = "milliseconds")]
    pub create: Duration,
    /// Most callers that wait at one time; the next one is refused. Default 1,024, up to 1,000,000.
    pub max_waiters: usize,
    /// Pause after a first failed connect; it doubles with every further failure. Each pause is a
    /// random time between half and all of that. Key `backoff_ms`, default 100 ms, from 1 ms to a day.
    #[serde(rename = "backoff_ms", with = "milliseconds")]
    pub backoff: Duration,
    /// Where the doubling ends. One attempt in each pause costs the peer next to nothing, and a peer that is back is noticed
    /// within this. Key `max_backoff_ms`, default 500 ms, from 1 ms to a day.
    #[serde(rename = "max_backoff_ms", with = "milliseconds")]
    pub max_backoff: Duration,
}

impl Default for SharedConfig {
    fn default() -> Self {
        Self {
            size: 4,
            wait: Duration::from_secs(2),
            create: Duration::from_secs(2),
            max_waiters: 1_024,
            backoff: Duration::from_millis(100),
            max_backoff: Duration::from_millis(500),
        }
    }
}

impl SharedConfig {
    /// Checks every value against its range.
    ///
    /// # Errors
    /// Names the first field that is out of range.
    pub fn validate(&self) -> Result<(), ConfigError> {
        size(self.size)?;
        time("wait_ms", self.wait, 0, DAY)?;
        time("create_ms", self.create, 1, DAY)?;
        count("max_waiters", self.max_waiters, 0, MOST_WAITERS)?;
        time("backoff_ms", self.backoff, 1, DAY)?;
        time("max_backoff_ms", self.max_backoff, 1, DAY)
    }
}

/// A value of a configuration that no pool can be built with. The configuration is at fault; a retry
/// does not help.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A value lies outside its range.
    #[error("{field} is {value}, allowed is {min} to {max}")]
    OutOfRange {
        /// The key as a configuration file spells it.
        field: &'static str,
        /// What was given; milliseconds if the key ends in `_ms`.
        value: u64,
        /// The smallest value allowed.
        min: u64,
        /// The largest value allowed.
        max: u64,
    },
}

pub(crate) fn size(size: usize) -> Result<(), ConfigError> {
    count("size", size, 1, MOST_CONNECTIONS)
}

pub(crate) fn time(field: &'static str, value: Duration, min: u64, max: Duration) -> Result<(), ConfigError> {
    within(field, milliseconds::whole(value), min, milliseconds::whole(max))
}

fn count(field: &'static str, value: usize, min: u64, max: u64) -> Result<(), ConfigError> {
    within(field, whole(value), min, max)
}

fn whole(value: usize) -> u64 {
    u64::try_from(value).unwrap_or(u64::MAX)
}

fn within(field: &'static str, value: u64, min: u64, max: u64) -> Result<(), ConfigError> {
    if (min..=max).contains(&value) {
        return Ok(());
    }
    Err(ConfigError::OutOfRange { field, value, min, max })
}

/// A [`Duration`] as a whole number of milliseconds.
pub(crate) mod milliseconds {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(value: &Duration, out: S) -> Result<S::Ok, S::Error> {
        out.serialize_u64(whole(*value))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(input: D) -> Result<Duration, D::Error> {
        u64::deserialize(input).map(Duration::from_millis)
    }

    pub(crate) fn whole(value: Duration) -> u64 {
        u64::try_from(value.as_millis()).unwrap_or(u64::MAX)
    }
}
