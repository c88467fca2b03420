use std::io;
use std::sync::Arc;
use std::time::Duration;

use uschat_proto::{ErrorCode, MessageId, PayloadError};
use uschat_wire::DecodeError;

/// [`Chat::connect`](crate::Chat::connect) did not lead to a session.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// No TCP connection came about. The server is down or the address is wrong; a later attempt may succeed.
    #[error("cannot connect to {address}")]
    Unreachable {
        /// Host and port as the ticket names them.
        address: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The step did not end in time. A later attempt may succeed.
    #[error("{step} took longer than {after:?}")]
    TimedOut {
        /// `connecting` or `the login`.
        step: &'static str,
        /// The deadline that passed.
        after: Duration,
    },
    /// The ticket's token is so long that the login does not fit a frame: it is not from a gate. Nothing was sent.
    #[error("the ticket's token does not fit a login")]
    TokenTooLong,
    /// The server refused the login. With [`ErrorCode::TOKEN_INVALID`] or [`ErrorCode::UID_INVALID`] the ticket is void:
    /// log in at the gate again. A code in 3101–3199 is worth a retry.
    #[error("the chat server refused the login with code {0}")]
    Refused(ErrorCode),
    /// The connection ended during the login. A later attempt may succeed.
    #[error("the connection ended during the login: {0}")]
    Disconnected(#[source] DisconnectReason),
    /// The login was answered with something that is no answer to it. The text does not quote the answer, which holds the
    /// token. The server is at fault; a retry does not help.
    #[error("the chat server's answer to the login is not understood: {0}")]
    InvalidReply(&'static str),
}

/// A call on [`Chat`](crate::Chat) failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// The server answered, and the answer is no. [`ErrorCode::is_retryable`] tells whether the same call may succeed
    /// later. The session goes on.
    #[error("refused with code {0}")]
    Refused(ErrorCode),
    /// No answer within the deadline: the request may or may not have been carried out. Sending the same
    /// [`Text`](crate::Text) again is safe, the server stores it once. The session goes on.
    #[error("no answer within {after:?}")]
    TimedOut {
        /// [`ChatConfig::request_deadline`](crate::ChatConfig::request_deadline).
        after: Duration,
    },
    /// The session has ended. What was in flight may or may not have been carried out. Connect again.
    #[error("disconnected: {0}")]
    Disconnected(#[source] DisconnectReason),
    /// More texts than one request may carry, which is stored as a whole or not at all. Nothing was sent; divide them.
    #[error("{count} texts in one request, at most {max} are allowed")]
    TooManyTexts {
        /// How many there are.
        count: usize,
        /// [`limits::MAX_TEXTS`](uschat_proto::chat::limits::MAX_TEXTS).
        max: usize,
    },
    /// The contents of the texts of one request together are too long. Nothing was sent; divide or shorten them.
    #[error("{len} bytes of text in one request, at most {max} are allowed")]
    TextsTooLong {
        /// Their bytes.
        len: usize,
        /// [`limits::MAX_CONTENT`](uschat_proto::chat::limits::MAX_CONTENT).
        max: usize,
    },
    /// A client message id is empty or too long. Nothing was sent.
    #[error("a client message id of {len} bytes, 1 to {max} are allowed")]
    InvalidClientId {
        /// Its bytes.
        len: usize,
        /// [`limits::MAX_CLIENT_ID`](uschat_proto::chat::limits::MAX_CLIENT_ID).
        max: usize,
    },
    /// The request, written as JSON, is longer than the server accepts. Nothing was sent; shorten it.
    #[error("a request of {len} bytes, at most {max} are allowed")]
    BodyTooLong {
        /// Its bytes.
        len: usize,
        /// [`ChatConfig::max_request_body`](crate::ChatConfig::max_request_body).
        max: usize,
    },
    /// The answer is no answer to this request. The server is at fault, and the request may have been carried out. The
    /// session goes on.
    #[error("the server's answer is not understood")]
    InvalidReply(#[from] PayloadError),
}

/// Why a session ended. Cheap to clone, because every call in flight learns it.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum DisconnectReason {
    /// This program closed it: by [`Chat::close`](crate::Chat::close), or by dropping the last handle.
    #[error("closed by this program")]
    Closed,
    /// The server ended the connection.
    #[error("closed by the server")]
    ClosedByServer,
    /// A newer login of the same user took over. Do not connect again by yourself: two programs would kick each other out
    /// for ever.
    #[error("replaced by a newer login of the same user")]
    Replaced,
    /// The server is stopping (3002); everything it had accepted was answered. Log in at the gate again, which knows
    /// another server.
    #[error("the server is stopping")]
    ServerStopping,
    /// The server said nothing while two heartbeats were sent.
    #[error("the server does not answer heartbeats")]
    HeartbeatMissed,
    /// The server sent a frame that cannot be one.
    #[error("the server sent bytes that are no frame: {0}")]
    InvalidFrame(#[source] DecodeError),
    /// The server sent a notice whose body is not understood. Going on would mean to lose it in silence.
    #[error("the server sent a notice {id} that is not understood: {source}")]
    InvalidNotice {
        /// Which message.
        id: MessageId,
        /// What is wrong with it.
        source: Arc<PayloadError>,
    },
    /// A [`Messenger`](crate::Messenger) ended the session, because a text had not come within
    /// [`MessengerConfig::gap_deadline`](crate::MessengerConfig::gap_deadline) when later ones had. It comes in the next one.
    #[error("a text before others did not come in time")]
    TextMissing,
    /// A [`Messenger`](crate::Messenger) ended the session, because texts were not acknowledged within
    /// [`ChatConfig::request_deadline`](crate::ChatConfig::request_deadline). They are sent again.
    #[error("the server did not acknowledge a text in time")]
    AnswerMissing,
    /// A [`Messenger`](crate::Messenger) ended the session, because the server refused a text for a reason that may pass.
    /// It is sent again, and what was sent after it.
    #[error("the server refused a text for now, with code {0}")]
    Refused(ErrorCode),
    /// The connection failed.
    #[error("the connection failed: {0}")]
    Io(#[source] Arc<io::Error>),
}

impl From<io::Error> for DisconnectReason {
    fn from(error: io::Error) -> Self {
        Self::Io(Arc::new(error))
    }
}
