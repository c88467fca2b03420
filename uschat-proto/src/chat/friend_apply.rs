//! 1009/1010/1011 application for a friendship. PROTOCOL.md, "Become friends".

use serde::{Deserialize, Serialize};

use super::UserId;
use crate::{ErrorCode, JsonObject, Message, MessageId, Request};

/// Asks another user to become a friend. Answered by [`AddFriendResponse`]; the other user gets [`AddFriendNotice`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AddFriendRequest {
    /// The applicant as the client says; must be the session's user when it is there.
    #[serde(default, rename = "uid", skip_serializing_if = "Option::is_none")]
    pub from: Option<UserId>,
    /// What the applicant says of themselves; at most 255 characters.
    #[serde(default, rename = "applyname")]
    pub introduction: String,
    /// The remark the applicant wants for the new friend; at most 255 characters.
    #[serde(default, rename = "bakname")]
    pub remark: String,
    /// Who is asked.
    #[serde(rename = "touid")]
    pub to: UserId,
}

impl Message for AddFriendRequest {
    const ID: MessageId = MessageId::ADD_FRIEND_REQUEST;
    type Encoding = JsonObject;
}
impl Request for AddFriendRequest {
    type Response = AddFriendResponse;
}

/// The application is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddFriendResponse {
    /// 0, or why not.
    pub error: ErrorCode,
}

impl Message for AddFriendResponse {
    const ID: MessageId = MessageId::ADD_FRIEND_RESPONSE;
    type Encoding = JsonObject;
}

/// 1011: somebody applied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddFriendNotice {
    /// Always 0.
    pub error: ErrorCode,
    /// The applicant.
    #[serde(rename = "applyuid")]
    pub applicant: UserId,
    /// What the applicant typed as a name, or their real name if they typed nothing.
    pub name: String,
    /// What the applicant typed, for the later clients that show it as an introduction.
    pub desc: String,
    /// The applicant's picture.
    pub icon: String,
    /// The applicant's sex.
    pub sex: i32,
    /// The applicant's nickname.
    pub nick: String,
}

impl Message for AddFriendNotice {
    const ID: MessageId = MessageId::ADD_FRIEND_NOTICE;
    type Encoding = JsonObject;
}
