use std::sync::PoisonError;

use async_trait::async_trait;
use sqlx::{
    MySql, MySqlConnection, Row,
    mysql::{MySqlArguments, MySqlRow},
    query::Query,
};
use uschat_proto::chat::{MessageKey, ThreadId, UserId};

use super::{
    MysqlStore,
    contacts::read,
    database::{Database, Work, int, uid},
    known::{self, Locks},
    write,
};
use crate::store::{
    Conversations, NewTexts, OpenThreadError, Place, PrivateThread, Progress, Receipt, Standing, StoreError,
    StoredText, StoredTexts, ThreadHead,
    plan::{Pair, Plan},
};

const HISTORY: &str = "SELECT message_id, thread_id, seq, sender_id, client_id, content,
        CAST(COALESCE(sent_at_ms, UNIX_TIMESTAMP(created_at) * 1000) AS SIGNED) AS sent_at_ms
    FROM chat_message WHERE thread_id = ? AND message_id > ? ORDER BY message_id LIMIT ?";
/// Together with one that has no number, if there is any.
const TEXTS_AFTER: &str = "(SELECT message_id, thread_id, seq, sender_id, client_id, content,
        CAST(COALESCE(sent_at_ms, UNIX_TIMESTAMP(created_at) * 1000) AS SIGNED) AS sent_at_ms
        FROM chat_message WHERE thread_id = ? AND seq IS NULL LIMIT 1)
    UNION ALL (SELECT message_id, thread_id, seq, sender_id, client_id, content,
        CAST(COALESCE(sent_at_ms, UNIX_TIMESTAMP(created_at) * 1000) AS SIGNED) AS sent_at_ms
        FROM chat_message WHERE thread_id = ? AND seq > ? ORDER BY seq LIMIT ?)
    ORDER BY seq";
const TEXTS_AT: &str = "SELECT message_id, thread_id, seq, sender_id, client_id, content,
        CAST(COALESCE(sent_at_ms, UNIX_TIMESTAMP(created_at) * 1000) AS SIGNED) AS sent_at_ms
    FROM chat_message WHERE (thread_id, seq) IN ";
const PRIVATE_THREAD: &str = "SELECT thread_id FROM private_chat
    WHERE (user1_id, user2_id) IN ((?, ?), (?, ?)) ORDER BY thread_id LIMIT 1";

/// Each half in the order of its index.
const THREADS: &str = "(SELECT p.thread_id, p.user2_id AS friend FROM private_chat p
        JOIN friend f ON f.self_id = ? AND f.friend_id = p.user2_id
        WHERE p.user1_id = ? AND p.thread_id > ? ORDER BY p.thread_id LIMIT ?)
    UNION ALL (SELECT p.thread_id, p.user1_id AS friend FROM private_chat p
        JOIN friend f ON f.self_id = ? AND f.friend_id = p.user1_id
        WHERE p.user2_id = ? AND p.thread_id > ? ORDER BY p.thread_id LIMIT ?)
    ORDER BY thread_id LIMIT ?";
const PARTICIPANTS: &str = "SELECT user1_id, user2_id FROM private_chat WHERE thread_id = ?";

#[cfg(test)]
pub(super) const LOOK_UPS: &[&str] = &[HISTORY, TEXTS_AFTER, PRIVATE_THREAD, THREADS, PARTICIPANTS];
#[cfg(test)]
pub(super) const BUILT: &[(&str, &str)] = &[(TEXTS_AT, "((?, ?), (?, ?))")];

