//! 1029/1030 the stored texts of a conversation. PROTOCOL.md, "Conversations and history".

use serde::{Deserialize, Serialize};

use super::{MessageKey, ThreadId, UserId};
use crate::{ErrorCode, JsonObject, Message, MessageId, Request};

/// Asks for the next page of a conversation's texts. Answered by [`LoadHistoryResponse`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LoadHistoryRequest {
    /// The conversation.
    pub thread_id: ThreadId,
    /// The last text the client knows, 0 at the start.
    #[serde(default, rename = "message_id")]
    pub after: MessageKey,
}

impl Message for LoadHistoryRequest {
    const ID: MessageId = MessageId::LOAD_HISTORY_REQUEST;
    type Encoding = JsonObject;
}
impl Request for LoadHistoryRequest {
    type Response = LoadHistoryResponse;
    const ORDERED: bool = true;
}

/// A page of texts, ascending by key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoadHistoryResponse {
    /// 0.
    pub error: ErrorCode,
    /// The conversation.
    pub thread_id: ThreadId,
    /// What to ask for next: the last key of this page, or that of the request if the page is empty.
    pub last_message_id: MessageKey,
    /// Whether there are more after these.
    pub load_more: bool,
    /// Absent when empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub chat_datas: Vec<HistoryText>,
}

impl Message for LoadHistoryResponse {
    const ID: MessageId = MessageId::LOAD_HISTORY_RESPONSE;
    type Encoding = JsonObject;
}

/// A stored text as 1030 spells it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryText {
    /// Who said it.
    pub sender: UserId,
    /// To whom; later clients read it.
    #[serde(default)]
    pub receiver: UserId,
    /// Its global key.
    #[serde(rename = "msg_id")]
    pub message_id: MessageKey,
    /// The conversation.
    pub thread_id: ThreadId,
    /// Always the number 0, as originals have it here; in other messages this key holds the client's id.
    pub unique_id: i32,
    /// The text.
    #[serde(rename = "msg_content")]
    pub content: String,
    /// `YYYY-MM-DD HH:MM:SS`, local time of the server.
    pub chat_time: String,
    /// 2, which clients show as delivered: it is stored.
    pub status: i32,
    /// 0, a text; later clients read it.
    #[serde(default)]
    pub msg_type: i32,
    /// Ours: the number within the conversation, from 1 without gaps.
    #[serde(default)]
    pub seq: i64,
}
