//! Gives the rows of an original's database what our guarantee needs: the counter its row, every conversation a head and
//! every text its number. In steps that are bounded and can be repeated: a start that was cut off is continued by the next.

use std::time::Duration;

use sqlx::{Connection, MySqlConnection, Row};
use tokio::time::Instant;

use super::{
    known::{self, Counts},
    schema::Catalog,
};

/// Rows changed in one transaction.
const STEP: i64 = 2_000;
/// How often progress is logged.
const PROGRESS: Duration = Duration::from_secs(1);

const HIGHEST_UID: &str = "SELECT COALESCE(GREATEST(MAX(uid), 1000), 1000) FROM user";
const COUNTER: &str = "SELECT MAX(id) FROM user_id";
const SEED: &str = "INSERT INTO user_id (id) VALUES (?)";
const RAISE: &str = "UPDATE user_id SET id = ? WHERE id < ?";
const WITHOUT_HEAD: &str = "SELECT COUNT(*) FROM chat_thread t LEFT JOIN thread_head h ON h.thread_id = t.id
    WHERE h.thread_id IS NULL";
const STEP_END: &str = "SELECT MAX(id) FROM (SELECT id FROM chat_thread WHERE id > ? ORDER BY id LIMIT ?) step";
const NEW_HEADS: &str = "INSERT INTO thread_head (thread_id, seq)
    SELECT t.id, (SELECT COALESCE(MAX(m.seq), 0) FROM chat_message m WHERE m.thread_id = t.id) FROM chat_thread t
    LEFT JOIN thread_head h ON h.thread_id = t.id WHERE h.thread_id IS NULL AND t.id > ? AND t.id <= ?";
/// Heads of before progress was kept: what is numbered counts as delivered.
const OLD_HEADS: &str = "UPDATE thread_head h SET h.taken_over = h.seq, h.last_key =
        (SELECT COALESCE(MAX(m.message_id), 0) FROM chat_message m WHERE m.thread_id = h.thread_id AND m.seq = h.seq)
    WHERE h.last_key = 0 AND h.seq > 0 AND h.thread_id > ? AND h.thread_id <= ?";
const UNNUMBERED: &str = "SELECT COUNT(*) FROM chat_message WHERE seq IS NULL";
const NEXT_UNNUMBERED: &str = "SELECT DISTINCT thread_id FROM chat_message WHERE seq IS NULL AND thread_id > ?
    ORDER BY thread_id LIMIT 500";
const LOCK_HEAD: &str = "SELECT seq FROM thread_head WHERE thread_id = ? FOR UPDATE";

/// Does it. The schema must be up to date.
pub(super) async fn take_over(connection: &mut MySqlConnection) -> Result<(), sqlx::Error> {
    let highest: i64 = scalar(connection, HIGHEST_UID).await?.unwrap_or(1_000);
    match scalar(connection, COUNTER).await? {
        None => sqlx::query(SEED).bind(highest).execute(&mut *connection).await?,
        Some(_) => sqlx::query(RAISE).bind(highest).bind(highest).execute(&mut *connection).await?,
    };
    add_heads(connection).await?;
    number_all(connection).await
}

async fn add_heads(connection: &mut MySqlConnection) -> Result<(), sqlx::Error> {
    let mut after: i64 = 0;
    loop {
        let end = sqlx::query(STEP_END).bind(after).bind(STEP).fetch_one(&mut *connection).await?;
        let Some(end) = end.try_get_unchecked(0)? else {
            return Ok(());
        };
        for statement in [NEW_HEADS, OLD_HEADS] {
            sqlx::query(statement).bind(after).bind(end).execute(&mut *connection).await?;
        }
        after = end;
    }
}

async fn number_all(connection: &mut MySqlConnection) -> Result<(), sqlx::Error> {
    let total = scalar(connection, UNNUMBERED).await?.unwrap_or(0);
    if total == 0 {
        return Ok(());
    }
    tracing::info!(total, "numbering the texts of the database that is taken over");
    let (mut done, mut after, mut reported) = (0, 0, Instant::now());
    loop {
        let rows = sqlx::query(NEXT_UNNUMBERED).bind(after).fetch_all(&mut *connection).await?;
        let threads = rows.iter().map(|row| row.try_get_unchecked(0)).collect::<Result<Vec<i64>, _>>()?;
        let Some(&last) = threads.last() else {
            return Ok(());
        };
        for thread in threads {
            loop {
                let numbered = number(connection, thread).await?;
                if numbered == 0 {
                    break;
                }
                done += numbered;
                if reported.elapsed() >= PROGRESS {
                    tracing::info!(done, total, "numbering the texts of the database that is taken over");
                    reported = Instant::now();
                }
            }
        }
        after = last;
    }
}

/// Numbers some texts of a conversation while it is locked, and returns how many.
async fn number(connection: &mut MySqlConnection, thread: i64) -> Result<u64, sqlx::Error> {
    let mut transaction = connection.begin().await?;
    sqlx::query(known::NEW_HEAD).bind(thread).bind(thread).execute(&mut *transaction).await?;
    let last = sqlx::query(LOCK_HEAD).bind(thread).fetch_one(&mut *transaction).await?.try_get_unchecked(0)?;
    let (_, numbered) = known::number(&mut transaction, thread, last, STEP, Counts::TakenOver).await?;
    transaction.commit().await?;
    Ok(numbered)
}

/// What [`take_over`] would do, as sentences. Reads only, and the tables may be missing.
pub(super) async fn plan(connection: &mut MySqlConnection, catalog: &Catalog) -> Result<Vec<String>, sqlx::Error> {
    let mut plan = Vec::new();
    let highest = if catalog.has("user") { scalar(connection, HIGHEST_UID).await?.unwrap_or(1_000) } else { 1_000 };
    let counter = if catalog.has("user_id") { scalar(connection, COUNTER).await? } else { None };
    match counter {
        None => plan.push(format!("set the counter user_id, which has no row, to {highest}")),
        Some(counter) if counter < highest => {
            plan.push(format!("raise the counter user_id from {counter} to {highest}, the highest uid in use"));
        }
        Some(_) => {}
    }
    if catalog.has("chat_thread") {
        let statement = if catalog.has("thread_head") { WITHOUT_HEAD } else { "SELECT COUNT(*) FROM chat_thread" };
        let threads = scalar(connection, statement).await?.unwrap_or(0);
        if threads > 0 {
            plan.push(format!("add a row to thread_head for each of {threads} conversations"));
        }
    }
    if catalog.has("chat_message") {
        let statement =
            if catalog.has_column("chat_message", "seq") { UNNUMBERED } else { "SELECT COUNT(*) FROM chat_message" };
        let texts = scalar(connection, statement).await?.unwrap_or(0);
        if texts > 0 {
            plan.push(format!("number {texts} stored texts by message_id within their conversations"));
        }
    }
    Ok(plan)
}

async fn scalar(connection: &mut MySqlConnection, statement: &'static str) -> Result<Option<i64>, sqlx::Error> {
    sqlx::query(statement).fetch_one(connection).await?.try_get_unchecked(0)
}
