//! How far users have got in their conversations, and which conversations have moved.

use std::collections::BTreeSet;

use sqlx::{
    AssertSqlSafe, MySql, MySqlConnection, Row,
    mysql::{MySqlArguments, MySqlRow},
    query::Query,
};
use uschat_proto::chat::{MessageKey, ThreadId, UserId};

use super::{
    contacts::read,
    conversations::Number,
    database::{Database, Work, int, uid},
    known::{MOST_LISTED, padded, with_places},
};
use crate::store::{Progress, Standing, StoreError, ThreadHead, plan::Pair};

/// Entries of one statement that records progress: each is a SELECT of its own.
const MOST_RECORDED: usize = 512;

// What an original stored without a number is looked for too, because it has to be numbered before it is known where
// anybody stands. A conversation without a head is an original's; what is in it will count as delivered.
const STANDINGS: &str = "SELECT p.thread_id, IF(p.user1_id = ?, p.user2_id, p.user1_id) AS peer,
        COALESCE(h.seq, 0) AS head, COALESCE(g.delivered_seq, h.taken_over, 0) AS delivered,
        COALESCE(g.read_seq, 0) AS seen,
        EXISTS (SELECT 1 FROM chat_message m WHERE m.thread_id = p.thread_id AND m.seq IS NULL) AS unnumbered
    FROM private_chat p LEFT JOIN thread_head h ON h.thread_id = p.thread_id
    LEFT JOIN thread_progress g ON g.user_id = ? AND g.thread_id = p.thread_id
    WHERE (p.user1_id = ? OR p.user2_id = ?) AND p.thread_id IN ";
/// Each half in the order of its index.
const WAITING: &str = "(SELECT p.thread_id, p.user2_id AS peer,
        COALESCE(h.seq, 0) AS head, COALESCE(g.delivered_seq, h.taken_over, 0) AS delivered,
        COALESCE(g.read_seq, 0) AS seen,
        EXISTS (SELECT 1 FROM chat_message m WHERE m.thread_id = p.thread_id AND m.seq IS NULL) AS unnumbered
        FROM private_chat p LEFT JOIN thread_head h ON h.thread_id = p.thread_id
        LEFT JOIN thread_progress g ON g.user_id = ? AND g.thread_id = p.thread_id
        WHERE p.user1_id = ? AND p.thread_id > ? AND (h.seq > COALESCE(g.delivered_seq, h.taken_over)
            OR EXISTS (SELECT 1 FROM chat_message m WHERE m.thread_id = p.thread_id AND m.seq IS NULL))
        ORDER BY p.thread_id LIMIT ?)
    UNION ALL (SELECT p.thread_id, p.user1_id AS peer,
        COALESCE(h.seq, 0) AS head, COALESCE(g.delivered_seq, h.taken_over, 0) AS delivered,
        COALESCE(g.read_seq, 0) AS seen,
        EXISTS (SELECT 1 FROM chat_message m WHERE m.thread_id = p.thread_id AND m.seq IS NULL) AS unnumbered
        FROM private_chat p LEFT JOIN thread_head h ON h.thread_id = p.thread_id
        LEFT JOIN thread_progress g ON g.user_id = ? AND g.thread_id = p.thread_id
        WHERE p.user2_id = ? AND p.thread_id > ? AND (h.seq > COALESCE(g.delivered_seq, h.taken_over)
            OR EXISTS (SELECT 1 FROM chat_message m WHERE m.thread_id = p.thread_id AND m.seq IS NULL))
        ORDER BY p.thread_id LIMIT ?)
    ORDER BY thread_id LIMIT ?";
const HEADS_AFTER: &str = "SELECT h.thread_id, p.user1_id, p.user2_id, h.seq, h.last_key
    FROM thread_head h FORCE INDEX (thread_head_last_key) STRAIGHT_JOIN private_chat p ON p.thread_id = h.thread_id
    WHERE h.last_key > ? ORDER BY h.last_key LIMIT ?";
const LAST_KEY: &str = "SELECT CAST(COALESCE(MAX(message_id), 0) AS SIGNED) FROM chat_message";

const NEWS: &str = "SELECT CAST(? AS SIGNED) AS uid, CAST(? AS SIGNED) AS fence, CAST(? AS SIGNED) AS thread_id,
    CAST(? AS SIGNED) AS delivered, CAST(? AS SIGNED) AS seen";
