//! 1013/1014/1015 approval of an application. PROTOCOL.md, "Become friends".

use serde::{Deserialize, Serialize};

use super::{MessageKey, ThreadId, UserId};
use crate::{ErrorCode, JsonObject, Message, MessageId, Request};

/// Approves an application. Answered by [`ApproveFriendResponse`]; the applicant gets [`ApproveFriendNotice`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ApproveFriendRequest {
    /// The approver as the client says; must be the session's user when it is there.
    #[serde(default, rename = "fromuid", skip_serializing_if = "Option::is_none")]
    pub from: Option<UserId>,
    /// The applicant.
    #[serde(rename = "touid")]
    pub applicant: UserId,
    /// The remark the approver wants for the new friend; at most 255 characters.
    #[serde(default, rename = "back")]
    pub remark: String,
}

impl Message for ApproveFriendRequest {
    const ID: MessageId = MessageId::APPROVE_FRIEND_REQUEST;
    type Encoding = JsonObject;
}
impl Request for ApproveFriendRequest {
    type Response = ApproveFriendResponse;
    const ORDERED: bool = true;
}

/// The new friend, and the texts the conversation starts with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApproveFriendResponse {
    /// 0.
    pub error: ErrorCode,
    /// The applicant, now a friend.
    pub uid: UserId,
    /// Their name.
    pub name: String,
    /// Their nickname.
    pub nick: String,
    /// Their picture.
    pub icon: String,
    /// Their sex.
    pub sex: i32,
    /// Never empty: later clients take the conversation's id from the first element.
    pub chat_datas: Vec<GreetingText>,
}

impl Message for ApproveFriendResponse {
    const ID: MessageId = MessageId::APPROVE_FRIEND_RESPONSE;
    type Encoding = JsonObject;
}

/// 1015: the application was approved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApproveFriendNotice {
    /// Always 0.
    pub error: ErrorCode,
    /// The approver, now a friend.
    #[serde(rename = "fromuid")]
    pub approver: UserId,
    /// The applicant, who gets this.
    #[serde(rename = "touid")]
    pub applicant: UserId,
    /// The approver's name.
    pub name: String,
    /// Their nickname.
    pub nick: String,
    /// Their picture.
    pub icon: String,
    /// Their sex.
    pub sex: i32,
    /// Never empty: later clients take the conversation's id from the first element.
    pub chat_datas: Vec<GreetingText>,
}

impl Message for ApproveFriendNotice {
    const ID: MessageId = MessageId::APPROVE_FRIEND_NOTICE;
    type Encoding = JsonObject;
}

/// A stored text as 1014 and 1015 spell it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GreetingText {
    /// Who said it.
    pub sender: UserId,
    /// Its global key.
    #[serde(rename = "msg_id")]
    pub message_id: MessageKey,
    /// The conversation of the two new friends.
    pub thread_id: ThreadId,
    /// The client's id for it; empty for what a server says by itself.
    pub unique_id: String,
    /// The text.
    #[serde(rename = "msg_content")]
    pub content: String,
    /// `YYYY-MM-DD HH:MM:SS`, local time of the server.
    pub chat_time: String,
    /// 2, which clients show as delivered: it is stored.
    pub status: i32,
    /// Ours: the number within the conversation, from 1 without gaps.
    pub seq: i64,
}
