//! 1021 a newer login replaced this session. PROTOCOL.md, "One live session".

use serde::{Deserialize, Serialize};

use super::UserId;
use crate::{ErrorCode, JsonObject, Message, MessageId};

/// Tells a session that its user logged in elsewhere. The client closes; the server does so after a grace period.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KickNotice {
    /// Always 0.
    pub error: ErrorCode,
    /// The user of both sessions.
    pub uid: UserId,
}

impl Message for KickNotice {
    const ID: MessageId = MessageId::KICK_NOTICE;
    type Encoding = JsonObject;
}
