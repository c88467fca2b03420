//! 3003–3006, ours: go on where one was, and say how far one has got. PROTOCOL.md, "Sync".

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::{MessageKey, ThreadId, UserId};
use crate::{ErrorCode, JsonObject, Message, MessageId, Request};

/// 3003: what a client that declared [`features::SYNC`](super::features::SYNC) has of each conversation. Answered by
/// [`SyncResponse`]; then 1019s bring everything behind that, each conversation in the order of its numbers.
///
/// May be sent in parts; nothing is told before the last one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncRequest {
    /// At most [`SyncRequest::MAX_CURSORS`]. A conversation that no part names goes on behind what was delivered to this
    /// user before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cursors: Vec<Cursor>,
    /// Whether further parts follow.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub more: bool,
}

impl SyncRequest {
    /// Cursors in one part.
    pub const MAX_CURSORS: usize = 256;
}

impl Message for SyncRequest {
    const ID: MessageId = MessageId::SYNC_REQUEST;
    type Encoding = JsonObject;
}
impl Request for SyncRequest {
    type Response = SyncResponse;
    const ORDERED: bool = true;
}

/// 3004: the cursors of this part are taken, except for those it names.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncResponse {
    /// 0.
    pub error: ErrorCode,
    /// Conversations in which the text with the cursor's number is another one than the cursor says, or does not exist
    /// (any more): what the client has of them is not what is stored. They go on behind *these* cursors, which name the
    /// last text that there is; number 0 and no fingerprint if there is none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub replaced: Vec<Cursor>,
    /// Conversations that do not exist or that the user is not in.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unknown: Vec<ThreadId>,
}

impl Message for SyncResponse {
    const ID: MessageId = MessageId::SYNC_RESPONSE;
    type Encoding = JsonObject;
}

/// The last text that a client has of a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    /// The conversation.
    pub thread_id: ThreadId,
    /// The number of the text; 0 before the first.
    pub seq: i64,
    /// Tells whether it is still the same text; absent with number 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<Fingerprint>,
}

/// 3005: how far the application of a client has got. Answered by [`ProgressResponse`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProgressRequest {
    /// Everything up to these numbers has reached the application.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub delivered: Vec<Mark>,
    /// Everything up to these numbers was read by a person.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub read: Vec<Mark>,
}

impl ProgressRequest {
    /// Marks in one request, of both kinds together.
    pub const MAX_MARKS: usize = 256;
}

impl Message for ProgressRequest {
    const ID: MessageId = MessageId::PROGRESS_REQUEST;
    type Encoding = JsonObject;
}
impl Request for ProgressRequest {
    type Response = ProgressResponse;
}

/// 3006: taken, and stored within moments.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProgressResponse {
    /// 0.
    pub error: ErrorCode,
}

impl Message for ProgressResponse {
    const ID: MessageId = MessageId::PROGRESS_RESPONSE;
    type Encoding = JsonObject;
}

/// A place in a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// The conversation.
    pub thread_id: ThreadId,
    /// The number of a text.
    pub seq: i64,
}

/// Tells texts apart that were given the same number, one before a crash of the database and one after: FNV-1a with 64
/// bits over the message key and the sender's uid (8 bytes each, big-endian) and the content. 16 hexadecimal digits in JSON.
///
/// It notices accidents, not forgers.
///
/// ```
/// use uschat_proto::chat::{Fingerprint, MessageKey, UserId};
///
/// let fingerprint = Fingerprint::of(MessageKey(3), UserId(1001), "你好");
/// assert_eq!(fingerprint.to_string().parse(), Ok(fingerprint));
/// assert_ne!(fingerprint, Fingerprint::of(MessageKey(4), UserId(1001), "你好"));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint(pub u64);

impl Fingerprint {
    /// Of a stored text.
    #[must_use]
    pub fn of(key: MessageKey, sender: UserId, content: &str) -> Self {
        let numbers = key.0.to_be_bytes().into_iter().chain(i64::from(sender.0).to_be_bytes());
        let hash = numbers
            .chain(content.bytes())
            .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
        Self(hash)
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// The text is not 16 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a fingerprint is 16 hexadecimal digits")]
pub struct InvalidFingerprint;

impl FromStr for Fingerprint {
    type Err = InvalidFingerprint;

    fn from_str(text: &str) -> Result<Self, InvalidFingerprint> {
        // `from_str_radix` would take a sign.
        let all_digits = text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let number = u64::from_str_radix(text, 16).map_err(|_| InvalidFingerprint)?;
        all_digits.then_some(Self(number)).ok_or(InvalidFingerprint)
    }
}

impl Serialize for Fingerprint {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Fingerprint {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[test]
    fn a_fingerprint_is_fnv_of_key_sender_and_content() {
        // Computed apart, from the published algorithm.
        assert_eq!(Fingerprint::of(MessageKey(0), UserId(0), "").to_string(), "88201fb960ff6465");
        for text in ["", "ff", "+0000000000000ff", "00000000000000fg", "000000000000000ff"] {
            assert_eq!(text.parse::<Fingerprint>(), Err(InvalidFingerprint), "{text}");
        }
    }

    #[test]
    fn what_is_left_out_is_empty() {
        let request = SyncRequest::from_body(&Bytes::from_static(b"{}")).unwrap();
        assert_eq!(request, SyncRequest { cursors: Vec::new(), more: false });
        assert_eq!(request.to_body().unwrap(), "{}");
        let cursor = br#"{"cursors":[{"thread_id":1,"seq":3,"fingerprint":"00000000000000ff"}],"more":true}"#;
        let request = SyncRequest::from_body(&Bytes::from_static(cursor)).unwrap();
        assert_eq!(request.cursors[0].fingerprint, Some(Fingerprint(255)));
        assert_eq!(request.to_body().unwrap(), &cursor[..]);
    }
}
