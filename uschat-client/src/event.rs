//! What the server says unasked, and the stream an application reads it from.

use std::collections::VecDeque;

use tokio::sync::{mpsc, oneshot};
use uschat_proto::chat::{
    AddFriendNotice, ApproveFriendNotice, KickNotice, MessageKey, Profile, TextChatNotice, ThreadId, UserId,
};
use uschat_proto::{Message, MessageId, PayloadError};
use uschat_wire::Frame;

use crate::chat::NewFriend;
use crate::error::DisconnectReason;

/// Something happened that this program did not ask for.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Event {
    /// Somebody wants to become a friend (1011). Answer with [`Chat::approve_friend`](crate::Chat::approve_friend).
    FriendApplied {
        /// The applicant. Their `desc` is what they wrote to introduce themselves; `name` may be that text too, as
        /// first-season servers do it, and `nick` is the name then.
        applicant: Profile,
    },
    /// Somebody approved this user's application (1015).
    FriendApproved {
        /// The new friend.
        friend: NewFriend,
    },
    /// A text arrived (1019): one event per text.
    ///
    /// A text may come twice, around a reconnect, and late, after its sender changed servers: an application that must not
    /// show it twice remembers which `message_id`s it has seen.
    Text {
        /// Who sent it.
        from: UserId,
        /// To whom.
        to: UserId,
        /// The sender's id for it, if they gave one.
        client_id: Option<String>,
        /// Its global key.
        message_id: MessageKey,
        /// Its number within the conversation, from 1 without gaps; 0 from servers that do not number texts.
        seq: i64,
        /// The conversation.
        thread_id: ThreadId,
        /// The text.
        content: String,
        /// `YYYY-MM-DD HH:MM:SS`, local time of the server.
        sent_at: String,
    },
    /// A newer login of the same user took over (1021). [`Event::Disconnected`] follows.
    Replaced,
    /// The session has ended, for whatever reason. Always the last event.
    Disconnected {
        /// Why.
        reason: DisconnectReason,
    },
}

/// The events of one session, in the order they came.
///
/// The queue is bounded ([`ChatConfig::event_capacity`](crate::ChatConfig::event_capacity)). An application that does not
/// read it makes the connection stop reading, so read it in a task of its own, or drop it: then events are discarded.
#[derive(Debug)]
pub struct Events {
    live: mpsc::Receiver<Event>,
    ending: Option<oneshot::Receiver<Ending>>,
    rest: VecDeque<Event>,
}

/// What the connection task leaves behind.
#[derive(Debug)]
pub(crate) struct Ending {
    /// Events that came and found no room in the queue.
    pub(crate) undelivered: VecDeque<Event>,
    pub(crate) reason: DisconnectReason,
}

impl Events {
    pub(crate) fn new(live: mpsc::Receiver<Event>, ending: oneshot::Receiver<Ending>) -> Self {
        Self { live, ending: Some(ending), rest: VecDeque::new() }
    }

    /// The next event; waits for it. After [`Event::Disconnected`], `None`.
    ///
    /// Cancel safe: no event is lost when the future is dropped.
    pub async fn next(&mut self) -> Option<Event> {
        if let Some(event) = self.live.recv().await {
            return Some(event);
        }
        if let Some(ending) = &mut self.ending {
            // An error means that the runtime stopped under the task; then there is no reason to tell.
            if let Ok(Ending { undelivered, reason }) = ending.await {
                self.rest = undelivered;
                self.rest.push_back(Event::Disconnected { reason });
            }
            self.ending = None;
        }
        self.rest.pop_front()
    }
}

/// The events in a notice; none if it is not one this crate knows.
pub(crate) fn events_of(frame: &Frame) -> Result<Vec<Event>, PayloadError> {
    Ok(match MessageId(frame.id) {
        MessageId::ADD_FRIEND_NOTICE => {
            let AddFriendNotice { applicant: uid, name, desc, icon, sex, nick, .. } =
                AddFriendNotice::from_body(&frame.body)?;
            vec![Event::FriendApplied { applicant: Profile { uid, name, nick, desc, sex, icon } }]
        }
        MessageId::APPROVE_FRIEND_NOTICE => {
            vec![Event::FriendApproved { friend: ApproveFriendNotice::from_body(&frame.body)?.into() }]
        }
        MessageId::TEXT_CHAT_NOTICE => {
            let TextChatNotice(notice) = TextChatNotice::from_body(&frame.body)?;
            let (Some(thread_id), Some(texts)) = (notice.thread_id, notice.chat_datas) else {
                return Err(PayloadError::new("thread_id or chat_datas is missing"));
            };
            let event = |text: uschat_proto::chat::ChatData| Event::Text {
                from: notice.from,
                to: notice.to,
                client_id: Some(text.unique_id).filter(|id| !id.is_empty()),
                message_id: text.message_id,
                seq: text.seq,
                thread_id,
                content: text.content,
                sent_at: text.chat_time,
            };
            texts.into_iter().map(event).collect()
        }
        MessageId::KICK_NOTICE => {
            KickNotice::from_body(&frame.body)?;
            vec![Event::Replaced]
        }
        _ => Vec::new(),
    })
}
