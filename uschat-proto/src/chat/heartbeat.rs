//! 1023/1024 heartbeat. PROTOCOL.md, "Heartbeat".

use serde::{Deserialize, Serialize};

use super::UserId;
use crate::{ErrorCode, JsonObject, Message, MessageId, Request};

/// Says that the client is still there; later Qt clients send it every 10 s. Answered by [`HeartbeatResponse`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct HeartbeatRequest {
    /// The user as the client says; must be the session's user when it is there.
    #[serde(default, rename = "fromuid", skip_serializing_if = "Option::is_none")]
    pub from: Option<UserId>,
}

impl Message for HeartbeatRequest {
    const ID: MessageId = MessageId::HEARTBEAT_REQUEST;
    type Encoding = JsonObject;
}
impl Request for HeartbeatRequest {
    type Response = HeartbeatResponse;
}

/// The server is there too.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeartbeatResponse {
    /// 0.
    pub error: ErrorCode,
}

impl Message for HeartbeatResponse {
    const ID: MessageId = MessageId::HEARTBEAT_RESPONSE;
    type Encoding = JsonObject;
}
