//! Why a caller got no connection: one error for [`Pool`](crate::Pool) and [`Shared`](crate::Shared).

use std::{fmt, time::Duration};

/// Names the step that failed.
///
/// Verification is missing on purpose: a connection that fails it is replaced, and the caller hears
/// only whether the replacement could be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PoolError<E> {
    /// Nobody gave a connection back in time, or nobody finished a connect. The pool is too small or
    /// its users hold connections for too long; a retry joins the queue at its end.
    #[error("no connection became free within {after:?}")]
    Wait {
        /// The configured wait.
        after: Duration,
    },
    /// So many callers wait that one more is refused at once. A retry helps only after a pause.
    #[error("{waiting} callers wait for a connection, allowed is {max}")]
    Exhausted {
        /// Callers that waited at that moment.
        waiting: usize,
        /// The configured limit.
        max: usize,
    },
    /// The manager could not connect; its error is the source. Whether a retry helps depends on that:
    /// a refused connection may pass, wrong credentials do not.
    #[error("connecting failed")]
    Connect(#[source] E),
    /// The manager did not finish connecting in time: the peer is slow or silent. A retry may help.
    #[error("connecting took longer than {after:?}")]
    ConnectTimeout {
        /// The configured time for one connect.
        after: Duration,
    },
    /// Earlier connects failed, and the pause before the next attempt is not over or that attempt is under way. A retry
    /// helps after `retry_in` at the earliest, or as soon as the attempt under way has succeeded.
    #[error("{step} failed before, the next attempt is due in {retry_in:?}")]
    BackingOff {
        /// The step at which the last attempt ended.
        step: FailedStep,
        /// Time left until a caller may attempt it again.
        retry_in: Duration,
    },
    /// The pool was closed. A retry never helps.
    #[error("the pool is closed")]
    Closed,
}

impl<E> PoolError<E> {
    /// True if the same call may succeed later without anybody changing anything. False only for
    /// [`Closed`](Self::Closed): what stands behind [`Connect`](Self::Connect) is the manager's to know.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        !matches!(self, Self::Closed)
    }
}

/// The step at which an attempt to connect ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum FailedStep {
    /// The manager returned an error.
    Connect,
    /// The manager did not finish in time.
    ConnectTimeout,
}

impl fmt::Display for FailedStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connect => "connecting",
            Self::ConnectTimeout => "connecting in time",
        })
    }
}
