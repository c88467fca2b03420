use std::time::Duration;

use uschat_proto::ErrorCode;

use crate::error::{ConnectError, RequestError};
use crate::gate::GateError;

/// [`Messenger::start`](super::Messenger::start) did not lead to a session. Nothing is left running.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The gate gave no ticket.
    #[error(transparent)]
    Gate(#[from] GateError),
    /// The chat server did not let the user in.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The chat server did not take the cursors (3003): not every server knows them.
    #[error("the chat server did not take the cursors: {0}")]
    Sync(#[source] RequestError),
}

/// Texts given to a [`Messenger`](super::Messenger) were not acknowledged and are not sent any more.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// The server refused these texts for good, and stored none of them: [`ErrorCode::NOT_FRIENDS`],
    /// [`ErrorCode::CLIENT_ID_REUSED`] or another code. Others are not concerned.
    #[error("refused with code {0}")]
    Refused(ErrorCode),
    /// The texts are beyond a limit. Nothing was sent.
    #[error(transparent)]
    Limit(RequestError),
    /// [`MessengerConfig::send_deadline`](super::MessengerConfig::send_deadline) passed. The texts may or may not be
    /// stored; to send them again with the same ids is safe.
    #[error("not acknowledged within {after:?}")]
    TimedOut {
        /// The deadline.
        after: Duration,
    },
    /// The messenger ended before. The texts may or may not be stored; another one may send them again with the same ids.
    #[error("not acknowledged before the end: {0}")]
    Ended(#[source] EndReason),
    /// The texts are stored, but the server does not say where. The server is at fault.
    #[error("the server's answer does not name the texts")]
    InvalidReply,
}

/// Why a [`Messenger`](super::Messenger) ended for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EndReason {
    /// By [`Messenger::close`](super::Messenger::close), or because the last handle was dropped.
    #[error("closed by this program")]
    Closed,
    /// A newer login of the same user took over. Do not start again by yourself: two programs would kick each other out
    /// for ever.
    #[error("replaced by a newer login of the same user")]
    Replaced,
    /// The gate accepts the password no longer.
    #[error("the password is no longer accepted")]
    PasswordRefused,
}
