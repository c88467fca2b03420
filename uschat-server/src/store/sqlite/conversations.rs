use std::{collections::HashSet, sync::PoisonError};

use async_trait::async_trait;
use sqlx::{Row, SqliteConnection, sqlite::SqliteRow};
use uschat_proto::chat::{MessageKey, ThreadId, UserId};

use super::{
    SqliteStore, batch,
    database::{begin, end, failed},
    list::List,
};
use crate::store::{
    Conversations, NewTexts, OpenThreadError, Place, PrivateThread, Progress, Receipt, Standing, StoreError,
    StoredText, ThreadHead,
    meter::Meter,
    plan::{Pair, Plan},
};

const HISTORY: &str = "SELECT message_id, thread_id, seq, sender_id, client_id, content, sent_at_ms
    FROM chat_message WHERE thread_id = ?1 AND message_id > ?2 ORDER BY message_id LIMIT ?3";
const TEXTS_AFTER: &str = "SELECT message_id, thread_id, seq, sender_id, client_id, content, sent_at_ms
    FROM chat_message WHERE thread_id = ?1 AND seq > ?2 ORDER BY seq LIMIT ?3";
const TEXTS_AT: List = List {
    head: "SELECT m.message_id, m.thread_id, m.seq, m.sender_id, m.client_id, m.content, m.sent_at_ms FROM (VALUES ",
    row: "(?, ?)",
    tail: ") wanted CROSS JOIN chat_message m ON m.thread_id = wanted.column1 AND m.seq = wanted.column2",
};
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
pub(super) const LOOK_UPS: &[&str] = &[HISTORY, TEXTS_AFTER, PRIVATE_THREAD, THREADS, PARTICIPANTS];
#[cfg(test)]
pub(super) const LIST_LOOK_UPS: &[List] = &[TEXTS_AT];

#[async_trait]
impl Conversations for SqliteStore {
    fn submit(&self, texts: NewTexts) -> Receipt {
        match &*self.committer.read().unwrap_or_else(PoisonError::into_inner) {
            Some(committer) => committer.submit(texts),
            None => Receipt::ready(Err(StoreError::unavailable("the store is closed").into())),
        }
    }

    async fn place(&self) -> Place {
        let place = match &*self.committer.read().unwrap_or_else(PoisonError::into_inner) {
            Some(committer) => committer.place(),
            None => return Place::new(|_| Receipt::ready(Err(StoreError::unavailable("the store is closed").into()))),
        };
        place.await
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
        let opened = open_private(&mut transaction, uid, friend, &self.database.meter).await;
        end(transaction, opened).await
    }

    async fn texts_after(&self, thread: ThreadId, after: i64, limit: usize) -> Result<Vec<StoredText>, StoreError> {
        let mut reader = self.database.reader().await?;
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let rows = sqlx::query(TEXTS_AFTER).bind(thread.0).bind(after).bind(limit).try_map(|row| stored_text(&row));
        rows.fetch_all(&mut *reader).await.map_err(failed)
    }

    async fn texts_at(&self, places: &[(ThreadId, i64)]) -> Result<Vec<StoredText>, StoreError> {
        let places: HashSet<_> = places.iter().collect();
        let places: Vec<_> = places.into_iter().collect();
        let mut reader = self.database.reader().await?;
        let mut texts = Vec::with_capacity(places.len());
        for places in places.chunks(List::MOST) {
            let query =
                places.iter().fold(TEXTS_AT.query(places.len()), |query, (thread, seq)| query.bind(thread.0).bind(seq));
            let found = query.try_map(|row| stored_text(&row)).fetch_all(&mut *reader).await;
            texts.extend(found.map_err(failed)?);
        }
        Ok(texts)
    }

    async fn standings(&self, uid: UserId, threads: &[ThreadId]) -> Result<Vec<Standing>, StoreError> {
        self.database.standings(uid, threads).await
    }

    async fn waiting(&self, uid: UserId, after: ThreadId, limit: usize) -> Result<Vec<Standing>, StoreError> {
        self.database.waiting(uid, after, limit).await
    }

    async fn heads_after(&self, after: MessageKey, limit: usize) -> Result<Vec<ThreadHead>, StoreError> {
        self.database.heads_after(after, limit).await
    }

    async fn last_key(&self) -> Result<MessageKey, StoreError> {
        self.database.last_key().await
    }

    async fn record_progress(&self, progress: &[Progress]) -> Result<(), StoreError> {
        self.database.record_progress(progress).await
    }
}

async fn open_private(
    connection: &mut SqliteConnection,
    uid: UserId,
    friend: UserId,
    meter: &Meter,
) -> Result<ThreadId, OpenThreadError> {
    let mut known = batch::load(connection, [Pair::new(uid, friend)], meter).await?;
    let mut plan = Plan::default();
    let thread = known.plan_private(uid, friend, &mut plan).ok_or(OpenThreadError::NotFriends)?;
    batch::write(connection, &plan, meter).await?;
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
