use std::time::Instant;

use foldhash::{HashMap, HashSet};
use sqlx::{Row, SqliteConnection, sqlite::SqliteRow};
use uschat_proto::chat::{ThreadId, UserId};

use super::{
    conversations::stored_text,
    database::{Database, begin, end, failed},
    list::{List, ListQuery},
};
use crate::store::{
    CommitBatch, NewTexts, StoreError, StoredTexts, SubmitError,
    meter::Meter,
    plan::{Head, Known, Pair, Plan, Retries, Row as Text},
};

// CROSS JOIN keeps the list on the outside, so that every entry is one look-up in an index.
const EARLIER: List = List {
    head: "SELECT m.message_id, m.thread_id, m.seq, m.sender_id, m.recv_id, m.client_id, m.content, m.sent_at_ms
        FROM (VALUES ",
    row: "(?, ?)",
    tail: ") wanted CROSS JOIN chat_message m ON m.sender_id = wanted.column1 AND m.client_id = wanted.column2",
};
/// Rows are pairs, in both orders: a conversation is stored in either. Keys are in a table of SQLite's own with a row for each
/// table that counts.
const PAIRS: List = List {
    head: "SELECT wanted.column1 AS self, wanted.column2 AS other,
            EXISTS (SELECT 1 FROM friend f WHERE f.self_id = wanted.column1 AND f.friend_id = wanted.column2) AS friends,
            p.thread_id, h.seq,
            coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'chat_message'), 0) AS last_key,
            coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'chat_thread'), 0) AS last_thread
        FROM (VALUES ",
    row: "(?, ?)",
    tail: ") wanted LEFT JOIN private_chat p ON p.user1_id = wanted.column1 AND p.user2_id = wanted.column2
        LEFT JOIN thread_head h ON h.thread_id = p.thread_id WHERE wanted.column1 IS NOT NULL",
};

const INSERT_THREADS: List = List {
    head: "INSERT INTO chat_thread (id, type) SELECT column1, 'private' FROM (VALUES ",
    row: "(?)",
    tail: ") WHERE column1 IS NOT NULL",
};
const INSERT_PRIVATE: List = List {
    head: "INSERT INTO private_chat (thread_id, user1_id, user2_id) SELECT * FROM (VALUES ",
    row: "(?, ?, ?)",
    tail: ") WHERE column1 IS NOT NULL",
};
const INSERT_TEXTS: List = List {
    head: "INSERT INTO chat_message (message_id, thread_id, seq, sender_id, recv_id, client_id, content, sent_at_ms)
        SELECT * FROM (VALUES ",
    row: "(?, ?, ?, ?, ?, ?, ?, ?)",
    tail: ") WHERE column1 IS NOT NULL ON CONFLICT (sender_id, client_id) WHERE client_id IS NOT NULL DO NOTHING",
};
const SET_HEADS: List = List {
    head: "INSERT INTO thread_head (thread_id, seq, last_key) SELECT * FROM (VALUES ",
    row: "(?, ?, ?)",
    tail: ") WHERE column1 IS NOT NULL
        ON CONFLICT (thread_id) DO UPDATE SET seq = excluded.seq, last_key = excluded.last_key",
};

const NULL: Option<i64> = None;

#[cfg(test)]
pub(super) const LIST_LOOK_UPS: &[List] = &[EARLIER, PAIRS];

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
                    outcomes.extend(error.for_each(part.len()).map(|error| Err(error.into())));
                }
                Err(error) => {
                    let rest = batch.len() - outcomes.len();
                    outcomes.extend(error.for_each(rest).map(|error| Err(error.into())));
                    break;
                }
            }
        }
        outcomes
    }
}

/// Why a transaction was rolled back.
enum Undone {
    /// There are texts that were stored before, which was not expected.
    Retries,
    Failed(StoreError),
}

impl From<StoreError> for Undone {
    fn from(error: StoreError) -> Self {
        Self::Failed(error)
    }
}

impl Database {
    async fn commit_part(&self, batch: &[&NewTexts]) -> Result<Vec<Result<StoredTexts, SubmitError>>, StoreError> {
        let mut attempt = self.attempt(batch, Retries::Unexpected).await;
        if matches!(attempt, Err(Undone::Retries)) {
            attempt = self.attempt(batch, Retries::Expected).await;
        }
        attempt.map_err(|undone| match undone {
            Undone::Failed(error) => error,
            Undone::Retries => StoreError::Corrupt("a client id is taken, but its text is not found".into()),
        })
    }

    async fn attempt(
        &self,
        batch: &[&NewTexts],
        retries: Retries,
    ) -> Result<Vec<Result<StoredTexts, SubmitError>>, Undone> {
        let mut writer = self.writer().await?;
        let began = Instant::now();
        self.meter.sent(2);
        let mut transaction = begin(&mut writer).await?;
        let outcomes = store(&mut transaction, batch, retries, &self.meter).await;
        let outcomes = end(transaction, outcomes).await?;
        self.meter.committed(outcomes.iter().flatten(), began.elapsed());
        Ok(outcomes)
    }
}

async fn store(
    connection: &mut SqliteConnection,
    batch: &[&NewTexts],
    retries: Retries,
    meter: &Meter,
) -> Result<Vec<Result<StoredTexts, SubmitError>>, Undone> {
    let pairs: HashSet<_> = batch.iter().map(|request| Pair::of(request)).collect();
    let mut known = load(connection, pairs, meter).await?;
    // What was stored before is answered as it was then, whatever has changed since.
    if retries == Retries::Expected || batch.iter().any(|request| known.refuses(request)) {
        load_earlier(connection, batch, &mut known, meter).await?;
    }
    let mut plan = Plan::default();
    let outcomes = batch.iter().map(|request| known.plan(request, &mut plan)).collect();
    let stored = write(connection, &plan, meter).await?;
    if stored < plan.rows.len() { Err(Undone::Retries) } else { Ok(outcomes) }
}

