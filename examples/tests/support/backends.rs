//! Redis and MariaDB behind a topology, and a look at their keys and rows with commands of their own.

use ::redis::FromRedisValue;
use sqlx::{AssertSqlSafe, Connection, MySqlConnection, Row, mysql::MySqlRow};

use super::{
    in_time,
    servers::{execute, new_database, new_redis},
};

#[path = "../../../uschat-server/tests/real_servers/mariadb.rs"]
pub mod mariadb;
#[path = "../../../uschat-server/tests/real_servers/redis.rs"]
pub mod redis;

use mariadb::MariaDb;
use redis::RedisServer;

/// An empty Redis database and an empty MariaDB database.
#[derive(Debug)]
pub struct Backends {
    redis: String,
    sql: String,
}

impl Backends {
    /// The database on a server of its own.
    pub const DATABASE: &str = "alone";

    /// On the servers that the tests of one program share.
    pub async fn shared() -> Self {
        Self { redis: new_redis().await, sql: new_database().await }
    }

    /// On these servers, which have none yet: [`DATABASE`](Self::DATABASE) is created.
    pub async fn on(redis: &RedisServer, mariadb: &MariaDb) -> Self {
        execute(&mariadb.url(""), &format!("CREATE DATABASE {}", Self::DATABASE)).await;
        Self { redis: format!("{}/0", redis.url()), sql: mariadb.url(Self::DATABASE) }
    }

    /// The options that run a topology on them, with a process for each server.
    pub fn processes(&self) -> [&str; 5] {
        ["--processes", "--redis", &self.redis, "--sql", &self.sql]
    }

    /// What Redis answers to a command.
    pub async fn redis<T: FromRedisValue>(&self, command: &[&str]) -> T {
        let (name, arguments) = command.split_first().unwrap();
        let client = ::redis::Client::open(self.redis.as_str()).unwrap();
        let asking = async {
            let mut connection = client.get_multiplexed_async_connection().await?;
            ::redis::cmd(name).arg(arguments).query_async(&mut connection).await
        };
        in_time("an answer of Redis", asking).await.unwrap()
    }

    /// The rows of a query, every value as text (`NULL` for none), joined by `|`.
    pub async fn rows(&self, query: &str) -> Vec<String> {
        let asking = async {
            let mut connection = MySqlConnection::connect(&self.sql).await?;
            sqlx::raw_sql(AssertSqlSafe(query.to_owned())).fetch_all(&mut connection).await
        };
        let rows = in_time("an answer of MariaDB", asking).await.unwrap();
        rows.iter().map(|row| (0..row.len()).map(|at| text(row, at)).collect::<Vec<_>>().join("|")).collect()
    }
}

fn text(row: &MySqlRow, at: usize) -> String {
    let bytes: Option<Vec<u8>> = row.try_get_unchecked(at).unwrap();
    bytes.map_or("NULL".to_owned(), |bytes| String::from_utf8(bytes).unwrap())
}
