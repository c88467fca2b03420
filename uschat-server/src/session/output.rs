use tokio::{
    io::{AsyncRead, AsyncWrite, WriteHalf},
    net::tcp,
};

use super::send_queue;

/// The sending side of a connection.
pub(super) trait Output: AsyncWrite + Unpin {
    /// Bytes that were written and that the peer's system has not acknowledged; `None` where nobody can tell. `shut` says
    /// that the sending side was shut down.
    fn unacknowledged(&self, shut: bool) -> Option<usize>;
}

impl Output for tcp::WriteHalf<'_> {
    fn unacknowledged(&self, shut: bool) -> Option<usize> {
        send_queue::unacknowledged(self.as_ref(), shut)
    }
}

/// Whatever else carries frames: there may be TLS or a relay in between, so that bytes cannot be compared.
impl<T: AsyncRead + AsyncWrite> Output for WriteHalf<T> {
    fn unacknowledged(&self, _shut: bool) -> Option<usize> {
        None
    }
}
