//! Locks the conversations of a batch and reads what decides about it.
//!
//! A statement takes a list of any length; lists are filled up to the next power of two by repeating their last entry, so
//! that the server prepares few different statements and the connection keeps them.

use std::collections::{HashMap, HashSet};

use sqlx::{AssertSqlSafe, MySql, MySqlConnection, QueryBuilder, mysql::MySqlRow};
use uschat_proto::chat::{ThreadId, UserId};

use super::{
    conversations::stored_text,
    database::{Database, int, uid},
};
use crate::store::{
    meter::Meter,
    plan::{Head, Known, Pair, Row as Text},
};

/// What to do about a row that another transaction has locked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Locks {
    /// Go on without it.
    Skip,
    /// Wait for it, up to the server's lock time-out.
    Wait,
}

impl Locks {
    /// What follows `FOR UPDATE`.
    fn clause(self, database: &Database) -> &'static str {
        if self == Self::Skip { database.skip_locked } else { "" }
    }
}

/// What is known about a batch, apart from the pairs whose conversation another transaction has locked.
#[derive(Debug, Default)]
pub(super) struct Loaded {
    pub(super) known: Known,
    pub(super) locked: HashSet<Pair>,
}

/// Entries of a list in one look-up: well below the 65,535 values that a statement may have.
pub(super) const MOST_LISTED: usize = 8_192;

const PRIVATE_CHATS: &str = "SELECT thread_id, user1_id, user2_id FROM private_chat WHERE (user1_id, user2_id) IN ";
const FRIENDS: &str = "SELECT self_id, friend_id FROM friend WHERE (self_id, friend_id) IN ";
const EARLIER: &str = "SELECT message_id, thread_id, seq, sender_id, recv_id, client_id, content,
    CAST(COALESCE(sent_at_ms, UNIX_TIMESTAMP(created_at) * 1000) AS SIGNED) AS sent_at_ms
    FROM chat_message WHERE (sender_id, client_id) IN ";
/// The second column tells of texts that an original stored without a number.
const HEADS: &str = "SELECT h.thread_id, h.seq,
    EXISTS (SELECT 1 FROM chat_message m WHERE m.thread_id = h.thread_id AND m.seq IS NULL) AS unnumbered
    FROM thread_head h FORCE INDEX (PRIMARY) WHERE h.thread_id IN ";
/// Of conversations whose pair is known: the same, the pair, and who of the two has the other as a friend.
const STANDING: &str = "SELECT h.thread_id, h.seq,
    EXISTS (SELECT 1 FROM chat_message m WHERE m.thread_id = h.thread_id AND m.seq IS NULL) AS unnumbered,
    p.user1_id, p.user2_id,
    EXISTS (SELECT 1 FROM friend f WHERE f.self_id = p.user1_id AND f.friend_id = p.user2_id) AS first_has_second,
    EXISTS (SELECT 1 FROM friend f WHERE f.self_id = p.user2_id AND f.friend_id = p.user1_id) AS second_has_first
    FROM thread_head h FORCE INDEX (PRIMARY) STRAIGHT_JOIN private_chat p ON p.thread_id = h.thread_id
    WHERE h.thread_id IN ";
const KNOWN_HEADS: &str = "SELECT thread_id FROM thread_head WHERE thread_id IN ";
/// For a conversation that has none, behind the numbers that are there, should it ever have got lost.
pub(super) const NEW_HEAD: &str = "INSERT INTO thread_head (thread_id, seq, last_key)
    SELECT ?, COALESCE(MAX(m.seq), 0), COALESCE(MAX(IF(m.seq IS NULL, NULL, m.message_id)), 0)
    FROM chat_message m WHERE m.thread_id = ?
    ON DUPLICATE KEY UPDATE thread_head.seq = thread_head.seq";
const NUMBER: &str = "UPDATE chat_message m
    JOIN (SELECT message_id, ROW_NUMBER() OVER (ORDER BY message_id) AS n FROM chat_message
        WHERE thread_id = ? AND seq IS NULL ORDER BY message_id LIMIT ?) unnumbered
    ON m.message_id = unnumbered.message_id SET m.seq = ? + unnumbered.n";
/// A text of an original may be numbered behind later ones; what has moved is found by the highest key all the same.
const SET_HEAD: &str = "UPDATE thread_head SET seq = ?, last_key = GREATEST(last_key,
        (SELECT COALESCE(MAX(m.message_id), 0) FROM chat_message m WHERE m.thread_id = ? AND m.seq = ?))
    WHERE thread_id = ?";
