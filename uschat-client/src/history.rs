//! What is stored: conversations and their texts, page by page.

use uschat_proto::chat::{HistoryText, LoadHistoryRequest, LoadThreadsRequest, MessageKey, Thread, ThreadId, UserId};

use crate::chat::Chat;
use crate::error::RequestError;

/// Some of a list, ascending.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T, K> {
    /// These; may be none.
    pub items: Vec<T>,
    /// What to ask for next; `None` if these were the last.
    pub next: Option<K>,
}

/// A private conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Conversation {
    /// Which.
    pub thread_id: ThreadId,
    /// The other user in it.
    pub peer: UserId,
}

/// A text as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredText {
    /// Who sent it.
    pub from: UserId,
    /// To whom.
    pub to: UserId,
    /// The conversation.
    pub thread_id: ThreadId,
    /// Its global key.
    pub message_id: MessageKey,
    /// Its number within the conversation, from 1 without gaps; 0 from servers that do not number texts.
    pub seq: i64,
    /// The text.
    pub content: String,
    /// `YYYY-MM-DD HH:MM:SS`, local time of the server.
    pub sent_at: String,
}

impl Chat {
    /// The user's private conversations with friends, in pages (of 10, with our servers): those behind `after`, which is
    /// [`Page::next`] of the page before; the default for the first.
    ///
    /// # Errors
    /// See [`RequestError`].
    pub async fn threads(&self, after: ThreadId) -> Result<Page<Conversation, ThreadId>, RequestError> {
        let own = self.profile().uid;
        let response = self.call(&LoadThreadsRequest { from: Some(own), after }, None).await?;
        let private = response.threads.into_iter().filter(|thread| thread.kind == "private");
        let items = private.map(|Thread { thread_id, user1_id, user2_id, .. }| {
            let peer = if user1_id == own { user2_id } else { user1_id };
            Conversation { thread_id, peer }
        });
        Ok(Page { items: items.collect(), next: next(response.load_more, after, response.next_last_id) })
    }

    /// The texts of a conversation, in pages (of 10, with our servers): those behind `after`, which is [`Page::next`] of the
    /// page before, or the key of the last text one has; the default for the first. Sees everything that was acknowledged
    /// to this session.
    ///
    /// # Errors
    /// [`RequestError::Refused`] with [`ErrorCode::NOT_A_MEMBER`](crate::ErrorCode::NOT_A_MEMBER) if this is not a
    /// conversation of the user, or another code; else see [`RequestError`].
    pub async fn history(
        &self,
        thread_id: ThreadId,
        after: MessageKey,
    ) -> Result<Page<StoredText, MessageKey>, RequestError> {
        let response = self.call(&LoadHistoryRequest { thread_id, after }, None).await?;
        let items = response.chat_datas.into_iter().map(|text| {
            let HistoryText { sender, receiver, message_id, thread_id, content, chat_time, seq, .. } = text;
            StoredText { from: sender, to: receiver, thread_id, message_id, seq, content, sent_at: chat_time }
        });
        Ok(Page { items: items.collect(), next: next(response.load_more, after, response.last_message_id) })
    }
}

/// A server that goes on with the place it was asked for would be asked for ever.
fn next<K: Ord>(load_more: bool, asked: K, last: K) -> Option<K> {
    Some(last).filter(|last| load_more && *last > asked)
}
