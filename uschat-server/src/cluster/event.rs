use uschat_proto::chat::{Profile, ThreadId, UserId};

use crate::store::StoredText;

/// Something that the server which holds a user's session is to tell that user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PeerEvent {
    /// Somebody applied for a friendship.
    FriendApplied {
        /// Who.
        applicant: Profile,
        /// How they introduce themselves.
        introduction: String,
    },
    /// The user's application was approved.
    FriendApproved {
        /// By whom.
        approver: Profile,
        /// The texts their conversation starts with; at least one.
        texts: Vec<StoredText>,
    },
    /// Somebody said something to the user.
    Texts {
        /// Who.
        sender: UserId,
        /// Where.
        thread: ThreadId,
        /// What, ascending.
        texts: Vec<StoredText>,
    },
    /// The user logged in somewhere else.
    Kick {
        /// Sessions with a lower fence must go.
        fence: i64,
    },
}

impl PeerEvent {
    /// About how many bytes it takes on the way to a peer.
    pub(super) fn size(&self) -> usize {
        const AROUND: usize = 128;
        let texts = match self {
            Self::FriendApproved { texts, .. } | Self::Texts { texts, .. } => texts.as_slice(),
            Self::FriendApplied { .. } | Self::Kick { .. } => &[],
        };
        // Names, pictures and introductions are a few columns of 255 characters.
        4 * 1024 + texts.iter().map(|text| text.content.len() + AROUND).sum::<usize>()
    }
}