/// What is numbered behind texts that were taken over is taken over too. Before [`SET_HEAD`]: it looks at the old number.
const SET_TAKEN_OVER: &str = "UPDATE thread_head SET taken_over = ? WHERE thread_id = ? AND taken_over = seq";

#[cfg(test)]
pub(super) const LOOK_UPS: &[(&str, &str)] = &[
    (PRIVATE_CHATS, "((?, ?), (?, ?)) ORDER BY thread_id"),
    (FRIENDS, "((?, ?), (?, ?)) ORDER BY self_id, friend_id FOR UPDATE"),
    (EARLIER, "((?, ?), (?, ?))"),
    (HEADS, "(?, ?) ORDER BY h.thread_id FOR UPDATE"),
    (STANDING, "(?, ?) ORDER BY h.thread_id FOR UPDATE"),
    (KNOWN_HEADS, "(?, ?)"),
    (NUMBER, ""),
    (SET_HEAD, ""),
    (SET_TAKEN_OVER, ""),
];

/// Locks the conversations of these pairs (each named once), ascending, and reads what decides about texts between
/// them, but for those stored before. A pair of friends without a conversation is locked by its rows of `friend`.
pub(super) async fn load(
    connection: &mut MySqlConnection,
    pairs: &[Pair],
    locks: Locks,
    database: &Database,
) -> Result<Loaded, sqlx::Error> {
    let mut loaded = Loaded::default();
    // Provisional keys are negative, so that they cannot be taken for stored ones.
    (loaded.known.last_key, loaded.known.last_thread) = (i64::MIN, i64::MIN);
    let pairs = settle_known(connection, pairs, &mut loaded.known, locks, database).await?;
    if pairs.is_empty() {
        return Ok(loaded);
    }

    // The pairs' conversations and friendships.
    database.meter.sent(2);
    let both_orders: Vec<_> = pairs.iter().flat_map(|pair| [(pair.0, pair.1), (pair.1, pair.0)]).collect();
    let threads = private_chats(connection, &both_orders).await?;
    let ids_of_threads: Vec<i64> = threads.iter().map(|&(thread, _)| thread).collect();
    let numbers = lock_heads(connection, &ids_of_threads, locks, database).await?;

    for &(thread, pair) in &threads {
        database.chats.add(pair, thread);
        match numbers.get(&thread) {
            Some(&seq) => loaded.known.heads.entry(pair).or_default().push(Head { thread: ThreadId(thread), seq }),
            None => {
                loaded.locked.insert(pair);
            }
        }
    }
    let friends = friends(connection, &both_orders, "").await?;
    loaded.known.friends.extend(friends.iter().copied());
    let opened: HashSet<Pair> = threads.iter().map(|&(_, pair)| pair).collect();
    let new = friends.into_iter().filter(|&(one, other)| !opened.contains(&Pair::new(one, other)));
    lock_openings(connection, &mut loaded, &new.collect::<Vec<_>>(), locks, database).await?;
    Ok(loaded)
}

/// Locks what it can of the conversations that are known, and returns the pairs of which that does not tell all.
async fn settle_known(
    connection: &mut MySqlConnection,
    pairs: &[Pair],
    known: &mut Known,
    locks: Locks,
    database: &Database,
) -> Result<Vec<Pair>, sqlx::Error> {
    let (chats, mut others) = database.chats.of(pairs);
    let mut threads: Vec<_> = chats.iter().flat_map(|(_, threads)| threads).copied().collect();
    if threads.is_empty() {
        return Ok(others);
    }
    threads.sort_unstable();
    database.meter.sent(1);
    let lock = format!(" ORDER BY h.thread_id FOR UPDATE{}", locks.clause(database));
    let rows = list(STANDING, &threads, &lock).build().fetch_all(&mut *connection).await?;
    let standings = rows.iter().map(|row| chat(row).map(|(thread, users)| (thread, (row, users))));
    let standings: HashMap<_, _> = standings.collect::<Result<_, _>>()?;
    for (pair, threads) in chats {
        let rows = threads.iter().map(|thread| standings.get(thread)).collect::<Option<Vec<_>>>();
        let rows = rows.filter(|rows| rows.iter().all(|(_, users)| *users == pair));
        let Some(rows) = rows else {
            // It is locked, or not what it was.
            database.chats.forget(pair);
            others.push(pair);
            continue;
        };
        let mut heads = Vec::with_capacity(rows.len());
        for (&(row, _), &thread) in rows.into_iter().zip(&threads) {
            let (one, other) = (uid(row, "user1_id")?, uid(row, "user2_id")?);
            known.friends.extend((int(row, "first_has_second")? != 0).then_some((one, other)));
            known.friends.extend((int(row, "second_has_first")? != 0).then_some((other, one)));
            let mut seq = int(row, "seq")?;
            if int(row, "unnumbered")? != 0 {
                database.meter.sent(2);
                seq = number(connection, thread, seq, i64::MAX, Counts::Undelivered).await?.0;
            }
            heads.push(Head { thread: ThreadId(thread), seq });
        }
        known.heads.insert(pair, heads);
    }
    Ok(others)
}