#[async_trait]
impl Conversations for MysqlStore {
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
        let most = i64::try_from(limit).unwrap_or(i64::MAX);
        let bound = |query| Query::bind(query, thread.0).bind(after.0).bind(most);
        self.numbered(thread, HISTORY, bound).await
    }

    async fn private_thread(&self, one: UserId, other: UserId) -> Result<Option<ThreadId>, StoreError> {
        let bound = |query| Query::bind(query, one.0).bind(other.0).bind(other.0).bind(one.0);
        let rows = self.database.rows(PRIVATE_THREAD, bound).await?;
        Ok(read(&rows, |row| int(row, "thread_id"))?.first().copied().map(ThreadId))
    }

    async fn threads(&self, of: UserId, after: ThreadId, limit: usize) -> Result<Vec<PrivateThread>, StoreError> {
        let most = i64::try_from(limit).unwrap_or(i64::MAX);
        let bound = |mut query: Query<'static, _, _>| {
            for _ in 0..2 {
                query = query.bind(of.0).bind(of.0).bind(after.0).bind(most);
            }
            query.bind(most)
        };
        let rows = self.database.rows(THREADS, bound).await?;
        read(&rows, |row| Ok(PrivateThread { thread: ThreadId(int(row, "thread_id")?), friend: uid(row, "friend")? }))
    }

    async fn participants(&self, thread: ThreadId) -> Result<Option<[UserId; 2]>, StoreError> {
        let rows = self.database.rows(PARTICIPANTS, |query| query.bind(thread.0)).await?;
        let pairs = read(&rows, |row| Ok(Pair::new(uid(row, "user1_id")?, uid(row, "user2_id")?)))?;
        Ok(pairs.first().map(|pair| [pair.0, pair.1]))
    }

    async fn open_private(&self, uid: UserId, friend: UserId) -> Result<ThreadId, OpenThreadError> {
        self.database.transact(&OpenPrivate { database: &self.database, uid, friend }).await
    }

    async fn texts_after(&self, thread: ThreadId, after: i64, limit: usize) -> Result<Vec<StoredText>, StoreError> {
        let most = i64::try_from(limit).unwrap_or(i64::MAX);
        let bound = |query| Query::bind(query, thread.0).bind(thread.0).bind(after).bind(most);
        self.numbered(thread, TEXTS_AFTER, bound).await
    }

    async fn texts_at(&self, places: &[(ThreadId, i64)]) -> Result<Vec<StoredText>, StoreError> {
        let mut texts = Vec::with_capacity(places.len());
        for places in places.chunks(known::MOST_LISTED) {
            let bind = |query: Query<'static, MySql, MySqlArguments>, (thread, seq): (ThreadId, i64)| {
                query.bind(thread.0).bind(seq)
            };
            let statement = known::with_places(TEXTS_AT, "(?, ?)", places.len(), "");
            let rows = self.database.rows(statement, |query| known::padded(places).fold(query, bind)).await?;
            texts.extend(read(&rows, stored_text)?);
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

impl MysqlStore {
    /// The texts of a look-up that also returns rows without a number: those are numbered first, and it is done again.
    async fn numbered(
        &self,
        thread: ThreadId,
        look_up: &'static str,
        bind: impl Fn(Query<'static, MySql, MySqlArguments>) -> Query<'static, MySql, MySqlArguments> + Sync,
    ) -> Result<Vec<StoredText>, StoreError> {
        let has_number = |row: &MySqlRow| matches!(row.try_get_unchecked("seq"), Ok(Some::<i64>(_)));
        let mut rows = self.database.rows(look_up, &bind).await?;
        if !rows.iter().all(has_number) {
            // An original stored some of them.
            self.database.transact(&Number { database: &self.database, threads: vec![thread.0] }).await?;
            rows = self.database.rows(look_up, &bind).await?;
            // What it has stored since comes behind.
            rows.retain(has_number);
        }
        read(&rows, stored_text)
    }
}

struct OpenPrivate<'a> {
    database: &'a Database,
    uid: UserId,
    friend: UserId,
}

impl Work for OpenPrivate<'_> {
    type Output = ThreadId;
    type Refusal = OpenThreadError;

    async fn run(&self, connection: &mut MySqlConnection) -> Result<Result<ThreadId, OpenThreadError>, sqlx::Error> {
        let Self { database, uid, friend } = *self;
        let pair = Pair::new(uid, friend);
        // From here on nobody else opens a conversation of the two.
        known::lock_friends(connection, pair).await?;
        let mut loaded = known::load(connection, &[pair], Locks::Wait, database).await?;
        let mut plan = Plan::default();
        let Some(thread) = loaded.known.plan_private(uid, friend, &mut plan) else {
            return Ok(Err(OpenThreadError::NotFriends));
        };
        let mut stored = StoredTexts { thread, texts: Vec::new(), fresh: 0 };
        write::write(connection, &plan, &database.meter).await?.settle(&mut stored);
        Ok(Ok(stored.thread))
    }
}

/// Gives the texts that an original stored in these conversations (ascending) their numbers.
pub(super) struct Number<'a> {
    pub(super) database: &'a Database,
    pub(super) threads: Vec<i64>,
}

impl Work for Number<'_> {
    type Output = ();
    type Refusal = StoreError;

    async fn run(&self, connection: &mut MySqlConnection) -> Result<Result<(), StoreError>, sqlx::Error> {
        known::lock_heads(connection, &self.threads, Locks::Wait, self.database).await?;
        Ok(Ok(()))
    }
}

pub(super) fn stored_text(row: &MySqlRow) -> Result<StoredText, sqlx::Error> {
    let client_id: Option<Vec<u8>> = row.try_get_unchecked("client_id")?;
    let client_id = client_id.map(String::from_utf8).transpose();
    Ok(StoredText {
        key: MessageKey(int(row, "message_id")?),
        thread: ThreadId(int(row, "thread_id")?),
        seq: int(row, "seq")?,
        sender: uid(row, "sender_id")?,
        client_id: client_id.map_err(|error| sqlx::Error::Decode(error.into()))?,
        content: row.try_get("content")?,
        sent_at: int(row, "sent_at_ms")?,
    })
}
