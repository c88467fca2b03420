//! 1007/1008 search for a user. PROTOCOL.md, "Search".

use serde::{Deserialize, Serialize};

use super::Profile;
use crate::{ErrorCode, JsonObject, Message, MessageId, Request};

/// Looks a user up. Answered by [`SearchUserResponse`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SearchUserRequest {
    /// What was typed: digits mean a uid, anything else an exact name.
    pub uid: String,
}

impl Message for SearchUserRequest {
    const ID: MessageId = MessageId::SEARCH_USER_REQUEST;
    type Encoding = JsonObject;
}
impl Request for SearchUserRequest {
    type Response = SearchUserResponse;
}

/// The user found. When nobody is found, the answer is a refusal with [`ErrorCode::UID_INVALID`] and no other key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SearchUserResponse {
    /// 0.
    pub error: ErrorCode,
    /// Who.
    #[serde(flatten)]
    pub profile: Profile,
}

impl Message for SearchUserResponse {
    const ID: MessageId = MessageId::SEARCH_USER_RESPONSE;
    type Encoding = JsonObject;
}
