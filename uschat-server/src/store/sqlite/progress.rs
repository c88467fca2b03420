//! How far users have got in their conversations, and which conversations have moved.

use std::collections::HashSet;

use sqlx::{Row, sqlite::SqliteRow};
use uschat_proto::chat::{MessageKey, ThreadId, UserId};

use super::{
    database::{Database, failed},
    list::List,
};
use crate::store::{Progress, Standing, StoreError, ThreadHead};

/// Rows are a conversation and the user.
const STANDINGS: List = List {
    head: "SELECT p.thread_id, iif(p.user1_id = wanted.column2, p.user2_id, p.user1_id) AS peer, h.seq AS head,
            coalesce(g.delivered_seq, h.taken_over) AS delivered, coalesce(g.read_seq, 0) AS read
        FROM (VALUES ",
    row: "(?, ?)",
    tail: ") wanted CROSS JOIN private_chat p
            ON p.thread_id = wanted.column1 AND wanted.column2 IN (p.user1_id, p.user2_id)
        JOIN thread_head h ON h.thread_id = p.thread_id
        LEFT JOIN thread_progress g ON g.user_id = wanted.column2 AND g.thread_id = p.thread_id",
};
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
/// Rows are a user, their fence, a conversation, and how far it was delivered and read. Of somebody without a record, what was
/// taken over counts as delivered. A record that nothing moves is not written.
const RECORD: List = List {
    head: "INSERT INTO thread_progress (user_id, thread_id, delivered_seq, read_seq)
        SELECT f.uid, h.thread_id, max(h.taken_over, min(h.seq, wanted.column4)), max(0, min(h.seq, wanted.column5))
        FROM (VALUES ",
    row: "(?, ?, ?, ?, ?)",
    tail: ") wanted
        CROSS JOIN user_fence f ON f.uid = wanted.column1 AND f.fence = wanted.column2
        CROSS JOIN private_chat p ON p.thread_id = wanted.column3 AND f.uid IN (p.user1_id, p.user2_id)
        CROSS JOIN thread_head h ON h.thread_id = p.thread_id WHERE true
        ON CONFLICT (user_id, thread_id) DO UPDATE SET delivered_seq = max(delivered_seq, excluded.delivered_seq),
            read_seq = max(read_seq, excluded.read_seq)
        WHERE excluded.delivered_seq > delivered_seq OR excluded.read_seq > read_seq",
};

#[cfg(test)]
pub(super) const LOOK_UPS: &[&str] = &[WAITING, HEADS_AFTER, LAST_KEY];
#[cfg(test)]
pub(super) const LIST_LOOK_UPS: &[List] = &[STANDINGS, RECORD];

impl Database {
    pub(super) async fn standings(&self, uid: UserId, threads: &[ThreadId]) -> Result<Vec<Standing>, StoreError> {
        let threads: HashSet<_> = threads.iter().collect();
        let threads: Vec<_> = threads.into_iter().collect();
        let mut reader = self.reader().await?;
        let mut standings = Vec::with_capacity(threads.len());
        for threads in threads.chunks(List::MOST) {
            let query =
                threads.iter().fold(STANDINGS.query(threads.len()), |query, thread| query.bind(thread.0).bind(uid.0));
            standings.extend(query.try_map(standing).fetch_all(&mut *reader).await.map_err(failed)?);
        }
        Ok(standings)
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
        for progress in progress.chunks(List::MOST) {
            let record = progress.iter().fold(RECORD.query(progress.len()), |query, news| {
                query.bind(news.uid.0).bind(news.fence).bind(news.thread.0).bind(news.delivered).bind(news.read)
            });
            let mut writer = self.writer().await?;
            record.execute(&mut *writer).await.map_err(failed)?;
        }
        Ok(())
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
