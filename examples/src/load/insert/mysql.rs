use std::str::FromStr;

use sqlx::{
    AssertSqlSafe, ConnectOptions, Connection, MySql, MySqlConnection, QueryBuilder, mysql::MySqlConnectOptions,
};

use super::{TABLE, row::Row};

/// The table in a MariaDB or MySQL database, with the one connection that writes. How durable a commit is, is the server's
/// setting.
pub(super) struct MysqlTable(MySqlConnection);

impl MysqlTable {
    pub(super) async fn open(url: &str) -> Result<Self, sqlx::Error> {
        let mut connection = MySqlConnectOptions::from_str(url)?.disable_statement_logging().connect().await?;
        // The columns and indexes of chat_message.
        let create = format!(
            "CREATE TABLE {TABLE} (
                message_id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
                thread_id  BIGINT UNSIGNED NOT NULL,
                sender_id  BIGINT UNSIGNED NOT NULL,
                recv_id    BIGINT UNSIGNED NOT NULL,
                content    TEXT            NOT NULL,
                created_at TIMESTAMP       NOT NULL DEFAULT CURRENT_TIMESTAMP,
                updated_at TIMESTAMP       NOT NULL DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP,
                status     TINYINT         NOT NULL DEFAULT 0,
                seq        BIGINT          NULL,
                client_id  VARBINARY(64)   NULL,
                sent_at_ms BIGINT          NULL,
                INDEX (thread_id, message_id), UNIQUE (thread_id, seq), UNIQUE (sender_id, client_id)
            ) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin"
        );
        for statement in [format!("DROP TABLE IF EXISTS {TABLE}"), create] {
            sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut connection).await?;
        }
        Ok(Self(connection))
    }

    /// One statement is one transaction.
    pub(super) async fn insert(&mut self, rows: &[Row]) -> Result<(), sqlx::Error> {
        let mut insert = QueryBuilder::<MySql>::new(format!(
            "INSERT INTO {TABLE} (thread_id, sender_id, recv_id, content, seq, client_id, sent_at_ms, status) "
        ));
        insert.push_values(rows, |mut values, row| {
            values.push_bind(row.thread).push_bind(row.sender).push_bind(row.receiver);
            values.push_bind(&row.content).push_bind(row.seq).push_bind(row.client_id.as_bytes());
            values.push_bind(row.sent_at_ms).push("2");
        });
        insert.build().execute(&mut self.0).await.map(drop)
    }

    pub(super) async fn drop(mut self) -> Result<(), sqlx::Error> {
        sqlx::raw_sql(AssertSqlSafe(format!("DROP TABLE {TABLE}"))).execute(&mut self.0).await?;
        self.0.close().await
    }
}
