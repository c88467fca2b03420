use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use uschat_proto::chat::ThreadId;

use super::position::Position;

/// How far an application has got in each conversation: what it keeps beside the texts it was shown, and gives back when
/// it starts again.
///
/// Keep it in the same transaction as the text: then no text is missed and none comes twice, whenever the program ends.
/// It serializes with serde, to some 50 bytes a conversation. The default knows nothing: then texts come that were not
/// delivered to this user before.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Cursors {
    pub(super) positions: HashMap<ThreadId, Position>,
}

impl Cursors {
    /// The number up to which everything was seen in a conversation; `None` if nothing is known of it.
    #[must_use]
    pub fn seq(&self, thread_id: ThreadId) -> Option<i64> {
        self.positions.get(&thread_id)?.through()
    }
}
