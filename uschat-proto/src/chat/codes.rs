//! The ids and error codes of the chat protocol. PROTOCOL.md, "Messages" and "Error codes".

use crate::{ErrorCode, MessageId};

/// Ids of the chat connection.
impl MessageId {
    /// Client to server: log in with a token.
    pub const CHAT_LOGIN_REQUEST: Self = Self(1005);
    /// Answers 1005.
    pub const CHAT_LOGIN_RESPONSE: Self = Self(1006);
    /// Client to server: find a user by uid or name.
    pub const SEARCH_USER_REQUEST: Self = Self(1007);
    /// Answers 1007.
    pub const SEARCH_USER_RESPONSE: Self = Self(1008);
    /// Client to server: apply for a friendship.
    pub const ADD_FRIEND_REQUEST: Self = Self(1009);
    /// Answers 1009.
    pub const ADD_FRIEND_RESPONSE: Self = Self(1010);
    /// Server to the user applied to.
    pub const ADD_FRIEND_NOTICE: Self = Self(1011);
    /// Client to server: approve an application.
    pub const APPROVE_FRIEND_REQUEST: Self = Self(1013);
    /// Answers 1013.
    pub const APPROVE_FRIEND_RESPONSE: Self = Self(1014);
    /// Server to the applicant.
    pub const APPROVE_FRIEND_NOTICE: Self = Self(1015);
    /// Client to server: texts to one user.
    pub const TEXT_CHAT_REQUEST: Self = Self(1017);
    /// Answers 1017.
    pub const TEXT_CHAT_RESPONSE: Self = Self(1018);
    /// Server to the receiver of texts.
    pub const TEXT_CHAT_NOTICE: Self = Self(1019);
    /// Server to a session that a newer login replaced.
    pub const KICK_NOTICE: Self = Self(1021);
    /// Client to server: still here.
    pub const HEARTBEAT_REQUEST: Self = Self(1023);
    /// Answers 1023.
    pub const HEARTBEAT_RESPONSE: Self = Self(1024);
    /// Client to server: a page of the user's conversations.
    pub const LOAD_THREADS_REQUEST: Self = Self(1025);
    /// Answers 1025.
    pub const LOAD_THREADS_RESPONSE: Self = Self(1026);
    /// Client to server: the private conversation with a friend.
    pub const OPEN_THREAD_REQUEST: Self = Self(1027);
    /// Answers 1027.
    pub const OPEN_THREAD_RESPONSE: Self = Self(1028);
    /// Client to server: a page of a conversation's texts.
    pub const LOAD_HISTORY_REQUEST: Self = Self(1029);
    /// Answers 1029.
    pub const LOAD_HISTORY_RESPONSE: Self = Self(1030);
    /// Server to client, ours: the rest of a friend list that did not fit into 1006.
    pub const FRIEND_LIST_PART: Self = Self(3001);
    /// Server to client, ours: the server is stopping.
    pub const DRAIN_NOTICE: Self = Self(3002);
    /// Client to server, ours: what the client has of each conversation.
    pub const SYNC_REQUEST: Self = Self(3003);
    /// Answers 3003.
    pub const SYNC_RESPONSE: Self = Self(3004);
    /// Client to server, ours: how far the client has got.
    pub const PROGRESS_REQUEST: Self = Self(3005);
    /// Answers 3005.
    pub const PROGRESS_RESPONSE: Self = Self(3006);
}

/// Codes of the original servers.
impl ErrorCode {
    /// A server behind the gate did not answer, or no chat server is alive.
    pub const RPC_FAILED: Self = Self(1002);
    /// No verification code is waiting for this e-mail address: none was sent, it expired, was spent or voided.
    pub const CODE_EXPIRED: Self = Self(1003);
    /// The verification code differs.
    pub const CODE_WRONG: Self = Self(1004);
    /// Name or e-mail address are taken.
    pub const USER_EXISTS: Self = Self(1005);
    /// Password and confirmation differ.
    pub const PASSWORDS_DIFFER: Self = Self(1006);
    /// No user of this name has this e-mail address.
    pub const EMAIL_NOT_MATCHED: Self = Self(1007);
    /// The account was gone when the new password was to be stored.
    pub const PASSWORD_UPDATE_FAILED: Self = Self(1008);
    /// Wrong e-mail address or password.
    pub const PASSWORD_INVALID: Self = Self(1009);
    /// The token is not the one that was handed out.
    pub const TOKEN_INVALID: Self = Self(1010);
    /// No such user, or no token was handed out to them.
    pub const UID_INVALID: Self = Self(1011);
}

/// Codes of ours: 3001–3099 are permanent, 3101–3199 worth a retry.
impl ErrorCode {
    /// The request names another user as its sender.
    pub const NOT_SELF: Self = Self(3002);
    /// The two users are not friends.
    pub const NOT_FRIENDS: Self = Self(3003);
    /// The user approved never applied.
    pub const NO_APPLICATION: Self = Self(3004);
    /// More than [`limits::MAX_TEXTS`](super::limits::MAX_TEXTS) texts or more than
    /// [`limits::MAX_CONTENT`](super::limits::MAX_CONTENT) bytes in one request, or so much that JSON must escape that the
    /// frame which tells of it would be too long; or too many cursors or marks.
    pub const TOO_LARGE: Self = Self(3005);
    /// The same client message id was stored before with other content.
    pub const CLIENT_ID_REUSED: Self = Self(3006);
    /// A field is out of its range: too long, empty where it must not be, or of an unknown form.
    pub const INVALID_FIELD: Self = Self(3007);
    /// The session has logged in already.
    pub const ALREADY_LOGGED_IN: Self = Self(3008);
    /// The conversation does not exist or the user is not in it.
    pub const NOT_A_MEMBER: Self = Self(3009);
    /// The database refuses these texts for good: a retry is refused again.
    pub const NOT_STORABLE: Self = Self(3010);
    /// Too many wrong passwords or mails for this e-mail address, or too much from this network address; wait.
    pub const TOO_MANY_ATTEMPTS: Self = Self(3102);
    /// A queue is full; wait.
    pub const OVERLOADED: Self = Self(3103);
}
