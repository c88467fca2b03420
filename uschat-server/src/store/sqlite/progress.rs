//! How far users have got in their conversations, and which conversations have moved.

use std::collections::HashSet;

use sqlx::{Row, sqlite::SqliteRow};
use uschat_proto::chat::{MessageKey, ThreadId, UserId};

use super::{
    batch::{execute, json},
    database::{Database, begin, end, failed},
};
use crate::store::{Progress, Standing, StoreError, ThreadHead};

const STANDINGS: &str = "SELECT p.thread_id, iif(p.user1_id = ?1, p.user2_id, p.user1_id) AS peer, h.seq AS head,
        coalesce(g.delivered_seq, h.taken_over) AS delivered, coalesce(g.read_seq, 0) AS read
    FROM json_each(?2) wanted CROSS JOIN private_chat p ON p.thread_id = wanted.value
    JOIN thread_head h ON h.thread_id = p.thread_id
    LEFT JOIN thread_progress g ON g.user_id = ?1 AND g.thread_id = p.thread_id
    WHERE p.user1_id = ?1 OR p.user2_id = ?1";
/// Both halves come in the order of their indexes and are merged.
const WAITING: &str = "SELECT p.thread_id, p.user2_id AS peer, h.seq AS head,
            coalesce(g.delivered_seq, h.taken_over) AS delivered, coalesce(g.read_seq, 0) AS read
        FROM private_chat p JOIN thread_head h ON h.thread_id = p.thread_id
        LEFT JOIN thread_progress g ON g.user_id = ?1 AND g.thread_id = p.thread_id
        WHERE p.user1_id = ?1 AND p.thread_id > ?2 AND h.seq > coalesce(g.delivered_seq, h.taken_over)
    UNION ALL SELECT p.thread_id, p.user1_id, h.seq,
            coalesce(g.delivered_seq, h.taken_over), coalesce(g.read_seq, 0)
        FROM private_chat p JOIN thread_head h ON h.thread_id = p.thread_id
        LEFT JOIN thread_progress g ON g.user_id = ?1 AND g.thread_id = p.thread_id
        WHERE p.user2_id = ?1 AND p.thread_id > ?2 AND h.seq > coalesce(g.delivered_seq, h.taken_over)
    ORDER BY 1 LIMIT ?3";
const HEADS_AFTER: &str =
    "SELECT h.thread_id, min(p.user1_id, p.user2_id), max(p.user1_id, p.user2_id), h.seq, h.last_key
    FROM thread_head h CROSS JOIN private_chat p ON p.thread_id = h.thread_id
    WHERE h.last_key > ?1 ORDER BY h.last_key LIMIT ?2";
const LAST_KEY: &str = "SELECT coalesce(max(message_id), 0) FROM chat_message";
/// Of somebody without a row, what was taken over counts as delivered. A row that nothing moves is not written.
const RECORD: &str = "INSERT INTO thread_progress (user_id, thread_id, delivered_seq, read_seq)
    SELECT f.uid, h.thread_id, max(h.taken_over, min(h.seq, wanted.value ->> 3)), max(0, min(h.seq, wanted.value ->> 4))
    FROM json_each(?1) wanted
    CROSS JOIN user_fence f ON f.uid = wanted.value ->> 0 AND f.fence = wanted.value ->> 1
    CROSS JOIN private_chat p ON p.thread_id = wanted.value ->> 2 AND f.uid IN (p.user1_id, p.user2_id)
    CROSS JOIN thread_head h ON h.thread_id = p.thread_id WHERE true
    ON CONFLICT (user_id, thread_id) DO UPDATE SET delivered_seq = max(delivered_seq, excluded.delivered_seq),
        read_seq = max(read_seq, excluded.read_seq)
    WHERE excluded.delivered_seq > delivered_seq OR excluded.read_seq > read_seq";

#[cfg(test)]
pub(super) const LOOK_UPS: &[&str] = &[STANDINGS, WAITING, HEADS_AFTER, LAST_KEY, RECORD];

impl Database {
    pub(super) async fn standings(&self, uid: UserId, threads: &[ThreadId]) -> Result<Vec<Standing>, StoreError> {
        let threads: HashSet<_> = threads.iter().map(|thread| thread.0).collect();
        let mut reader = self.reader().await?;
        let rows = sqlx::query(STANDINGS).bind(uid.0).bind(json(&threads)?).try_map(standing);
        rows.fetch_all(&mut *reader).await.map_err(failed)
    }

    pub(super) async fn waiting(
        &self,
        uid: UserId,
        after: ThreadId,
        limit: usize,
    ) -> Result<Vec<Standing>, StoreError> {
        let mut reader = self.reader().await?;
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let rows = sqlx::query(WAITING).bind(uid.0).bind(after.0).bind(limit).try_map(standing);
        rows.fetch_all(&mut *reader).await.map_err(failed)
    }

    pub(super) async fn heads_after(&self, after: MessageKey, limit: usize) -> Result<Vec<ThreadHead>, StoreError> {
        let mut reader = self.reader().await?;
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        // An empty conversation has the key 0.
        let rows = sqlx::query_as(HEADS_AFTER).bind(after.0.max(0)).bind(limit).fetch_all(&mut *reader).await;
        let head = |(thread, one, other, seq, key)| ThreadHead {
            thread: ThreadId(thread),
            users: [UserId(one), UserId(other)],
            seq,
            key: MessageKey(key),
        };
        Ok(rows.map_err(failed)?.into_iter().map(head).collect())
    }

    pub(super) async fn last_key(&self) -> Result<MessageKey, StoreError> {
        let mut reader = self.reader().await?;
        sqlx::query_scalar(LAST_KEY).fetch_one(&mut *reader).await.map(MessageKey).map_err(failed)
    }

    pub(super) async fn record_progress(&self, progress: &[Progress]) -> Result<(), StoreError> {
        if progress.is_empty() {
            return Ok(());
        }
        let news = progress.iter().map(|news| (news.uid.0, news.fence, news.thread.0, news.delivered, news.read));
        let news: Vec<_> = news.collect();
        let mut writer = self.writer().await?;
        let mut transaction = begin(&mut writer).await?;
        let recorded = execute(&mut transaction, RECORD, &news).await;
        end(transaction, recorded).await
    }
}

fn standing(row: SqliteRow) -> Result<Standing, sqlx::Error> {
    Ok(Standing {
        thread: ThreadId(row.try_get("thread_id")?),
        peer: UserId(row.try_get("peer")?),
        head: row.try_get("head")?,
        delivered: row.try_get("delivered")?,
        read: row.try_get("read")?,
    })
}
