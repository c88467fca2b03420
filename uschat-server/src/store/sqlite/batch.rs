use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Instant,
};

use serde::Serialize;
use sqlx::{Row, SqliteConnection, sqlite::SqliteRow};
use uschat_proto::chat::{ThreadId, UserId};

use super::{
    conversations::stored_text,
    database::{Database, begin, end, failed},
};
use crate::store::{
    CommitBatch, NewTexts, StoreError, StoredTexts, SubmitError,
    meter::Meter,
    plan::{Head, Known, Pair, Plan, Row as Text},
};

// Lists travel as one JSON parameter: one statement, prepared once, for a batch of any length. CROSS JOIN keeps the list on
// the outside, so that every entry is one look-up in an index.
const EARLIER: &str =
    "SELECT m.message_id, m.thread_id, m.seq, m.sender_id, m.recv_id, m.client_id, m.content, m.sent_at_ms
    FROM json_each(?1) wanted CROSS JOIN chat_message m
    ON m.sender_id = wanted.value ->> 0 AND m.client_id = wanted.value ->> 1";
const FRIENDS: &str = "SELECT f.self_id, f.friend_id
    FROM json_each(?1) wanted CROSS JOIN friend f
    ON f.self_id = wanted.value ->> 0 AND f.friend_id = wanted.value ->> 1";
const HEADS: &str = "SELECT p.user1_id, p.user2_id, p.thread_id, h.seq
    FROM json_each(?1) wanted CROSS JOIN private_chat p
    ON p.user1_id = wanted.value ->> 0 AND p.user2_id = wanted.value ->> 1
    JOIN thread_head h ON h.thread_id = p.thread_id ORDER BY p.thread_id";
/// A table of SQLite's own with one row a table that counts.
const LAST_KEYS: &str = "SELECT coalesce(max(seq) FILTER (WHERE name = 'chat_message'), 0),
    coalesce(max(seq) FILTER (WHERE name = 'chat_thread'), 0) FROM sqlite_sequence";

const INSERT_THREADS: &str = "INSERT INTO chat_thread (id, type) SELECT value ->> 0, 'private' FROM json_each(?1)";
const INSERT_PRIVATE: &str = "INSERT INTO private_chat (thread_id, user1_id, user2_id)
    SELECT value ->> 0, value ->> 1, value ->> 2 FROM json_each(?1)";
const INSERT_TEXTS: &str = "INSERT INTO chat_message
    (message_id, thread_id, seq, sender_id, recv_id, client_id, content, sent_at_ms)
    SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5, value ->> 6, value ->> 7
    FROM json_each(?1)";
const SET_HEADS: &str = "INSERT INTO thread_head (thread_id, seq, last_key)
    SELECT value ->> 0, value ->> 1, value ->> 2 FROM json_each(?1) WHERE true
    ON CONFLICT (thread_id) DO UPDATE SET seq = excluded.seq, last_key = excluded.last_key";

#[cfg(test)]
pub(super) const LOOK_UPS: &[&str] = &[EARLIER, FRIENDS, HEADS];

impl CommitBatch for Database {
    /// One transaction for all; if the database refuses one of the rows, the batch is halved until the offender is alone.
    /// When the database cannot be used, nothing of what is left is tried.
    async fn commit(&self, batch: &[&NewTexts]) -> Vec<Result<StoredTexts, SubmitError>> {
        let mut outcomes = Vec::with_capacity(batch.len());
        let mut parts = vec![batch];
        while let Some(part) = parts.pop() {
            match self.commit_part(part).await {
                Ok(stored) => outcomes.extend(stored),
                Err(StoreError::Corrupt(_)) if part.len() > 1 => {
                    let (first, second) = part.split_at(part.len() / 2);
                    parts.extend([second, first]);
                }
                Err(error @ StoreError::Corrupt(_)) => {
                    outcomes.extend(for_each(error, part.len()).map(|error| Err(error.into())));
                }
                Err(error) => {
                    let rest = batch.len() - outcomes.len();
                    outcomes.extend(for_each(error, rest).map(|error| Err(error.into())));
                    break;
                }
            }
        }
        outcomes
    }
}

impl Database {
    async fn commit_part(&self, batch: &[&NewTexts]) -> Result<Vec<Result<StoredTexts, SubmitError>>, StoreError> {
        let mut writer = self.writer().await?;
        let began = Instant::now();
        self.meter.sent(2);
        let mut transaction = begin(&mut writer).await?;
        let outcomes = store(&mut transaction, batch, &self.meter).await;
        let outcomes = end(transaction, outcomes).await?;
        self.meter.committed(outcomes.iter().flatten(), began.elapsed());
        Ok(outcomes)
    }
}

