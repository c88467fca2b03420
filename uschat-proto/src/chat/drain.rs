//! 3002, ours: the server is stopping. PROTOCOL.md, "Drain".

use serde::{Deserialize, Serialize};

use crate::{ErrorCode, JsonObject, Message, MessageId};

/// The last frame of a session on a server that stops in good order: log in again, at another server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DrainNotice {
    /// Always 0.
    pub error: ErrorCode,
}

impl Message for DrainNotice {
    const ID: MessageId = MessageId::DRAIN_NOTICE;
    type Encoding = JsonObject;
}
