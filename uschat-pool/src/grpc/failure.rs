//! What a failed gRPC call says: whether it may be made again, and whether its connection is lost.

use std::{error::Error, iter};

use tonic::{Code, ConnectError, Status, TimeoutExpired, transport};

use crate::{CallFailure, Repeat};

/// How a call failed on the way. What the peer answered is none of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failure {
    /// It never left: there was no connection any more.
    Unsent,
    /// The server is shutting down and says that it has not looked at this call.
    Unprocessed,
    /// The server refused this call unseen, and takes others.
    Refused,
    /// The deadline was over.
    TimedOut,
    /// The call was torn down alone.
    Reset,
    /// The connection ended while the call was under way.
    Lost,
}

impl Failure {
    pub(super) fn of_transport(error: &transport::Error) -> Self {
        Self::find(error).unwrap_or(Self::Lost)
    }

    /// Looks for the driver's errors in the chain of sources.
    fn find(error: &(dyn Error + 'static)) -> Option<Self> {
        let mut in_transport = false;
        for error in iter::successors(Some(error), |&error| error.source()) {
            if error.is::<ConnectError>() {
                return Some(Self::Unsent);
            }
            if error.is::<TimeoutExpired>() {
                return Some(Self::TimedOut);
            }
            if let Some(error) = error.downcast_ref::<h2::Error>() {
                return Some(Self::of_http2(error));
            }
            // hyper says "cancelled" of a request only while it still holds it.
            if error.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_canceled) {
                return Some(Self::Unsent);
            }
            in_transport |= error.is::<hyper::Error>() || error.is::<transport::Error>();
        }
        in_transport.then_some(Self::Lost)
    }

    fn of_http2(error: &h2::Error) -> Self {
        match error {
            // Told only to calls behind the last one that the server took (RFC 9113, section 6.8).
            error if error.is_go_away() && error.is_remote() => Self::Unprocessed,
            // RFC 9113, section 8.7.
            error if error.is_reset() && error.reason() == Some(h2::Reason::REFUSED_STREAM) => Self::Refused,
            error if error.is_reset() => Self::Reset,
            _ => Self::Lost,
        }
    }

    fn repeat(self) -> Repeat {
        match self {
            Self::Unsent | Self::Unprocessed | Self::Refused => Repeat::Safe,
            Self::TimedOut | Self::Reset | Self::Lost => Repeat::IfIdempotent,
        }
    }

    /// A deadline that is over says nothing about the connection; its channel watches that.
    pub(super) fn is_connection_lost(self) -> bool {
        matches!(self, Self::Unsent | Self::Unprocessed | Self::Lost)
    }
}

/// What never reached the server is safe to repeat. What may have reached it, and what the server answers with a code that
/// speaks of its own state (`Unavailable`, `DeadlineExceeded`, `Cancelled`, `Unknown`), is repeated if it is
/// idempotent. Any other answer would be the same again; after `ResourceExhausted` the server wants fewer calls, not more.
impl CallFailure for Status {
    fn repeat(&self) -> Repeat {
        match (Failure::find(self), self.code()) {
            (Some(failure), _) => failure.repeat(),
            (None, Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled | Code::Unknown) => {
                Repeat::IfIdempotent
            }
            (None, _) => Repeat::Never,
        }
    }

    fn is_connection_lost(&self) -> bool {
        Failure::find(self).is_some_and(Failure::is_connection_lost)
    }
}

#[cfg(test)]
mod tests {
    use std::{io, sync::Arc};

    use super::*;

    fn caused_by(source: impl Error + Send + Sync + 'static) -> Status {
        let mut status = Status::unknown("the call failed");
        status.set_source(Arc::new(source));
        status
    }

    fn judged(status: &Status) -> (Repeat, bool) {
        (status.repeat(), status.is_connection_lost())
    }

    #[test]
    fn what_was_not_sent_is_safe() {
        let refused = ConnectError(Box::new(io::Error::from(io::ErrorKind::ConnectionRefused)));
        assert_eq!(judged(&caused_by(refused)), (Repeat::Safe, true));
    }

    #[test]
    fn a_deadline_leaves_the_connection_alone() {
        assert_eq!(judged(&caused_by(TimeoutExpired(()))), (Repeat::IfIdempotent, false));
    }

    #[test]
    fn an_answer_is_judged_by_its_code() {
        use Repeat::{IfIdempotent, Never};
        for (code, repeat) in [
            (Code::Unavailable, IfIdempotent),
            (Code::DeadlineExceeded, IfIdempotent),
            (Code::Cancelled, IfIdempotent),
            (Code::Unknown, IfIdempotent),
            (Code::InvalidArgument, Never),
            (Code::NotFound, Never),
            (Code::AlreadyExists, Never),
            (Code::PermissionDenied, Never),
            (Code::ResourceExhausted, Never),
            (Code::FailedPrecondition, Never),
            (Code::Aborted, Never),
            (Code::OutOfRange, Never),
            (Code::Unimplemented, Never),
            (Code::Internal, Never),
            (Code::DataLoss, Never),
            (Code::Unauthenticated, Never),
        ] {
            assert_eq!(judged(&Status::new(code, "")), (repeat, false), "{code:?}");
            let mut with_foreign_source = Status::new(code, "");
            with_foreign_source.set_source(Arc::new(io::Error::other("an interceptor's own")));
            assert_eq!(judged(&with_foreign_source), (repeat, false), "{code:?}");
        }
    }
}