async fn private_chats(
    connection: &mut MySqlConnection,
    both_orders: &[(UserId, UserId)],
) -> Result<Vec<(i64, Pair)>, sqlx::Error> {
    let rows = select(PRIVATE_CHATS, both_orders, " ORDER BY thread_id").build().fetch_all(connection).await?;
    rows.iter().map(chat).collect()
}

/// A conversation and its pair.
fn chat(row: &MySqlRow) -> Result<(i64, Pair), sqlx::Error> {
    Ok((int(row, "thread_id")?, Pair::new(uid(row, "user1_id")?, uid(row, "user2_id")?)))
}

async fn friends(
    connection: &mut MySqlConnection,
    both_orders: &[(UserId, UserId)],
    lock: &str,
) -> Result<Vec<(UserId, UserId)>, sqlx::Error> {
    let rows = select(FRIENDS, both_orders, lock).build().fetch_all(connection).await?;
    rows.iter().map(|row| Ok((uid(row, "self_id")?, uid(row, "friend_id")?))).collect()
}

/// Locks the friendship of two, in the order in which every transaction of ours locks friends.
pub(super) async fn lock_friends(connection: &mut MySqlConnection, pair: Pair) -> Result<(), sqlx::Error> {
    let both_orders = [(pair.0, pair.1), (pair.1, pair.0)];
    friends(connection, &both_orders, " ORDER BY self_id, friend_id FOR UPDATE").await.map(drop)
}

/// Friends without a conversation get one from this batch, unless somebody else is about to give them theirs.
async fn lock_openings(
    connection: &mut MySqlConnection,
    loaded: &mut Loaded,
    new: &[(UserId, UserId)],
    locks: Locks,
    database: &Database,
) -> Result<(), sqlx::Error> {
    if new.is_empty() {
        return Ok(());
    }
    database.meter.sent(2);
    let lock = format!(" ORDER BY self_id, friend_id FOR UPDATE{}", locks.clause(database));
    let mine: HashSet<_> = friends(connection, new, &lock).await?.into_iter().collect();
    let not_mine = new.iter().filter(|friends| !mine.contains(friends));
    loaded.locked.extend(not_mine.map(|&(one, other)| Pair::new(one, other)));
    // Whoever had the lock before may have opened it meanwhile; then this pair's turn comes with the next attempt.
    let both_orders: Vec<_> = new.iter().flat_map(|&(one, other)| [(one, other), (other, one)]).collect();
    let meanwhile = private_chats(connection, &both_orders).await?;
    loaded.locked.extend(meanwhile.into_iter().map(|(_, pair)| pair));
    Ok(())
}

/// Locks the numbers of conversations, ascending, and returns those it got; gives numbers to texts without one.
pub(super) async fn lock_heads(
    connection: &mut MySqlConnection,
    threads: &[i64],
    locks: Locks,
    database: &Database,
) -> Result<HashMap<i64, i64>, sqlx::Error> {
    if threads.is_empty() {
        return Ok(HashMap::new());
    }
    database.meter.sent(1);
    let mut heads = heads(connection, threads, locks.clause(database)).await?;
    let mut new = Vec::new();
    let missing: Vec<i64> = threads.iter().copied().filter(|thread| !heads.contains_key(thread)).collect();
    if !missing.is_empty() {
        // Either somebody has locked it, or an original has made it and knows of no numbers.
        let known = list(KNOWN_HEADS, &missing, "").build().fetch_all(&mut *connection).await?;
        let known: HashSet<i64> = known.iter().map(|row| int(row, "thread_id")).collect::<Result<_, _>>()?;
        new.extend(missing.into_iter().filter(|thread| !known.contains(thread)));
        database.meter.sent(1 + new.len() as u64 + u64::from(!new.is_empty()));
        for thread in &new {
            sqlx::query(NEW_HEAD).bind(thread).bind(thread).execute(&mut *connection).await?;
        }
        if !new.is_empty() {
            heads.extend(self::heads(connection, &new, "").await?);
        }
    }
    let mut numbers = HashMap::with_capacity(heads.len());
    for (thread, (mut seq, unnumbered)) in heads {
        if unnumbered {
            database.meter.sent(2);
            let counts = if new.contains(&thread) { Counts::TakenOver } else { Counts::Undelivered };
            seq = number(connection, thread, seq, i64::MAX, counts).await?.0;
        }
        numbers.insert(thread, seq);
    }
    Ok(numbers)
}

