use std::{io, sync::Arc, time::Duration};

use uschat_wire::DecodeError;

/// What is left to write when the peer has probably gone gets this long at most; who half-closes and still reads, reads fast.
const FLUSH_TO_A_SILENT_PEER: Duration = Duration::from_secs(2);

/// Why a session ended. For logs and, by [`CloseReason::label`], for metrics.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum CloseReason {
    /// The peer closed its side between two frames.
    #[error("the peer closed the connection")]
    PeerClosed,
    /// The peer closed its side in the middle of a frame.
    #[error("the peer closed the connection in the middle of a frame")]
    PeerClosedMidFrame,
    /// The connection broke.
    #[error("the connection broke: {0}")]
    Broken(#[source] Arc<io::Error>),
    /// The peer sent what cannot be a frame.
    #[error("the peer broke the framing: {0}")]
    Framing(#[source] DecodeError),
    /// The peer connected and sent nothing.
    #[error("nothing was sent within the first-byte deadline")]
    FirstByteDeadline,
    /// The peer did not log in.
    #[error("no login within its deadline")]
    LoginDeadline,
    /// A frame was begun and not ended.
    #[error("a frame was not complete within its deadline")]
    FrameDeadline,
    /// Nothing came from a session that used to send heartbeats.
    #[error("nothing was heard within the idle deadline")]
    Idle,
    /// The peer took nothing of a write.
    #[error("the peer did not read within the write deadline")]
    WriteDeadline,
    /// More was pushed than the outbound queue holds.
    #[error("the peer reads too slowly: its outbound queue is full")]
    SlowConsumer,
    /// A handler panicked.
    #[error("a handler panicked: {0}")]
    HandlerPanicked(String),
    /// A newer login of the same user replaced the session.
    #[error("a newer login replaced the session")]
    Replaced,
    /// The application closed it.
    #[error("closed by the application: {0}")]
    Application(&'static str),
    /// The server is stopping.
    #[error("the server is stopping")]
    Draining,
}

impl CloseReason {
    /// A short, fixed name.
    #[must_use]
    pub fn label(&self) -> &'static str {
        match self {
            Self::PeerClosed => "peer_closed",
            Self::PeerClosedMidFrame => "peer_closed_mid_frame",
            Self::Broken(_) => "broken",
            Self::Framing(_) => "framing",
            Self::FirstByteDeadline => "first_byte_deadline",
            Self::LoginDeadline => "login_deadline",
            Self::FrameDeadline => "frame_deadline",
            Self::Idle => "idle",
            Self::WriteDeadline => "write_deadline",
            Self::SlowConsumer => "slow_consumer",
            Self::HandlerPanicked(_) => "handler_panicked",
            Self::Replaced => "replaced",
            Self::Application(_) => "application",
            Self::Draining => "draining",
        }
    }

    /// How long what still waits may take to be written; `None` if the peer will not read it.
    pub(super) fn flush_deadline(&self, write: Duration) -> Option<Duration> {
        match self {
            Self::Broken(_) | Self::WriteDeadline | Self::SlowConsumer => None,
            Self::PeerClosed
            | Self::PeerClosedMidFrame
            | Self::FirstByteDeadline
            | Self::LoginDeadline
            | Self::FrameDeadline
            | Self::Idle => Some(write.min(FLUSH_TO_A_SILENT_PEER)),
            Self::Framing(_) | Self::HandlerPanicked(_) | Self::Replaced | Self::Application(_) | Self::Draining => {
                Some(write)
            }
        }
    }

    /// Whether a peer that then closes its side may be taken to have read everything. One that was silent, broke a rule or
    /// was replaced may not.
    pub(super) fn is_in_good_order(&self) -> bool {
        matches!(self, Self::PeerClosed | Self::HandlerPanicked(_) | Self::Application(_) | Self::Draining)
    }

    /// Whether an operator should hear of it.
    pub(super) fn is_worth_a_warning(&self) -> bool {
        matches!(self, Self::SlowConsumer | Self::WriteDeadline | Self::HandlerPanicked(_))
    }
}
