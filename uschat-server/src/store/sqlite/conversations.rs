use std::sync::PoisonError;

use async_trait::async_trait;
use sqlx::{Row, SqliteConnection, sqlite::SqliteRow};
use uschat_proto::chat::{MessageKey, ThreadId, UserId};

use super::{
    SqliteStore, batch,
    database::{begin, end, failed},
};
use crate::store::{
    Conversations, NewTexts, OpenThreadError, Place, PrivateThread, Progress, Receipt, Standing, StoreError,
    StoredText, ThreadHead,
    plan::{Pair, Plan},
};

const HISTORY: &str = "SELECT message_id, thread_id, seq, sender_id, client_id, content, sent_at_ms
    FROM chat_message WHERE thread_id = ?1 AND message_id > ?2 ORDER BY message_id LIMIT ?3";
const PRIVATE_THREAD: &str = "SELECT min(thread_id) FROM private_chat
    WHERE (user1_id = ?1 AND user2_id = ?2) OR (user1_id = ?2 AND user2_id = ?1)";

/// Both halves come in the order of their indexes and are merged.
const THREADS: &str = "SELECT p.thread_id, p.user2_id FROM private_chat p
        JOIN friend f ON f.self_id = ?1 AND f.friend_id = p.user2_id
        WHERE p.user1_id = ?1 AND p.thread_id > ?2
    UNION ALL SELECT p.thread_id, p.user1_id FROM private_chat p
        JOIN friend f ON f.self_id = ?1 AND f.friend_id = p.user1_id
        WHERE p.user2_id = ?1 AND p.thread_id > ?2
    ORDER BY 1 LIMIT ?3";
const PARTICIPANTS: &str =
    "SELECT min(user1_id, user2_id), max(user1_id, user2_id) FROM private_chat WHERE thread_id = ?1";

#[cfg(test)]
pub(super) const LOOK_UPS: &[&str] = &[HISTORY, PRIVATE_THREAD, THREADS, PARTICIPANTS];

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

    async fn threads(&self, uid: UserId, after: ThreadId, limit: usize) -> Result<Vec<PrivateThread>, StoreError> {
        let mut reader = self.database.reader().await?;
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let rows = sqlx::query_as(THREADS).bind(uid.0).bind(after.0).bind(limit).fetch_all(&mut *reader).await;
        let rows: Vec<(i64, i32)> = rows.map_err(failed)?;
        let thread = |(thread, friend)| PrivateThread { thread: ThreadId(thread), friend: UserId(friend) };
        Ok(rows.into_iter().map(thread).collect())
    }

    async fn participants(&self, thread: ThreadId) -> Result<Option<[UserId; 2]>, StoreError> {
        let mut reader = self.database.reader().await?;
        let pair = sqlx::query_as(PARTICIPANTS).bind(thread.0).fetch_optional(&mut *reader).await.map_err(failed)?;
        Ok(pair.map(|(one, other)| [UserId(one), UserId(other)]))
    }

    async fn open_private(&self, uid: UserId, friend: UserId) -> Result<ThreadId, OpenThreadError> {
        let mut writer = self.database.writer().await?;
        let mut transaction = begin(&mut writer).await?;
        let opened = open_private(&mut transaction, uid, friend).await;
        end(transaction, opened).await
    }

    async fn place(&self) -> Place {
        Place::new(|_| Receipt::ready(Err(StoreError::unavailable("not written yet").into())))
    }

    async fn texts_after(&self, _: ThreadId, _: i64, _: usize) -> Result<Vec<StoredText>, StoreError> {
        Err(StoreError::unavailable("not written yet"))
    }

    async fn texts_at(&self, _: &[(ThreadId, i64)]) -> Result<Vec<StoredText>, StoreError> {
        Err(StoreError::unavailable("not written yet"))
    }

    async fn standings(&self, _: UserId, _: &[ThreadId]) -> Result<Vec<Standing>, StoreError> {
        Err(StoreError::unavailable("not written yet"))
    }

    async fn waiting(&self, _: UserId, _: ThreadId, _: usize) -> Result<Vec<Standing>, StoreError> {
        Err(StoreError::unavailable("not written yet"))
    }

    async fn heads_after(&self, _: MessageKey, _: usize) -> Result<Vec<ThreadHead>, StoreError> {
        Err(StoreError::unavailable("not written yet"))
    }

    async fn last_key(&self) -> Result<MessageKey, StoreError> {
        Err(StoreError::unavailable("not written yet"))
    }

    async fn record_progress(&self, _: &[Progress]) -> Result<(), StoreError> {
        Err(StoreError::unavailable("not written yet"))
    }
}

async fn open_private(
    connection: &mut SqliteConnection,
    uid: UserId,
    friend: UserId,
) -> Result<ThreadId, OpenThreadError> {
    let mut known = batch::load(connection, &[], &[Pair::new(uid, friend)]).await?;
    let mut plan = Plan::default();
    let thread = known.plan_private(uid, friend, &mut plan).ok_or(OpenThreadError::NotFriends)?;
    batch::write(connection, &plan).await?;
    Ok(thread)
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
