use std::{fmt, future::Future, pin::Pin};

use uschat_proto::ErrorCode;

/// What a handler answers with.
///
/// Handlers of one session run one after another until they return. What they deferred runs beside later requests, but
/// one after another among themselves, and the answers leave in the order of their requests.
pub enum Reply<T> {
    /// Leaves at once, also past deferred answers of earlier requests, unless the request is
    /// [`ORDERED`](uschat_proto::Request::ORDERED).
    Now(T),
    /// Leaves when the future is done and every earlier deferred answer of the session has left.
    Later(Pin<Box<dyn Future<Output = Result<T, ErrorCode>> + Send>>),
}

impl<T> Reply<T> {
    /// Defers the answer. Whatever fixes an order must have happened before: do it synchronously in the handler, and await
    /// only its receipt in here.
    pub fn later(answer: impl Future<Output = Result<T, ErrorCode>> + Send + 'static) -> Self {
        Self::Later(Box::pin(answer))
    }
}

impl<T: fmt::Debug> fmt::Debug for Reply<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Now(answer) => f.debug_tuple("Now").field(answer).finish(),
            Self::Later(_) => f.write_str("Later(..)"),
        }
    }
}
