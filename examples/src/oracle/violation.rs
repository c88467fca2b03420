//! What can be wrong, as values.

use std::fmt;

use serde::Serialize;
use uschat_proto::chat::{ThreadId, UserId};

use super::Place;

/// What must hold of every run. *Acknowledged* is a text that the server told its sender to be stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub enum Rule {
    /// Every acknowledged text is stored exactly once, as it was sent and under the number that was told.
    A1,
    /// Every member's application saw each acknowledged text exactly once; its own sends as acknowledgement or as received,
    /// whichever came first.
    A2,
    /// The numbers of every conversation are 1, 2, 3 … without gaps.
    A3,
    /// Each member saw the numbers of a conversation strictly ascending.
    A4,
    /// What one sender sent into one conversation keeps its order, across reconnects too.
    A5,
    /// The stored sender is the authenticated user, and so is the one that is shown.
    A6,
    /// A text that was not acknowledged appears once or never, and is what was sent.
    A7,
}

impl Rule {
    /// All rules.
    pub const ALL: [Self; 7] = [Self::A1, Self::A2, Self::A3, Self::A4, Self::A5, Self::A6, Self::A7];

    /// The rule in a few words.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::A1 => "acknowledged texts are stored once, as sent",
            Self::A2 => "members saw each acknowledged text once",
            Self::A3 => "numbers have no gaps",
            Self::A4 => "members saw numbers ascending",
            Self::A5 => "senders' order is kept",
            Self::A6 => "senders are genuine",
            Self::A7 => "unacknowledged texts appear once or never",
        }
    }
}

/// How a rule is broken. Each fact has one kind: a text that was acknowledged and is not stored is lost, and nobody is
/// blamed for not having seen it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Acknowledged and not stored (A1).
    Lost,
    /// Stored again under another number (A1; A7 if it was not acknowledged).
    StoredTwice,
    /// The stored content is not what was sent (A1, A7).
    StoredAltered,
    /// Stored in another conversation than it was sent to (A1, A7).
    StoredElsewhere,
    /// An acknowledgement that tells another number or conversation than the store, or is for a text never sent (A1).
    FalselyAcknowledged,
    /// Acknowledged and stored, and a member did not see it (A2).
    Unseen,
    /// A member saw it again (A2, A7).
    SeenTwice,
    /// The content shown is not the stored one (A2, A7).
    SeenAltered,
    /// Shown to somebody who is no member (A2).
    SeenByOutsider,
    /// Numbers below the highest one at which nothing is stored; each number counts (A3).
    Gap,
    /// Two texts of a conversation have the same number (A3).
    NumberTwice,
    /// A number below 1 (A3).
    NotNumbered,
    /// A number was shown after a higher one (A4).
    Reordered,
    /// Shown under a number that the store gave to another text (A4).
    SeenUnderOtherNumber,
    /// Stored behind a text of the same sender that was sent later (A5).
    OrderBroken,
    /// The stored sender did not send it (A6).
    StoredForged,
    /// The sender shown is not the stored one (A6).
    SeenForged,
    /// Shown, and neither stored nor acknowledged (A7).
    SeenUnstored,
}

impl Kind {
    /// All kinds, in the order of the rules.
    pub const ALL: [Self; 18] = [
        Self::Lost,
        Self::StoredTwice,
        Self::StoredAltered,
        Self::StoredElsewhere,
        Self::FalselyAcknowledged,
        Self::Unseen,
        Self::SeenTwice,
        Self::SeenAltered,
        Self::SeenByOutsider,
        Self::Gap,
        Self::NumberTwice,
        Self::NotNumbered,
        Self::Reordered,
        Self::SeenUnderOtherNumber,
        Self::OrderBroken,
        Self::StoredForged,
        Self::SeenForged,
        Self::SeenUnstored,
    ];

    /// A fixed name: that of the variant in snake case.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Lost => "lost",
            Self::StoredTwice => "stored_twice",
            Self::StoredAltered => "stored_altered",
            Self::StoredElsewhere => "stored_elsewhere",
            Self::FalselyAcknowledged => "falsely_acknowledged",
            Self::Unseen => "unseen",
            Self::SeenTwice => "seen_twice",
            Self::SeenAltered => "seen_altered",
            Self::SeenByOutsider => "seen_by_outsider",
            Self::Gap => "gap",
            Self::NumberTwice => "number_twice",
            Self::NotNumbered => "not_numbered",
            Self::Reordered => "reordered",
            Self::SeenUnderOtherNumber => "seen_under_other_number",
            Self::OrderBroken => "order_broken",
            Self::StoredForged => "stored_forged",
            Self::SeenForged => "seen_forged",
            Self::SeenUnstored => "seen_unstored",
        }
    }
}

/// A broken rule, with what is needed to find it. What does not apply is `None`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Violation {
    /// The rule.
    pub rule: Rule,
    /// How it is broken.
    pub kind: Kind,
    /// The client whose history or application shows it.
    pub client: Option<UserId>,
    /// The conversation.
    pub conversation: Option<ThreadId>,
    /// The number; the first missing one for a [`Gap`](Kind::Gap).
    pub seq: Option<i64>,
    /// Who sent the text.
    pub sender: Option<UserId>,
    /// The sender's id of the text.
    pub msgid: Option<Box<str>>,
    /// The record that shows it.
    pub place: Option<Place>,
    /// The record that it contradicts.
    pub against: Option<Place>,
    /// What is wrong, in a clause.
    pub detail: String,
}

impl fmt::Display for Violation {
    /// One line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {}:", self.rule, self.kind.label())?;
        let mut parts = Vec::new();
        parts.extend(self.client.map(|client| format!("client {client}")));
        parts.extend(self.conversation.map(|conversation| format!("conversation {conversation}")));
        parts.extend(self.seq.map(|seq| format!("number {seq}")));
        parts.extend(self.msgid.as_ref().map(|msgid| format!("text {msgid:?}")));
        parts.extend(self.sender.map(|sender| format!("of {sender}")));
        write!(f, " {}: {}", parts.join(" "), self.detail)?;
        match (&self.place, &self.against) {
            (Some(place), Some(against)) => write!(f, " ({place}, against {against})"),
            (Some(place), None) | (None, Some(place)) => write!(f, " ({place})"),
            (None, None) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Kind;

    #[test]
    fn labels_are_those_in_json() {
        for kind in Kind::ALL {
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.label());
        }
    }

    #[test]
    fn kinds_stand_at_their_own_index() {
        for (index, kind) in Kind::ALL.into_iter().enumerate() {
            assert_eq!(kind as usize, index);
        }
    }
}
