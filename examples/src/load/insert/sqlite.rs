use std::path::Path;

use sqlx::{
    AssertSqlSafe, ConnectOptions, Connection, QueryBuilder, Sqlite, SqliteConnection,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous},
};

use super::{TABLE, row::Row};

/// The table in an SQLite database, with the one connection that writes.
pub(super) struct SqliteTable(SqliteConnection);

impl SqliteTable {
    /// The file must be there; what is committed is on disk, as with our servers.
    pub(super) async fn open(path: &Path) -> Result<Self, sqlx::Error> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(std::time::Duration::from_secs(5))
            .disable_statement_logging();
        let mut connection = options.connect().await?;
        // The columns and indexes of chat_message.
        let create = format!(
            "DROP TABLE IF EXISTS {TABLE};
            CREATE TABLE {TABLE} (
                message_id INTEGER PRIMARY KEY AUTOINCREMENT,
                thread_id  INTEGER   NOT NULL,
                sender_id  INTEGER   NOT NULL,
                recv_id    INTEGER   NOT NULL,
                content    TEXT      NOT NULL,
                created_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
                updated_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
                status     TINYINT   NOT NULL DEFAULT 2,
                seq        INTEGER   NOT NULL,
                client_id  TEXT,
                sent_at_ms INTEGER   NOT NULL,
                UNIQUE (thread_id, seq)
            );
            CREATE INDEX {TABLE}_thread ON {TABLE} (thread_id, message_id);
            CREATE UNIQUE INDEX {TABLE}_client ON {TABLE} (sender_id, client_id) WHERE client_id IS NOT NULL"
        );
        sqlx::raw_sql(AssertSqlSafe(create)).execute(&mut connection).await?;
        Ok(Self(connection))
    }

    /// One statement is one transaction.
    pub(super) async fn insert(&mut self, rows: &[Row]) -> Result<(), sqlx::Error> {
        let mut insert = QueryBuilder::<Sqlite>::new(format!(
            "INSERT INTO {TABLE} (thread_id, sender_id, recv_id, content, seq, client_id, sent_at_ms) "
        ));
        insert.push_values(rows, |mut values, row| {
            values.push_bind(row.thread).push_bind(row.sender).push_bind(row.receiver);
            values.push_bind(&row.content).push_bind(row.seq).push_bind(&row.client_id).push_bind(row.sent_at_ms);
        });
        insert.build().execute(&mut self.0).await.map(drop)
    }

    pub(super) async fn drop(mut self) -> Result<(), sqlx::Error> {
        sqlx::raw_sql(AssertSqlSafe(format!("DROP TABLE {TABLE}"))).execute(&mut self.0).await?;
        self.0.close().await
    }
}
