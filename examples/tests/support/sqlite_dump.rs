//! The dump of a SQLite store. A row without an id of its sender is a line of the server.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used, reason = "part of tests")]

use std::path::Path;

use sqlx::{AssertSqlSafe, Connection, SqliteConnection, sqlite::SqliteConnectOptions};
use uschat_examples::oracle::{ContentHash, Journal, Record};
use uschat_proto::chat::{ThreadId, UserId};

/// Writes down what is stored and who the members are.
pub async fn dump(database: &Path, journal: &Journal) {
    let mut connection = open(database).await;
    let members: Vec<(i64, i32, i32)> = sqlx::query_as("SELECT thread_id, user1_id, user2_id FROM private_chat")
        .fetch_all(&mut connection)
        .await
        .unwrap();
    for (conversation, one, other) in members {
        let users = vec![UserId(one), UserId(other)];
        journal.write(Record::Members { conversation: ThreadId(conversation), users, after: 0 });
    }
    let rows: Vec<(i64, i64, Option<String>, i32, String)> =
        sqlx::query_as("SELECT thread_id, seq, client_id, sender_id, content FROM chat_message")
            .fetch_all(&mut connection)
            .await
            .unwrap();
    for (conversation, seq, msgid, sender, content) in rows {
        journal.write(Record::Stored {
            conversation: ThreadId(conversation),
            seq,
            msgid: msgid.unwrap_or_default().into(),
            sender: UserId(sender),
            hash: ContentHash::of(content.as_bytes()),
        });
    }
    connection.close().await.unwrap();
}

/// Does to the store what its server never does.
pub async fn tamper(database: &Path, statement: &str) {
    let mut connection = open(database).await;
    let done = sqlx::query(AssertSqlSafe(statement.to_owned())).execute(&mut connection).await.unwrap();
    assert_eq!(done.rows_affected(), 1, "{statement}");
    connection.close().await.unwrap();
}

/// A connection beside the server's.
pub async fn open(database: &Path) -> SqliteConnection {
    SqliteConnection::connect_with(&SqliteConnectOptions::new().filename(database)).await.unwrap()
}
