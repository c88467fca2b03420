//! What pools show of themselves, for health pages and logs.
//!
//! All of it can be serialized: fields keep their names, and a time is a whole number of milliseconds under a name that
//! ends in `_ms`.

use std::time::Duration;

use serde::Serialize;

use crate::{FailedStep, config::milliseconds};

/// What a [`Pool`](crate::Pool) holds at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Snapshot {
    /// The pool's name.
    pub name: Box<str>,
    /// Most connections that may exist.
    pub max_size: usize,
    /// Connections that exist, idle or not.
    pub size: usize,
    /// Connections ready to be lent.
    pub idle: usize,
    /// Connections that are lent, being verified or being cleaned.
    pub in_use: usize,
    /// Callers that found no free place when they came and have no lease yet.
    pub waiting: usize,
    /// Connections made since the pool was built.
    pub connected_total: u64,
    /// Connections closed, or taken out for good, since the pool was built.
    pub closed_total: u64,
    /// Whether new connections may be made.
    pub breaker: BreakerState,
}

/// What a [`Shared`](crate::Shared) holds at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct SharedSnapshot {
    /// The set's name.
    pub name: Box<str>,
    /// Most connections it makes.
    pub size: usize,
    /// Connections that exist and were not reported broken.
    pub live: usize,
    /// Handles in use, and callers that connect or wait for a connect.
    pub in_flight: usize,
    /// Callers that wait for a connect another caller makes.
    pub waiting: usize,
    /// Connections made since the set was built.
    pub connected_total: u64,
    /// Connections that are handed out no more since the set was built. One goes once its last handle has.
    pub closed_total: u64,
    /// Whether new connections may be made.
    pub breaker: BreakerState,
}

/// Whether new connections may be made. Connections that exist are lent in every state.
///
/// ```
/// use std::time::Duration;
/// use uschat_pool::{BreakerState, FailedStep};
///
/// let state = BreakerState::Open { step: FailedStep::ConnectTimeout, retry_in: Duration::from_millis(250) };
/// let shown = serde_json::to_value(state)?;
/// assert_eq!(shown, serde_json::json!({ "state": "open", "step": "connect_timeout", "retry_in_ms": 250 }));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
#[non_exhaustive]
pub enum BreakerState {
    /// Whenever one is needed: the last attempt succeeded, or there was none.
    Closed,
    /// One attempt is under way, to see whether the peer is back. Nobody else may try.
    HalfOpen {
        /// The step at which the attempt before it ended.
        step: FailedStep,
    },
    /// The last attempt failed, and none is under way.
    Open {
        /// The step at which it ended.
        step: FailedStep,
        /// Time until a caller may try again; zero if the next one may. Serialized as `retry_in_ms`.
        #[serde(rename = "retry_in_ms", serialize_with = "milliseconds::serialize")]
        retry_in: Duration,
    },
}