/// Reads what decides about texts between these pairs.
pub(super) async fn load(
    connection: &mut SqliteConnection,
    pairs: impl IntoIterator<Item = Pair>,
    meter: &Meter,
) -> Result<Known, StoreError> {
    let both_orders = pairs.into_iter().flat_map(|pair| [(pair.0, pair.1), (pair.1, pair.0)]);
    let both_orders: Vec<_> = both_orders.collect();
    let mut known = Known::default();
    for pairs in both_orders.chunks(List::MOST) {
        let query = pairs.iter().fold(PAIRS.query(pairs.len()), |query, (one, other)| query.bind(one.0).bind(other.0));
        meter.sent(1);
        for row in query.fetch_all(&mut *connection).await.map_err(failed)? {
            know_pair(&mut known, &row).map_err(failed)?;
        }
    }
    Ok(known)
}

fn know_pair(known: &mut Known, row: &SqliteRow) -> Result<(), sqlx::Error> {
    let (one, other) = (UserId(row.try_get("self")?), UserId(row.try_get("other")?));
    if row.try_get("friends")? {
        known.friends.insert((one, other));
    }
    if let (Some(thread), Some(seq)) = (row.try_get("thread_id")?, row.try_get("seq")?) {
        let heads = known.heads.entry(Pair::new(one, other)).or_default();
        heads.push(Head { thread: ThreadId(thread), seq });
        heads.sort_by_key(|head| head.thread);
    }
    (known.last_key, known.last_thread) = (row.try_get("last_key")?, row.try_get("last_thread")?);
    Ok(())
}

/// Reads the texts that have client ids of this batch.
async fn load_earlier(
    connection: &mut SqliteConnection,
    batch: &[&NewTexts],
    known: &mut Known,
    meter: &Meter,
) -> Result<(), StoreError> {
    let ids = batch.iter().flat_map(|request| {
        let ids = request.texts.iter().filter_map(|text| text.client_id.as_deref());
        ids.map(|id| (request.sender.0, id))
    });
    let ids: Vec<_> = ids.collect();
    for ids in ids.chunks(List::MOST) {
        let query = ids.iter().fold(EARLIER.query(ids.len()), |query, (sender, id)| query.bind(sender).bind(*id));
        meter.sent(1);
        for row in query.fetch_all(&mut *connection).await.map_err(failed)? {
            let text = stored_text(&row).map_err(failed)?;
            if let Some(id) = text.client_id.clone() {
                let receiver = UserId(row.try_get("recv_id").map_err(failed)?);
                known.earlier.insert((text.sender, id), Text { text, receiver });
            }
        }
    }
    Ok(())
}

/// Writes what a plan gathered. Returns how many texts: those whose client ids are taken are left out.
pub(super) async fn write(connection: &mut SqliteConnection, plan: &Plan, meter: &Meter) -> Result<usize, StoreError> {
    for opened in plan.opened.chunks(List::MOST) {
        let threads = opened.iter().fold(INSERT_THREADS.query(opened.len()), |query, (thread, _)| query.bind(thread.0));
        execute(connection, threads, meter).await?;
        let private = opened.iter().fold(INSERT_PRIVATE.query(opened.len()), |query, (thread, pair)| {
            query.bind(thread.0).bind(pair.0.0).bind(pair.1.0)
        });
        execute(connection, private, meter).await?;
        let heads = opened.iter().map(|(thread, _)| (thread.0, 0, 0));
        execute(connection, bind_heads(SET_HEADS.query(opened.len()), heads), meter).await?;
    }
    let mut stored = 0;
    for texts in plan.rows.chunks(List::MOST) {
        // Rows ascend, so the last one of each conversation stays.
        let heads = texts.iter().map(|Text { text, .. }| (text.thread.0, (text.seq, text.key.0)));
        let heads: HashMap<_, _> = heads.collect();
        let both = SET_HEADS.query_and(heads.len(), INSERT_TEXTS, texts.len());
        let both = bind_heads(both, heads.iter().map(|(&thread, &(seq, key))| (thread, seq, key)));
        let both =
            (heads.len()..List::places(heads.len())).fold(both, |query, _| query.bind(NULL).bind(NULL).bind(NULL));
        let both = texts.iter().fold(both, |query, Text { text, receiver }| {
            let query = query.bind(text.key.0).bind(text.thread.0).bind(text.seq).bind(text.sender.0).bind(receiver.0);
            query.bind(text.client_id.as_deref()).bind(&*text.content).bind(text.sent_at)
        });
        meter.sent(1);
        stored += execute(connection, both, meter).await?.saturating_sub(heads.len());
    }
    Ok(stored)
}

fn bind_heads(query: ListQuery, heads: impl Iterator<Item = (i64, i64, i64)>) -> ListQuery {
    heads.fold(query, |query, (thread, seq, key)| query.bind(thread).bind(seq).bind(key))
}

/// Returns how many rows it wrote.
async fn execute(connection: &mut SqliteConnection, query: ListQuery, meter: &Meter) -> Result<usize, StoreError> {
    meter.sent(1);
    let done = query.execute(connection).await.map_err(failed)?;
    Ok(usize::try_from(done.rows_affected()).unwrap_or(usize::MAX))
}
