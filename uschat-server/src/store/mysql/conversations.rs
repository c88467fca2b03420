use std::sync::PoisonError;

use async_trait::async_trait;
use sqlx::{MySqlConnection, Row, mysql::MySqlRow};
use uschat_proto::chat::{MessageKey, ThreadId, UserId};

use super::{
    MysqlStore,
    contacts::read,
    database::{Work, int, uid},
    known,
};
use crate::store::{Conversations, NewTexts, Receipt, StoreError, StoredText};

const HISTORY: &str = "SELECT message_id, thread_id, seq, sender_id, client_id, content,
        CAST(COALESCE(sent_at_ms, UNIX_TIMESTAMP(created_at) * 1000) AS SIGNED) AS sent_at_ms
    FROM chat_message WHERE thread_id = ? AND message_id > ? ORDER BY message_id LIMIT ?";
const PRIVATE_THREAD: &str = "SELECT thread_id FROM private_chat
    WHERE (user1_id, user2_id) IN ((?, ?), (?, ?)) ORDER BY thread_id LIMIT 1";

#[cfg(test)]
pub(super) const LOOK_UPS: &[&str] = &[HISTORY, PRIVATE_THREAD];

#[async_trait]
impl Conversations for MysqlStore {
    fn submit(&self, texts: NewTexts) -> Receipt {
        match &*self.committer.read().unwrap_or_else(PoisonError::into_inner) {
            Some(committer) => committer.submit(texts),
            None => Receipt::ready(Err(StoreError::unavailable("the store is closed").into())),
        }
    }

    async fn history(&self, thread: ThreadId, after: MessageKey, limit: usize) -> Result<Vec<StoredText>, StoreError> {
        let most = i64::try_from(limit).unwrap_or(i64::MAX);
        let bound = |query| sqlx::query::Query::bind(query, thread.0).bind(after.0).bind(most);
        let mut rows = self.database.rows(HISTORY, bound).await?;
        if rows.iter().any(|row| !matches!(row.try_get_unchecked("seq"), Ok(Some::<i64>(_)))) {
            // An original stored some of them.
            self.database.transact(&Number(thread)).await?;
            rows = self.database.rows(HISTORY, bound).await?;
        }
        read(&rows, stored_text)
    }

    async fn private_thread(&self, one: UserId, other: UserId) -> Result<Option<ThreadId>, StoreError> {
        let bound = |query| sqlx::query::Query::bind(query, one.0).bind(other.0).bind(other.0).bind(one.0);
        let rows = self.database.rows(PRIVATE_THREAD, bound).await?;
        Ok(read(&rows, |row| int(row, "thread_id"))?.first().copied().map(ThreadId))
    }
}

/// Gives the texts that an original stored their numbers.
struct Number(ThreadId);

impl Work for Number {
    type Output = ();
    type Refusal = StoreError;

    async fn run(&self, connection: &mut MySqlConnection) -> Result<Result<(), StoreError>, sqlx::Error> {
        known::lock_heads(connection, &[self.0.0], known::Locks::Wait, "").await?;
        Ok(Ok(()))
    }
}

pub(super) fn stored_text(row: &MySqlRow) -> Result<StoredText, sqlx::Error> {
    let client_id: Option<Vec<u8>> = row.try_get_unchecked("client_id")?;
    let client_id = client_id.map(String::from_utf8).transpose();
    Ok(StoredText {
        key: MessageKey(int(row, "message_id")?),
        thread: ThreadId(int(row, "thread_id")?),
        seq: int(row, "seq")?,
        sender: uid(row, "sender_id")?,
        client_id: client_id.map_err(|error| sqlx::Error::Decode(error.into()))?,
        content: row.try_get("content")?,
        sent_at: int(row, "sent_at_ms")?,
    })
}