async fn heads(
    connection: &mut MySqlConnection,
    threads: &[i64],
    skip: &str,
) -> Result<HashMap<i64, (i64, bool)>, sqlx::Error> {
    let lock = format!(" ORDER BY h.thread_id FOR UPDATE{skip}");
    let rows = list(HEADS, threads, &lock).build().fetch_all(connection).await?;
    rows.iter().map(|row| Ok((int(row, "thread_id")?, (int(row, "seq")?, int(row, "unnumbered")? != 0)))).collect()
}

/// What texts that get a number now count as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Counts {
    /// As delivered to both, if everything before them in the conversation does.
    TakenOver,
    /// As delivered to nobody yet.
    Undelivered,
}

/// Numbers texts in the order of their keys, at most `limit`, and returns the number given last and how many it gave. The
/// conversation must be locked.
pub(super) async fn number(
    connection: &mut MySqlConnection,
    thread: i64,
    last: i64,
    limit: i64,
    counts: Counts,
) -> Result<(i64, u64), sqlx::Error> {
    let number = sqlx::query(NUMBER).bind(thread).bind(limit).bind(last);
    let numbered = number.execute(&mut *connection).await?.rows_affected();
    let last = last.saturating_add_unsigned(numbered);
    if counts == Counts::TakenOver {
        sqlx::query(SET_TAKEN_OVER).bind(last).bind(thread).execute(&mut *connection).await?;
    }
    sqlx::query(SET_HEAD).bind(last).bind(thread).bind(last).bind(thread).execute(connection).await?;
    Ok((last, numbered))
}

/// Reads the texts that these users stored with these client ids (each named once).
pub(super) async fn earlier(
    connection: &mut MySqlConnection,
    ids: &[(i32, &str)],
    known: &mut Known,
    meter: &Meter,
) -> Result<(), sqlx::Error> {
    if ids.is_empty() {
        return Ok(());
    }
    meter.sent(1);
    let mut query = QueryBuilder::new(EARLIER);
    query.push_tuples(padded(ids), |mut row, (sender, id)| {
        row.push_bind(sender).push_bind(id.as_bytes());
    });
    let rows = query.build().fetch_all(connection).await?;
    for row in &rows {
        let text = Text { text: stored_text(row)?, receiver: uid(row, "recv_id")? };
        if let Some(id) = text.text.client_id.clone() {
            known.earlier.insert((text.text.sender, id), text);
        }
    }
    Ok(())
}

fn select(head: &str, pairs: &[(UserId, UserId)], tail: &str) -> QueryBuilder<MySql> {
    let mut query = QueryBuilder::new(head);
    query.push_tuples(padded(pairs), |mut row, (one, other)| {
        row.push_bind(one.0).push_bind(other.0);
    });
    query.push(tail);
    query
}

fn list(head: &str, items: &[i64], tail: &str) -> QueryBuilder<MySql> {
    let mut query = QueryBuilder::new(head);
    query.push("(");
    let mut listed = query.separated(", ");
    for item in padded(items) {
        listed.push_bind(item);
    }
    query.push(")").push(tail);
    query
}

/// A statement with places for a list of so many entries.
pub(super) fn with_places(head: &str, entry: &str, entries: usize, tail: &str) -> AssertSqlSafe<String> {
    AssertSqlSafe(format!("{head}({}){tail}", vec![entry; entries.next_power_of_two()].join(", ")))
}

pub(super) fn padded<T: Copy>(items: &[T]) -> impl Iterator<Item = T> {
    let last = items.last().copied();
    let repeated = items.len().next_power_of_two() - items.len();
    items.iter().copied().chain(std::iter::repeat_n(last, repeated).flatten())
}
