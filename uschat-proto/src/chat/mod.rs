//! The UsChat protocol: one file per message family, each in the order source, request, response, notification.
//!
//! Wire spellings stay in `serde(rename)`. Every reply carries `error` as a JSON number. Unknown keys are ignored, because
//! every client generation sends some that others do not know. PROTOCOL.md describes all of it.

mod codes;
mod drain;
mod friend_apply;
mod friend_approve;
mod gate;
mod heartbeat;
mod history;
mod ids;
mod kick;
mod login;
mod password;
mod profile;
mod search;
mod sync;
mod text;
mod threads;

pub use drain::DrainNotice;
pub use friend_apply::{AddFriendNotice, AddFriendRequest, AddFriendResponse};
pub use friend_approve::{ApproveFriendNotice, ApproveFriendRequest, ApproveFriendResponse, GreetingText};
pub use gate::{
    LoginReply, LoginRequest, RegisterReply, RegisterRequest, ResetPasswordReply, ResetPasswordRequest,
    VerifyCodeReply, VerifyCodeRequest,
};
pub use heartbeat::{HeartbeatRequest, HeartbeatResponse};
pub use history::{HistoryText, LoadHistoryRequest, LoadHistoryResponse};
pub use ids::{MessageKey, ThreadId, UserId};
pub use kick::KickNotice;
pub use login::{Application, ChatLoginRequest, ChatLoginResponse, Friend, FriendListPart, features};
pub use password::xor_password;
pub use profile::Profile;
pub use search::{SearchUserRequest, SearchUserResponse};
pub use sync::{
    Cursor, Fingerprint, InvalidFingerprint, Mark, ProgressRequest, ProgressResponse, SyncRequest, SyncResponse,
};
pub use text::{ChatData, TextChatNotice, TextChatRequest, TextChatResponse, TextEcho, TextItem, limits};
pub use threads::{LoadThreadsRequest, LoadThreadsResponse, OpenThreadRequest, OpenThreadResponse, Thread};
