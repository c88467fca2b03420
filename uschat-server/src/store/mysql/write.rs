//! Writes what a plan gathered, in a number of statements that does not depend on how much it is.

use std::collections::HashMap;

use sqlx::{MySql, MySqlConnection, QueryBuilder};
use uschat_proto::chat::{MessageKey, ThreadId};

use crate::store::{
    StoredTexts,
    meter::Meter,
    plan::{Plan, Row as Text},
};

/// Longer lists are not kept prepared: their lengths hardly ever repeat.
pub(super) const KEEP_PREPARED: usize = 8;

/// The first keys that the server gave to what a plan had numbered provisionally.
#[derive(Debug, Clone, Copy)]
pub(super) struct Given {
    first_thread: i64,
    first_key: i64,
}

impl Given {
    /// Puts the keys in place of the provisional ones, which are negative and count upwards from the lowest number.
    pub(super) fn settle(self, stored: &mut StoredTexts) {
        stored.thread = ThreadId(settled(stored.thread.0, self.first_thread));
        for text in &mut stored.texts {
            text.key = MessageKey(settled(text.key.0, self.first_key));
            text.thread = ThreadId(settled(text.thread.0, self.first_thread));
        }
    }
}

fn settled(key: i64, first: i64) -> i64 {
    if key < 0 { key.wrapping_sub(i64::MIN).wrapping_sub(1).wrapping_add(first) } else { key }
}

/// The server gives the rows of one insert consecutive keys, because their number is known beforehand and the session
/// counts in steps of one.
pub(super) async fn write(connection: &mut MySqlConnection, plan: &Plan, meter: &Meter) -> Result<Given, sqlx::Error> {
    let mut given = Given { first_thread: 0, first_key: 0 };
    if !plan.opened.is_empty() {
        meter.sent(2);
        let mut threads = QueryBuilder::new("INSERT INTO chat_thread (type, created_at) ");
        threads.push_values(&plan.opened, |mut row, _| {
            row.push("'private'").push("CURRENT_TIMESTAMP");
        });
        given.first_thread = execute(connection, threads, plan.opened.len()).await?;
        let mut chats = QueryBuilder::new("INSERT INTO private_chat (thread_id, user1_id, user2_id, created_at) ");
        chats.push_values(&plan.opened, |mut row, (thread, pair)| {
            row.push_bind(settled(thread.0, given.first_thread)).push_bind(pair.0.0).push_bind(pair.1.0);
            row.push("CURRENT_TIMESTAMP");
        });
        execute(connection, chats, plan.opened.len()).await?;
    }
    if plan.rows.is_empty() {
        return Ok(given);
    }
    meter.sent(2);

    let mut texts = QueryBuilder::new(
        "INSERT INTO chat_message (thread_id, sender_id, recv_id, content, seq, client_id, sent_at_ms, status,
         created_at, updated_at) ",
    );
    texts.push_values(&plan.rows, |mut row, Text { text, receiver }| {
        row.push_bind(settled(text.thread.0, given.first_thread)).push_bind(text.sender.0).push_bind(receiver.0);
        row.push_bind(&text.content).push_bind(text.seq);
        row.push_bind(text.client_id.as_ref().map(String::as_bytes)).push_bind(text.sent_at);
        // 2 is what the originals store with a text.
        row.push("2").push("CURRENT_TIMESTAMP").push("CURRENT_TIMESTAMP");
    });
    given.first_key = execute(connection, texts, plan.rows.len()).await?;

    // Rows ascend, so the last one of each conversation stays.
    let moved = plan.rows.iter().map(|Text { text, .. }| (text.thread.0, (text.seq, text.key.0)));
    let heads: HashMap<_, _> = moved.collect();
    let mut set = QueryBuilder::new("INSERT INTO thread_head (thread_id, seq, last_key) ");
    set.push_values(&heads, |mut row, (&thread, &(seq, key))| {
        row.push_bind(settled(thread, given.first_thread)).push_bind(seq).push_bind(settled(key, given.first_key));
    });
    set.push(" ON DUPLICATE KEY UPDATE seq = VALUES(seq), last_key = VALUES(last_key)");
    execute(connection, set, heads.len()).await?;
    Ok(given)
}

/// Returns the key of the first row, if the table gives any.
async fn execute(
    connection: &mut MySqlConnection,
    mut statement: QueryBuilder<MySql>,
    rows: usize,
) -> Result<i64, sqlx::Error> {
    let done = statement.build().persistent(rows <= KEEP_PREPARED).execute(connection).await?;
    i64::try_from(done.last_insert_id()).map_err(|error| sqlx::Error::Decode(error.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn provisional_keys_become_those_given() {
        assert_eq!([i64::MIN + 1, i64::MIN + 2, i64::MIN + 9].map(|key| settled(key, 100)), [100, 101, 108]);
        assert_eq!([0, 1, i64::MAX].map(|key| settled(key, 100)), [0, 1, i64::MAX]);
    }
}