async fn store(
    connection: &mut SqliteConnection,
    batch: &[&NewTexts],
    meter: &Meter,
) -> Result<Vec<Result<StoredTexts, SubmitError>>, StoreError> {
    let ids = batch.iter().flat_map(|request| {
        let ids = request.texts.iter().filter_map(|text| text.client_id.as_deref());
        ids.map(|id| (request.sender.0, id))
    });
    let ids: Vec<_> = ids.collect::<HashSet<_>>().into_iter().collect();
    let pairs = batch.iter().map(|request| Pair::of(request));
    let pairs: Vec<_> = pairs.collect::<HashSet<_>>().into_iter().collect();

    let mut known = load(connection, &ids, &pairs, meter).await?;
    let mut plan = Plan::default();
    let outcomes = batch.iter().map(|request| known.plan(request, &mut plan)).collect();
    write(connection, &plan, meter).await?;
    Ok(outcomes)
}

/// Reads what decides about texts with these client ids, between these pairs (each named once).
pub(super) async fn load(
    connection: &mut SqliteConnection,
    ids: &[(i32, &str)],
    pairs: &[Pair],
    meter: &Meter,
) -> Result<Known, StoreError> {
    let mut known = Known::default();
    meter.sent(3 + u64::from(!ids.is_empty()));
    if !ids.is_empty() {
        let earlier = sqlx::query(EARLIER).bind(json(ids)?).try_map(|row: SqliteRow| {
            let receiver = UserId(row.try_get("recv_id")?);
            Ok(Text { text: stored_text(&row)?, receiver })
        });
        for earlier in earlier.fetch_all(&mut *connection).await.map_err(failed)? {
            if let Some(id) = earlier.text.client_id.clone() {
                known.earlier.insert((earlier.text.sender, id), earlier);
            }
        }
    }
    let both_orders: HashSet<_> = pairs.iter().flat_map(|pair| [(pair.0.0, pair.1.0), (pair.1.0, pair.0.0)]).collect();
    let both_orders = json(&both_orders)?;
    let friends = sqlx::query_as(FRIENDS).bind(&both_orders).fetch_all(&mut *connection).await.map_err(failed)?;
    known.friends = friends.into_iter().map(|(user, friend)| (UserId(user), UserId(friend))).collect();
    let heads = sqlx::query_as(HEADS).bind(&both_orders).fetch_all(&mut *connection).await.map_err(failed)?;
    for (one, other, thread, seq) in heads {
        let heads = known.heads.entry(Pair::new(UserId(one), UserId(other))).or_default();
        heads.push(Head { thread: ThreadId(thread), seq });
    }
    let last_keys = sqlx::query_as(LAST_KEYS).fetch_one(connection).await.map_err(failed)?;
    (known.last_key, known.last_thread) = last_keys;
    Ok(known)
}

/// Writes what a plan gathered.
pub(super) async fn write(connection: &mut SqliteConnection, plan: &Plan, meter: &Meter) -> Result<(), StoreError> {
    if plan.opened.is_empty() && plan.rows.is_empty() {
        return Ok(());
    }
    meter.sent(2);
    if !plan.opened.is_empty() {
        meter.sent(2);
        let opened: Vec<_> = plan.opened.iter().map(|(thread, pair)| (thread.0, pair.0.0, pair.1.0)).collect();
        execute(connection, INSERT_THREADS, &opened).await?;
        execute(connection, INSERT_PRIVATE, &opened).await?;
    }
    let rows = plan.rows.iter().map(|Text { text, receiver }| {
        let (key, thread, id) = (text.key.0, text.thread.0, &text.client_id);
        (key, thread, text.seq, text.sender.0, receiver.0, id, &text.content, text.sent_at)
    });
    execute(connection, INSERT_TEXTS, &rows.collect::<Vec<_>>()).await?;
    // Rows ascend, so the last one of each conversation stays.
    let opened = plan.opened.iter().map(|(thread, _)| (thread.0, (0, 0)));
    let moved = plan.rows.iter().map(|Text { text, .. }| (text.thread.0, (text.seq, text.key.0)));
    let heads: HashMap<_, _> = opened.chain(moved).collect();
    let heads: Vec<_> = heads.into_iter().map(|(thread, (seq, key))| (thread, seq, key)).collect();
    execute(connection, SET_HEADS, &heads).await
}

pub(super) async fn execute(
    connection: &mut SqliteConnection,
    statement: &'static str,
    rows: &impl Serialize,
) -> Result<(), StoreError> {
    sqlx::query(statement).bind(json(rows)?).execute(connection).await.map_err(failed)?;
    Ok(())
}

pub(super) fn json(list: &(impl Serialize + ?Sized)) -> Result<String, StoreError> {
    serde_json::to_string(list).map_err(|error| StoreError::Corrupt(error.to_string()))
}

/// One error for each of the requests that failed together.
fn for_each(error: StoreError, requests: usize) -> impl Iterator<Item = StoreError> {
    let error = Arc::new(error);
    (0..requests).map(move |_| match &*error {
        StoreError::Corrupt(what) => StoreError::Corrupt(what.clone()),
        StoreError::Unavailable(_) => StoreError::unavailable(Arc::clone(&error)),
    })
}
