//! Writes what a plan gathered, in statements of 1, 2, 4, 8 … rows.
//!
//! So there are few different ones, and the connection keeps them prepared: nothing is parsed again, and no statement is
//! closed. The driver leaves Nagle's algorithm on, and what follows a closing, which is not answered, would wait 40 ms for the
//! server's delayed acknowledgement.

use std::{collections::HashMap, iter};

use sqlx::{MySql, MySqlConnection, QueryBuilder};
use uschat_proto::chat::{MessageKey, ThreadId};

use super::known::padded;
use crate::store::{
    StoredTexts,
    meter::Meter,
    plan::{Plan, Row as Text},
};

/// The keys that the server gave to what a plan had numbered provisionally.
#[derive(Debug, Default)]
pub(super) struct Given {
    threads: Keys,
    texts: Keys,
}

/// Of each statement the number of its first row and the key that this one got. Provisional keys are negative and count
/// upwards from the lowest number.
#[derive(Debug, Default)]
struct Keys(Vec<(i64, i64)>);

impl Given {
    /// Puts the keys in place of the provisional ones.
    pub(super) fn settle(&self, stored: &mut StoredTexts) {
        stored.thread = ThreadId(self.threads.settled(stored.thread.0));
        for text in &mut stored.texts {
            text.key = MessageKey(self.texts.settled(text.key.0));
            text.thread = ThreadId(self.threads.settled(text.thread.0));
        }
    }
}

impl Keys {
    fn settled(&self, key: i64) -> i64 {
        if key >= 0 {
            return key;
        }
        let row = key.wrapping_sub(i64::MIN).wrapping_sub(1);
        let statement = self.0.partition_point(|&(first, _)| first <= row).checked_sub(1);
        statement.map_or(key, |statement| row - self.0[statement].0 + self.0[statement].1)
    }

    /// The server gives the rows of one insert consecutive keys, because their number is known beforehand and the session
    /// counts in steps of one.
    fn add(&mut self, row: usize, key: i64) {
        self.0.push((i64::try_from(row).unwrap_or(i64::MAX), key));
    }
}

pub(super) async fn write(connection: &mut MySqlConnection, plan: &Plan, meter: &Meter) -> Result<Given, sqlx::Error> {
    let mut given = Given::default();
    for (row, opened) in in_powers_of_two(&plan.opened) {
        let mut threads = QueryBuilder::new("INSERT INTO chat_thread (type, created_at) ");
        threads.push_values(opened, |mut row, _| {
            row.push("'private'").push("CURRENT_TIMESTAMP");
        });
        given.threads.add(row, execute(connection, threads, meter).await?);
        let mut chats = QueryBuilder::new("INSERT INTO private_chat (thread_id, user1_id, user2_id, created_at) ");
        chats.push_values(opened, |mut row, (thread, pair)| {
            row.push_bind(given.threads.settled(thread.0)).push_bind(pair.0.0).push_bind(pair.1.0);
            row.push("CURRENT_TIMESTAMP");
        });
        execute(connection, chats, meter).await?;
    }
    for (row, texts) in in_powers_of_two(&plan.rows) {
        let mut insert = QueryBuilder::new(
            "INSERT INTO chat_message (thread_id, sender_id, recv_id, content, seq, client_id, sent_at_ms, status,
             created_at, updated_at) ",
        );
        insert.push_values(texts, |mut row, Text { text, receiver }| {
            row.push_bind(given.threads.settled(text.thread.0)).push_bind(text.sender.0).push_bind(receiver.0);
            row.push_bind(&text.content).push_bind(text.seq);
            row.push_bind(text.client_id.as_ref().map(String::as_bytes)).push_bind(text.sent_at);
            // 2 is what the originals store with a text.
            row.push("2").push("CURRENT_TIMESTAMP").push("CURRENT_TIMESTAMP");
        });
        given.texts.add(row, execute(connection, insert, meter).await?);
    }

    // Rows ascend, so the last one of each conversation stays.
    let moved = plan.rows.iter().map(|Text { text, .. }| (text.thread.0, (text.seq, text.key.0)));
    let heads: HashMap<_, _> = moved.collect();
    let heads: Vec<_> = heads.into_iter().collect();
    if !heads.is_empty() {
        let mut set = QueryBuilder::new("INSERT INTO thread_head (thread_id, seq, last_key) ");
        set.push_values(padded(&heads), |mut row, (thread, (seq, key))| {
            row.push_bind(given.threads.settled(thread)).push_bind(seq).push_bind(given.texts.settled(key));
        });
        set.push(" ON DUPLICATE KEY UPDATE seq = VALUES(seq), last_key = VALUES(last_key)");
        execute(connection, set, meter).await?;
    }
    Ok(given)
}

/// Returns the key of the first row, if the table gives any.
async fn execute(
    connection: &mut MySqlConnection,
    mut statement: QueryBuilder<MySql>,
    meter: &Meter,
) -> Result<i64, sqlx::Error> {
    meter.sent(1);
    let done = statement.build().execute(connection).await?;
    i64::try_from(done.last_insert_id()).map_err(|error| sqlx::Error::Decode(error.into()))
}

/// Parts of the largest power of two that is left, each with the number of its first row.
fn in_powers_of_two<T>(rows: &[T]) -> impl Iterator<Item = (usize, &[T])> {
    let mut done = 0;
    iter::from_fn(move || {
        let left = &rows[done..];
        let part = &left[..1 << left.len().checked_ilog2()?];
        let first = done;
        done += part.len();
        Some((first, part))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn provisional_keys_become_those_given() {
        let one = Keys(vec![(0, 100)]);
        assert_eq!([i64::MIN + 1, i64::MIN + 2, i64::MIN + 9].map(|key| one.settled(key)), [100, 101, 108]);
        assert_eq!([0, 1, i64::MAX].map(|key| one.settled(key)), [0, 1, i64::MAX]);
        let three = Keys(vec![(0, 100), (4, 200), (6, 300)]);
        let settled: Vec<_> = (1..=7).map(|row| three.settled(i64::MIN + row)).collect();
        assert_eq!(settled, [100, 101, 102, 103, 200, 201, 300]);
    }

    #[test]
    fn every_row_is_in_one_part() {
        let rows: Vec<_> = (0..13).collect();
        let parts: Vec<_> = in_powers_of_two(&rows).collect();
        assert_eq!(parts, [(0, &rows[..8]), (8, &rows[8..12]), (12, &rows[12..])]);
        assert_eq!(in_powers_of_two(&rows[..0]).count(), 0);
    }
}
