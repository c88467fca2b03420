//! What reaches the application.

use std::sync::Arc;

use tokio::sync::mpsc;
use uschat_proto::chat::{Cursor, MessageKey, Profile, ThreadId, UserId};

use super::cursors::Cursors;
use super::error::EndReason;
use super::shared::Shared;
use crate::chat::NewFriend;
use crate::error::DisconnectReason;

/// Something for the application.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Incoming {
    /// A text: in every conversation each number once, ascending. Own texts come only if no
    /// [`Messenger`](super::Messenger) of this program was told where they are stored, say those of an earlier run that
    /// ended before their acknowledgement.
    Text(IncomingText),
    /// Somebody wants to become a friend. Answer with [`Chat::approve_friend`](crate::Chat::approve_friend).
    FriendApplied {
        /// The applicant, as in [`Event::FriendApplied`](crate::Event::FriendApplied).
        applicant: Profile,
    },
    /// Somebody approved this user's application.
    FriendApproved {
        /// The new friend. Its greetings are texts like others: they come here or as [`Incoming::Text`], never both.
        friend: NewFriend,
    },
    /// A session has begun: what [`Messenger::chat`](super::Messenger::chat) gives is a new one. Friends and applications
    /// that came meanwhile are in its lists.
    Connected {
        /// `HOST:PORT` of the chat server.
        server: String,
        /// 0 for the first session, then 1, 2, 3 …
        reconnects: u64,
    },
    /// The session has ended; the messenger is connecting again. Nothing needs to be done.
    Disconnected {
        /// Why.
        reason: DisconnectReason,
    },
    /// What was seen of a conversation is not what the server has: its database was set back. Load it again by
    /// [`Chat::history`](crate::Chat::history); texts go on behind `cursor`.
    ConversationReplaced {
        /// The conversation.
        thread_id: ThreadId,
        /// The last text that there is.
        cursor: Cursor,
    },
    /// The last one: the messenger has ended and does not connect any more.
    Ended {
        /// Why.
        reason: EndReason,
    },
}

/// A stored text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IncomingText {
    /// Who sent it.
    pub from: UserId,
    /// To whom.
    pub to: UserId,
    /// The conversation.
    pub thread_id: ThreadId,
    /// Its global key.
    pub message_id: MessageKey,
    /// Its number within the conversation, from 1 without gaps.
    pub seq: i64,
    /// The sender's id for it, if they gave one.
    pub client_id: Option<String>,
    /// The text.
    pub content: String,
    /// `YYYY-MM-DD HH:MM:SS`, local time of the server.
    pub sent_at: String,
}

/// The stream of what comes in.
///
/// Bounded ([`MessengerConfig::incoming`](super::MessengerConfig::incoming)): an application that does not read it makes
/// the connection stop reading, acknowledgements included. Read it in a task of its own, or drop it: then what comes in
/// is discarded.
#[derive(Debug)]
pub struct Inbox {
    live: mpsc::Receiver<Incoming>,
    shared: Arc<Shared>,
    ended: bool,
}

impl Inbox {
    pub(super) fn new(live: mpsc::Receiver<Incoming>, shared: Arc<Shared>) -> Self {
        Self { live, shared, ended: false }
    }

    /// The next one; waits for it. Says at the same time that the application is done with the one before, which counts
    /// as delivered from now on. After [`Incoming::Ended`], `None`.
    ///
    /// Cancel safe: nothing is lost when the future is dropped.
    pub async fn next(&mut self) -> Option<Incoming> {
        self.shared.confirm();
        let incoming = match self.live.recv().await {
            Some(incoming) => incoming,
            None => self.rest()?,
        };
        self.shared.taken(&incoming);
        Some(incoming)
    }

    /// How far the application is, the last one that [`Inbox::next`] gave included: keep both together. Own texts are in
    /// it as soon as they are acknowledged.
    #[must_use]
    pub fn cursors(&self) -> Cursors {
        self.shared.cursors()
    }

    /// What found no room before the end.
    fn rest(&mut self) -> Option<Incoming> {
        if let Some(incoming) = self.shared.hand_out().take() {
            return Some(incoming);
        }
        if std::mem::replace(&mut self.ended, true) {
            return None;
        }
        Some(Incoming::Ended { reason: self.shared.end_reason() })
    }
}
