use std::fmt;

use serde::{Deserialize, Serialize};

/// The id of a message on the wire: an open number, so that an id nobody here knows survives and prints.
///
/// The ids of the chat protocol are constants of this type (feature `chat`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MessageId(pub u16);

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl From<u16> for MessageId {
    fn from(id: u16) -> Self {
        Self(id)
    }
}

impl From<MessageId> for u16 {
    fn from(id: MessageId) -> Self {
        id.0
    }
}
