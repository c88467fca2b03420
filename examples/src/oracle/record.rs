//! What is written down while a system is under test: one record an event, one line of JSON a record.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use uschat_proto::chat::{ThreadId, UserId};

/// One line of a history. The [front page](super) shows how each looks in JSON.
///
/// Unknown keys are refused: a misspelt one would otherwise weaken the verdict in silence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Record {
    /// This client has logged in. The first makes it known, so that a member that saw nothing is judged too; each
    /// further one is a reconnect.
    Connect {
        /// Who logged in.
        user: UserId,
    },
    /// This client is about to send a text, for the first time or again. Written *before* the text leaves the client and
    /// in the order of sending.
    Send {
        /// Who is logged in: the authenticated sender.
        user: UserId,
        /// The client's id of the text, 1 to 64 bytes.
        msgid: Box<str>,
        /// The conversation, if the client knows its number yet.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        conversation: Option<ThreadId>,
        /// Of the content.
        hash: ContentHash,
        /// When, in microseconds of a clock that all writers share; since 1970, for instance.
        at_us: u64,
    },
    /// The server told this client that a text of its is stored.
    Ack {
        /// The sender.
        user: UserId,
        /// The client's id of the text.
        msgid: Box<str>,
        /// The conversation, if the acknowledgement names it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        conversation: Option<ThreadId>,
        /// The number that it was given there.
        seq: i64,
        /// When, as for `Send`.
        at_us: u64,
    },
    /// The server refused an attempt to send.
    Refused {
        /// The sender.
        user: UserId,
        /// The client's id of the text.
        msgid: Box<str>,
        /// The error code (PROTOCOL.md, "Error codes").
        code: i32,
    },
    /// A text was handed to this client's application. Written in that order.
    Recv {
        /// Whose application.
        user: UserId,
        /// Where the text was shown.
        conversation: ThreadId,
        /// Its number there.
        seq: i64,
        /// The sender's id of it, at most 64 bytes. Empty or absent if it is not shown: then the number tells which text it
        /// is.
        #[serde(default, skip_serializing_if = "str::is_empty")]
        msgid: Box<str>,
        /// Who sent it, as shown.
        sender: UserId,
        /// Of the content, as shown.
        hash: ContentHash,
    },
    /// A row of the store when all is over.
    Stored {
        /// Where it is stored.
        conversation: ThreadId,
        /// Its number there.
        seq: i64,
        /// The sender's id of it, at most 64 bytes; empty or absent if it has none.
        #[serde(default, skip_serializing_if = "str::is_empty")]
        msgid: Box<str>,
        /// The stored sender.
        sender: UserId,
        /// Of the stored content.
        hash: ContentHash,
    },
    /// Who is in a conversation. Every conversation with stored texts needs this once.
    Members {
        /// The conversation.
        conversation: ThreadId,
        /// Its members.
        users: Vec<UserId>,
        /// The last number before the run: rows and sightings up to it are not judged.
        #[serde(default, skip_serializing_if = "is_zero")]
        after: i64,
    },
    /// A fault has ended; from here the time to recover counts.
    Healed {
        /// Its name, for the report.
        fault: Box<str>,
        /// When, as for `Send`.
        at_us: u64,
    },
}

impl Record {
    /// The longest id of a text, in bytes.
    pub const MAX_MSGID: usize = 64;

    /// What is wrong with this record by itself.
    pub(super) fn fault(&self) -> Option<String> {
        let (msgid, may_be_absent) = match self {
            Self::Send { msgid, .. } | Self::Ack { msgid, .. } | Self::Refused { msgid, .. } => (msgid, false),
            Self::Recv { msgid, .. } | Self::Stored { msgid, .. } => (msgid, true),
            Self::Members { after: i64::MIN..0, .. } => return Some("after is negative".into()),
            Self::Connect { .. } | Self::Members { .. } | Self::Healed { .. } => return None,
        };
        match msgid.len() {
            0 if may_be_absent => None,
            1..=Self::MAX_MSGID => None,
            len => Some(format!("msgid has {len} bytes, 1 to {} are allowed", Self::MAX_MSGID)),
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(number: &i64) -> bool {
    *number == 0
}

/// A fingerprint of a content: FNV-1a with 64 bits, 16 hexadecimal digits in JSON.
///
/// It notices accidents, not forgers, and is five lines in any language. The oracle only asks whether two are equal.
///
/// ```
/// use uschat_examples::oracle::ContentHash;
///
/// assert_eq!(ContentHash::of(b"foobar").to_string(), "85944171f73967e8");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ContentHash(pub u64);

impl ContentHash {
    /// The hash of these bytes.
    #[must_use]
    pub fn of(content: &[u8]) -> Self {
        Self(
            content.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
                (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
            }),
        )
    }
}

impl fmt::Display for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// The text is not 16 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a hash is 16 hexadecimal digits")]
pub struct InvalidHash;

impl FromStr for ContentHash {
    type Err = InvalidHash;

    fn from_str(text: &str) -> Result<Self, InvalidHash> {
        // `from_str_radix` would take a sign.
        let all_digits = text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let number = u64::from_str_radix(text, 16).map_err(|_| InvalidHash)?;
        all_digits.then_some(Self(number)).ok_or(InvalidHash)
    }
}

impl Serialize for ContentHash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ContentHash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Digits;

        impl de::Visitor<'_> for Digits {
            type Value = ContentHash;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("16 hexadecimal digits")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<ContentHash, E> {
                text.parse().map_err(E::custom)
            }
        }

        deserializer.deserialize_str(Digits)
    }
}

#[cfg(test)]
mod tests {
    use super::{ContentHash, InvalidHash};

    #[test]
    fn hashes_are_those_of_fnv() {
        // From the algorithm's published test vectors.
        for (content, hash) in
            [("", 0xcbf2_9ce4_8422_2325), ("a", 0xaf63_dc4c_8601_ec8c), ("foobar", 0x8594_4171_f739_67e8)]
        {
            assert_eq!(ContentHash::of(content.as_bytes()), ContentHash(hash), "{content}");
        }
    }

    #[test]
    fn a_hash_is_16_digits_and_nothing_else() {
        assert_eq!("00000000000000fF".parse(), Ok(ContentHash(255)));
        for text in ["", "ff", "+0000000000000ff", "00000000000000fg", "000000000000000ff"] {
            assert_eq!(text.parse::<ContentHash>(), Err(InvalidHash), "{text}");
        }
    }
}
