//! 1005/1006 chat login, and 3001, the rest of a long friend list. PROTOCOL.md, "Log in".

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Profile, UserId};
use crate::{ErrorCode, JsonObject, Message, MessageId, Request};

/// What a client may declare in 1005 under `features`.
pub mod features {
    /// It reads several frames from one segment: no pacing is needed.
    pub const COALESCED: &str = "coalesced";
    /// Of the two arrays with texts send it only `text_array`.
    pub const TEXT_ARRAY: &str = "text_array";
    /// Of the two arrays with texts send it only `chat_datas`.
    pub const CHAT_DATAS: &str = "chat_datas";
    /// It says by 3003 what it has, and is told nothing of texts before.
    pub const SYNC: &str = "sync";
}

/// Logs the connection in. Answered by [`ChatLoginResponse`].
#[derive(Clone, Serialize, Deserialize)]
pub struct ChatLoginRequest {
    /// Who logs in.
    pub uid: UserId,
    /// What the gate handed out at `/user_login`.
    pub token: String,
    /// Name and version of the client, free text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<String>,
    /// What the client can do ([`features`]); unknown words are ignored.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub features: Vec<String>,
}

impl fmt::Debug for ChatLoginRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChatLoginRequest")
            .field("uid", &self.uid)
            .field("features", &self.features)
            .finish_non_exhaustive()
    }
}

impl Message for ChatLoginRequest {
    const ID: MessageId = MessageId::CHAT_LOGIN_REQUEST;
    type Encoding = JsonObject;
}
impl Request for ChatLoginRequest {
    type Response = ChatLoginResponse;
}

/// The user's own profile, applications and friends; on failure only `error`.
#[derive(Clone, Default, Serialize, Deserialize)]
pub struct ChatLoginResponse {
    /// 0, [`ErrorCode::UID_INVALID`], [`ErrorCode::TOKEN_INVALID`], or a code of ours.
    pub error: ErrorCode,
    /// The token again: later Qt clients hand it to the resource server.
    #[serde(default)]
    pub token: String,
    /// The user's own e-mail address.
    #[serde(default)]
    pub email: String,
    /// The user's own profile.
    #[serde(flatten)]
    pub profile: Profile,
    /// Applications to this user, oldest first: at most 100 and 24 KiB, pending ones and then new ones before others.
    #[serde(default)]
    pub apply_list: Vec<Application>,
    /// The user's friends.
    #[serde(default)]
    pub friend_list: Vec<Friend>,
    /// Ours: true when `friend_list` was cut to fit one frame; [`FriendListPart`]s bring the rest.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub friend_list_cut: bool,
}

impl fmt::Debug for ChatLoginResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChatLoginResponse")
            .field("error", &self.error)
            .field("profile", &self.profile)
            .field("apply_list", &self.apply_list)
            .field("friend_list", &self.friend_list)
            .finish_non_exhaustive()
    }
}

impl Message for ChatLoginResponse {
    const ID: MessageId = MessageId::CHAT_LOGIN_RESPONSE;
    type Encoding = JsonObject;
}

/// Somebody's wish to become a friend.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Application {
    /// The applicant; their `desc` is what they wrote to introduce themselves.
    #[serde(flatten)]
    pub applicant: Profile,
    /// 0 pending, 1 approved.
    pub status: i32,
}

/// A friend, with the user's own remark.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Friend {
    /// Who.
    #[serde(flatten)]
    pub profile: Profile,
    /// The remark the user keeps for this friend.
    pub back: String,
}

/// 3001, ours: more of the friend list, after a 1006 with `friend_list_cut`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FriendListPart {
    /// Always 0.
    pub error: ErrorCode,
    /// The next friends.
    pub friend_list: Vec<Friend>,
    /// Whether this part is the last.
    pub last: bool,
    /// True in a last part that leaves friends out: there are more than a login can tell, some 4,000.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub friend_list_cut: bool,
}

impl Message for FriendListPart {
    const ID: MessageId = MessageId::FRIEND_LIST_PART;
    type Encoding = JsonObject;
}
