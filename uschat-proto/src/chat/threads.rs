//! 1025/1026 conversations of a user, 1027/1028 the private conversation of two. PROTOCOL.md, "Conversations and history".

use serde::{Deserialize, Serialize};

use super::{ThreadId, UserId};
use crate::{ErrorCode, JsonObject, Message, MessageId, Request};

/// Asks for the next page of the user's conversations. Answered by [`LoadThreadsResponse`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LoadThreadsRequest {
    /// The user as the client says; must be the session's user when it is there.
    #[serde(default, rename = "uid", skip_serializing_if = "Option::is_none")]
    pub from: Option<UserId>,
    /// The last conversation the client knows, 0 at the start.
    #[serde(default, rename = "thread_id")]
    pub after: ThreadId,
}

impl Message for LoadThreadsRequest {
    const ID: MessageId = MessageId::LOAD_THREADS_REQUEST;
    type Encoding = JsonObject;
}
impl Request for LoadThreadsRequest {
    type Response = LoadThreadsResponse;
    const ORDERED: bool = true;
}

/// A page of conversations, ascending by id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoadThreadsResponse {
    /// 0.
    pub error: ErrorCode,
    /// The user.
    pub uid: UserId,
    /// Whether there are more after these.
    pub load_more: bool,
    /// What to ask for next: the last id of this page, or that of the request if the page is empty.
    pub next_last_id: ThreadId,
    /// Absent when empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub threads: Vec<Thread>,
}

impl Message for LoadThreadsResponse {
    const ID: MessageId = MessageId::LOAD_THREADS_RESPONSE;
    type Encoding = JsonObject;
}

/// A conversation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Thread {
    /// Its id.
    pub thread_id: ThreadId,
    /// `private`, or `group`, which no server sends yet.
    #[serde(rename = "type")]
    pub kind: String,
    /// One of the two users of a private conversation; 0 for a group.
    pub user1_id: UserId,
    /// The other one; 0 for a group.
    pub user2_id: UserId,
}

/// Asks for the private conversation with a friend, which is opened unless there is one. Answered by
/// [`OpenThreadResponse`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct OpenThreadRequest {
    /// The user as the client says; must be the session's user when it is there.
    #[serde(default, rename = "uid", skip_serializing_if = "Option::is_none")]
    pub from: Option<UserId>,
    /// The friend.
    #[serde(rename = "other_id")]
    pub other: UserId,
}

impl Message for OpenThreadRequest {
    const ID: MessageId = MessageId::OPEN_THREAD_REQUEST;
    type Encoding = JsonObject;
}
impl Request for OpenThreadRequest {
    type Response = OpenThreadResponse;
    const ORDERED: bool = true;
}

/// The private conversation of two friends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenThreadResponse {
    /// 0.
    pub error: ErrorCode,
    /// Who asked.
    pub uid: UserId,
    /// Their friend.
    #[serde(rename = "other_id")]
    pub other: UserId,
    /// The conversation.
    pub thread_id: ThreadId,
}

impl Message for OpenThreadResponse {
    const ID: MessageId = MessageId::OPEN_THREAD_RESPONSE;
    type Encoding = JsonObject;
}
