//! The rows of the database, read beside the servers.

use std::{collections::HashMap, path::PathBuf};

use sqlx::{AssertSqlSafe, Connection, FromRow, MySqlConnection, mysql::MySqlRow, sqlite::SqliteRow};
use uschat_examples::oracle::{ContentHash, Journal, Record};
use uschat_proto::chat::{ThreadId, UserId};

use crate::support::sqlite_dump;

/// Where the servers store.
#[derive(Debug, Clone)]
pub enum Store {
    /// A MariaDB database, by its URL.
    MariaDb(String),
    /// A SQLite file.
    Sqlite(PathBuf),
}

/// The last text that a member said in a conversation.
#[derive(Debug, Clone, Copy)]
pub struct Head {
    pub thread: ThreadId,
    pub sender: UserId,
    /// Who must have seen it.
    pub viewer: UserId,
    /// Its number.
    pub seq: i64,
}

impl Store {
    /// The last text of each member in each conversation; lines of the server have no id and are left out.
    pub async fn heads(&self) -> Vec<Head> {
        let rows: Vec<(i64, i64, i64, i64, i64)> = self
            .rows(
                "SELECT CAST(thread_id AS SIGNED), CAST(user1_id AS SIGNED), CAST(user2_id AS SIGNED),
                    CAST(sender_id AS SIGNED), MAX(seq)
                FROM chat_message JOIN private_chat USING (thread_id) WHERE client_id IS NOT NULL
                GROUP BY thread_id, user1_id, user2_id, sender_id",
            )
            .await;
        let head = |(thread, one, other, sender, seq): (i64, i64, i64, i64, i64)| {
            let viewer = if sender == one { other } else { one };
            Head { thread: ThreadId(thread), sender: user(sender), viewer: user(viewer), seq }
        };
        rows.into_iter().map(head).collect()
    }

    /// Up to which number each conversation has reached each user, as the servers have noted.
    pub async fn delivered(&self) -> HashMap<(UserId, ThreadId), i64> {
        let query = "SELECT CAST(user_id AS SIGNED), CAST(thread_id AS SIGNED), delivered_seq FROM thread_progress";
        let rows: Vec<(i64, i64, i64)> = self.rows(query).await;
        rows.into_iter().map(|(uid, thread, seq)| ((user(uid), ThreadId(thread)), seq)).collect()
    }

    /// Writes down what is stored and who the members are.
    pub async fn dump(&self, journal: &Journal) {
        match self {
            Self::MariaDb(url) => dump_mariadb(url, journal).await,
            Self::Sqlite(path) => sqlite_dump::dump(path, journal).await,
        }
    }
}

impl Store {
    /// The rows of a query that both databases understand but for the name of an integer.
    async fn rows<R>(&self, query: &str) -> Vec<R>
    where
        R: for<'r> FromRow<'r, MySqlRow> + for<'r> FromRow<'r, SqliteRow> + Send + Unpin,
    {
        match self {
            Self::MariaDb(url) => {
                let mut connection = MySqlConnection::connect(url).await.unwrap();
                sqlx::query_as(AssertSqlSafe(query.to_owned())).fetch_all(&mut connection).await.unwrap()
            }
            Self::Sqlite(path) => {
                let mut connection = sqlite_dump::open(path).await;
                let query = query.replace("SIGNED", "INTEGER");
                sqlx::query_as(AssertSqlSafe(query)).fetch_all(&mut connection).await.unwrap()
            }
        }
    }
}

/// Conversation, number, id, sender, content.
type Row = (i64, i64, Option<Vec<u8>>, i64, String);

async fn dump_mariadb(url: &str, journal: &Journal) {
    let mut connection = MySqlConnection::connect(url).await.unwrap();
    let members: Vec<(i64, i64, i64)> = sqlx::query_as(
        "SELECT CAST(thread_id AS SIGNED), CAST(user1_id AS SIGNED), CAST(user2_id AS SIGNED) FROM private_chat",
    )
    .fetch_all(&mut connection)
    .await
    .unwrap();
    for (conversation, one, other) in members {
        let users = vec![user(one), user(other)];
        journal.write(Record::Members { conversation: ThreadId(conversation), users, after: 0 });
    }
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT CAST(thread_id AS SIGNED), seq, client_id, CAST(sender_id AS SIGNED), content FROM chat_message",
    )
    .fetch_all(&mut connection)
    .await
    .unwrap();
    for (conversation, seq, msgid, sender, content) in rows {
        journal.write(Record::Stored {
            conversation: ThreadId(conversation),
            seq,
            msgid: String::from_utf8(msgid.unwrap_or_default()).unwrap().into(),
            sender: user(sender),
            hash: ContentHash::of(content.as_bytes()),
        });
    }
    connection.close().await.unwrap();
}

fn user(id: i64) -> UserId {
    UserId(i32::try_from(id).unwrap())
}
