//! Which failed calls may be made again, and doing so within a deadline.

use std::{error::Error, time::Duration};

use tokio::time::{Instant, sleep, timeout_at};

use crate::{PoolError, jitter};

const FIRST_PAUSE: Duration = Duration::from_millis(4);
const LONGEST_PAUSE: Duration = Duration::from_millis(200);

/// How long a call is tried, and whether doing it twice does what doing it once does.
///
/// Used with [`Pool::call`](crate::Pool::call) and [`Shared::call`](crate::Shared::call). Between attempts are pauses that
/// grow from 4 ms to 200 ms, each a random time between half and all of that.
///
/// ```
/// use std::time::Duration;
/// use uschat_pool::Retry;
///
/// let look_up = Retry::within(Duration::from_secs(3)).idempotent();
/// let transfer = Retry::within(Duration::from_secs(3));
/// # let _ = (look_up, transfer);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retry {
    within: Duration,
    idempotent: bool,
}

impl Retry {
    /// Repeats, for so long, what certainly did not happen: no connection could be had, or the peer says that it did
    /// nothing. Waiting, connecting, the call itself and all pauses count. Zero means one attempt without a deadline of its own.
    #[must_use]
    pub fn within(deadline: Duration) -> Self {
        Self { within: deadline, idempotent: false }
    }

    /// Repeats also what may have happened, such as a call whose connection broke before the answer came: right for reads, and for
    /// writes that change nothing the second time.
    #[must_use]
    pub fn idempotent(self) -> Self {
        Self { idempotent: true, ..self }
    }

    pub(crate) fn attempts(self) -> Attempts {
        let until = (!self.within.is_zero()).then(|| Instant::now() + self.within);
        Attempts { retry: self, until, pause: FIRST_PAUSE }
    }

    fn allows(self, repeat: Repeat) -> bool {
        match repeat {
            Repeat::Safe => true,
            Repeat::IfIdempotent => self.idempotent,
            Repeat::Never => false,
        }
    }
}

/// The attempts at one call.
pub(crate) struct Attempts {
    retry: Retry,
    /// None: there is one attempt.
    until: Option<Instant>,
    pause: Duration,
}

impl Attempts {
    /// Makes one attempt, for as long as there is time.
    pub(crate) async fn make<T, P: Error, C: Error>(
        &self,
        attempt: impl Future<Output = Result<T, CallError<P, C>>>,
    ) -> Result<T, CallError<P, C>> {
        let Some(until) = self.until else {
            return attempt.await;
        };
        timeout_at(until, attempt).await.unwrap_or(Err(CallError::Deadline { within: self.retry.within }))
    }

    /// Pauses after an attempt that failed.
    ///
    /// # Errors
    /// `error` itself if there is to be no other attempt.
    pub(crate) async fn pause<P: Error, C: CallFailure + Error>(
        &mut self,
        error: CallError<P, C>,
        is_permanent: impl Fn(&P) -> bool,
    ) -> Result<(), CallError<P, C>> {
        let rest = jitter::at_least_percent(50, self.pause);
        let in_time = self.until.is_some_and(|until| Instant::now() + rest < until);
        if !in_time || !self.retry.allows(error.repeat(is_permanent)) {
            return Err(error);
        }
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        sleep(rest).await;
        Ok(())
    }
}

/// Whether a call that failed may be made again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Repeat {
    /// It did not happen: nothing was sent, or the peer did nothing, or undid it.
    Safe,
    /// It may have happened, or still be happening.
    IfIdempotent,
    /// It would fail again.
    Never,
}

/// What a failed call's error says about the call and about the connection that carried it.
///
/// Implemented for the errors of the managers' drivers; implement it for errors of your own that wrap them, so that
/// [`Pool::call`](crate::Pool::call) can carry more than one statement.
pub trait CallFailure {
    /// Whether the call may be made again. If in doubt, [`Repeat::IfIdempotent`].
    fn repeat(&self) -> Repeat;

    /// True if the connection must not be used again: it was lost, or nobody knows what the peer would answer next.
    fn is_connection_lost(&self) -> bool;
}

/// Why a call through a pool failed: `P` is the manager's error, `C` the call's own.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CallError<P: Error, C: Error> {
    /// There was no connection. The call was not made.
    #[error(transparent)]
    Pool(PoolError<P>),
    /// The call failed, the last time it was made.
    #[error(transparent)]
    Call(C),
    /// The time was over while the call was under way: it may have happened.
    #[error("the call did not end within {within:?}")]
    Deadline {
        /// The time that was given.
        within: Duration,
    },
}

impl<P: Error, C: CallFailure + Error> CallError<P, C> {
    fn repeat(&self, is_permanent: impl Fn(&P) -> bool) -> Repeat {
        match self {
            Self::Pool(PoolError::Connect(cause)) if is_permanent(cause) => Repeat::Never,
            Self::Pool(error) if error.may_pass() => Repeat::Safe,
            Self::Pool(_) => Repeat::Never,
            Self::Call(error) => error.repeat(),
            Self::Deadline { .. } => Repeat::IfIdempotent,
        }
    }
}
