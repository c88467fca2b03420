use std::sync::PoisonError;

use async_trait::async_trait;
use sqlx::{Row, sqlite::SqliteRow};
use uschat_proto::chat::{MessageKey, ThreadId, UserId};

use super::{SqliteStore, database::failed};
use crate::store::{Conversations, NewTexts, Receipt, StoreError, StoredText};

const HISTORY: &str = "SELECT message_id, thread_id, seq, sender_id, client_id, content, sent_at_ms
    FROM chat_message WHERE thread_id = ?1 AND message_id > ?2 ORDER BY message_id LIMIT ?3";
const PRIVATE_THREAD: &str = "SELECT min(thread_id) FROM private_chat
    WHERE (user1_id = ?1 AND user2_id = ?2) OR (user1_id = ?2 AND user2_id = ?1)";

#[cfg(test)]
pub(super) const LOOK_UPS: &[&str] = &[HISTORY, PRIVATE_THREAD];

#[async_trait]
impl Conversations for SqliteStore {
    fn submit(&self, texts: NewTexts) -> Receipt {
        match &*self.committer.read().unwrap_or_else(PoisonError::into_inner) {
            Some(committer) => committer.submit(texts),
            None => Receipt::ready(Err(StoreError::unavailable("the store is closed").into())),
        }
    }

    async fn history(&self, thread: ThreadId, after: MessageKey, limit: usize) -> Result<Vec<StoredText>, StoreError> {
        let mut reader = self.database.reader().await?;
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let rows = sqlx::query(HISTORY).bind(thread.0).bind(after.0).bind(limit).try_map(|row| stored_text(&row));
        rows.fetch_all(&mut *reader).await.map_err(failed)
    }

    async fn private_thread(&self, one: UserId, other: UserId) -> Result<Option<ThreadId>, StoreError> {
        let mut reader = self.database.reader().await?;
        let oldest = sqlx::query_scalar(PRIVATE_THREAD).bind(one.0).bind(other.0).fetch_one(&mut *reader).await;
        let oldest: Option<i64> = oldest.map_err(failed)?;
        Ok(oldest.map(ThreadId))
    }
}

pub(super) fn stored_text(row: &SqliteRow) -> Result<StoredText, sqlx::Error> {
    Ok(StoredText {
        key: MessageKey(row.try_get("message_id")?),
        thread: ThreadId(row.try_get("thread_id")?),
        seq: row.try_get("seq")?,
        sender: UserId(row.try_get("sender_id")?),
        client_id: row.try_get("client_id")?,
        content: row.try_get("content")?,
        sent_at: row.try_get("sent_at_ms")?,
    })
}