/// Of somebody without a row, what was taken over counts as delivered.
const RECORD: &str = "INSERT INTO thread_progress (user_id, thread_id, delivered_seq, read_seq)
    SELECT news.uid, news.thread_id, GREATEST(h.taken_over, LEAST(h.seq, news.delivered)),
        GREATEST(0, LEAST(h.seq, news.seen))
    FROM (";
/// In the order of the primary key, in which every transaction locks. `user_fence` and `thread_head` are read without locks.
const RECORD_END: &str = ") news
    STRAIGHT_JOIN user_fence f ON f.uid = news.uid AND f.fence = news.fence
    STRAIGHT_JOIN private_chat p ON p.thread_id = news.thread_id AND news.uid IN (p.user1_id, p.user2_id)
    STRAIGHT_JOIN thread_head h ON h.thread_id = news.thread_id
    ORDER BY news.uid, news.thread_id
    ON DUPLICATE KEY UPDATE delivered_seq = GREATEST(delivered_seq, VALUES(delivered_seq)),
        read_seq = GREATEST(read_seq, VALUES(read_seq))";

#[cfg(test)]
pub(super) const LOOK_UPS: &[&str] = &[WAITING, HEADS_AFTER, LAST_KEY];
#[cfg(test)]
pub(super) const BUILT: &[(&str, &str)] = &[(STANDINGS, "(?, ?)")];
#[cfg(test)]
pub(super) const RECORDED: [&str; 3] = [RECORD, NEWS, RECORD_END];

impl Database {
    pub(super) async fn standings(&self, of: UserId, threads: &[ThreadId]) -> Result<Vec<Standing>, StoreError> {
        let threads: Vec<i64> = threads.iter().map(|thread| thread.0).collect();
        let mut standings = Vec::with_capacity(threads.len());
        for threads in threads.chunks(MOST_LISTED) {
            let statement = || with_places(STANDINGS, "?", threads.len(), "");
            let bound = |mut query: Query<'static, _, _>| {
                for _ in 0..4 {
                    query = query.bind(of.0);
                }
                padded(threads).fold(query, Query::bind)
            };
            let mut rows = self.rows(statement(), bound).await?;
            if self.number_those_of(&rows).await? {
                rows = self.rows(statement(), bound).await?;
            }
            standings.extend(read(&rows, standing)?);
        }
        Ok(standings)
    }

    pub(super) async fn waiting(&self, of: UserId, after: ThreadId, limit: usize) -> Result<Vec<Standing>, StoreError> {
        let most = i64::try_from(limit).unwrap_or(i64::MAX);
        let bound = |mut query: Query<'static, _, _>| {
            for _ in 0..2 {
                query = query.bind(of.0).bind(of.0).bind(after.0).bind(most);
            }
            query.bind(most)
        };
        let mut rows = self.rows(WAITING, bound).await?;
        if self.number_those_of(&rows).await? {
            rows = self.rows(WAITING, bound).await?;
        }
        let mut standings = read(&rows, standing)?;
        // One that an original has written in since is found next time.
        standings.retain(|standing| standing.head > standing.delivered);
        Ok(standings)
    }

    /// Numbers what originals have stored in the conversations of these rows; whether there was anything.
    async fn number_those_of(&self, rows: &[MySqlRow]) -> Result<bool, StoreError> {
        let threads = read(rows, |row| Ok((int(row, "thread_id")?, int(row, "unnumbered")? != 0)))?;
        let unnumbered: BTreeSet<i64> =
            threads.into_iter().filter(|(_, unnumbered)| *unnumbered).map(|(thread, _)| thread).collect();
        if unnumbered.is_empty() {
            return Ok(false);
        }
        self.transact(&Number { database: self, threads: unnumbered.into_iter().collect() }).await?;
        Ok(true)
    }

    pub(super) async fn heads_after(&self, after: MessageKey, limit: usize) -> Result<Vec<ThreadHead>, StoreError> {
        let most = i64::try_from(limit).unwrap_or(i64::MAX);
        // An empty conversation has the key 0.
        let rows = self.rows(HEADS_AFTER, |query| query.bind(after.0.max(0)).bind(most)).await?;
        read(&rows, |row| {
            let pair = Pair::new(uid(row, "user1_id")?, uid(row, "user2_id")?);
            Ok(ThreadHead {
                thread: ThreadId(int(row, "thread_id")?),
                users: [pair.0, pair.1],
                seq: int(row, "seq")?,
                key: MessageKey(int(row, "last_key")?),
            })
        })
    }

    pub(super) async fn last_key(&self) -> Result<MessageKey, StoreError> {
        let rows = self.rows(LAST_KEY, |query| query).await?;
        let keys = read(&rows, |row| row.try_get_unchecked(0))?;
        Ok(MessageKey(keys.first().copied().unwrap_or(0)))
    }

    pub(super) async fn record_progress(&self, progress: &[Progress]) -> Result<(), StoreError> {
        for news in progress.chunks(MOST_RECORDED) {
            self.transact(&Record(news)).await?;
        }
        Ok(())
    }
}

struct Record<'a>(&'a [Progress]);

impl Work for Record<'_> {
    type Output = ();
    type Refusal = StoreError;

    async fn run(&self, connection: &mut MySqlConnection) -> Result<Result<(), StoreError>, sqlx::Error> {
        let statement =
            format!("{RECORD}{}{RECORD_END}", vec![NEWS; self.0.len().next_power_of_two()].join(" UNION ALL "));
        let bind = |record: Query<'static, MySql, MySqlArguments>, news: Progress| {
            record.bind(news.uid.0).bind(news.fence).bind(news.thread.0).bind(news.delivered).bind(news.read)
        };
        let record = padded(self.0).fold(sqlx::query(AssertSqlSafe(statement)), bind);
        record.execute(connection).await?;
        Ok(Ok(()))
    }
}

fn standing(row: &MySqlRow) -> Result<Standing, sqlx::Error> {
    Ok(Standing {
        thread: ThreadId(int(row, "thread_id")?),
        peer: uid(row, "peer")?,
        head: int(row, "head")?,
        delivered: int(row, "delivered")?,
        read: int(row, "seen")?,
    })
}
