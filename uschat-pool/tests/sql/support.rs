//! Pools of a database, and a client of it beside them.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use sqlx::{AssertSqlSafe, ConnectOptions, MySql, MySqlConnection, mysql::MySqlConnectOptions};
use uschat_pool::{Loan, Pool, PoolConfig, sql::SqlManager};

use crate::mariadb::MariaDb;

pub type Manager = SqlManager<MySql>;
pub type Connections = Pool<Manager>;

/// No case takes so long, however busy the machine is.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Connects and waits with patience, for cases that are not about time.
pub fn patient(size: usize) -> PoolConfig {
    PoolConfig { size, wait: PATIENCE, create: PATIENCE, recycle: Duration::from_secs(10), ..PoolConfig::default() }
}

pub fn options(url: &str) -> MySqlConnectOptions {
    url.parse().unwrap()
}

pub fn pool(url: &str, config: PoolConfig) -> Connections {
    Pool::new("mariadb", SqlManager::new(options(url)), config).unwrap()
}

/// The URL of a new database on the shared server, with an empty table `word (id, text)`.
pub async fn new_database() -> String {
    new_database_on(MariaDb::shared().await).await
}

pub async fn new_database_on(server: &MariaDb) -> String {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let name = format!("case{}", NEXT.fetch_add(1, Ordering::Relaxed));
    execute(&mut client(&server.url("")).await, &format!("CREATE DATABASE {name}")).await;
    let url = server.url(&name);
    let table = "CREATE TABLE word (id BIGINT PRIMARY KEY, text VARCHAR(64) NOT NULL) ENGINE=InnoDB";
    execute(&mut client(&url).await, table).await;
    url
}

/// A connection that no pool knows.
pub async fn client(url: &str) -> MySqlConnection {
    options(url).connect().await.unwrap()
}

pub async fn execute(client: &mut MySqlConnection, statement: &str) {
    sqlx::raw_sql(AssertSqlSafe(statement.to_owned())).execute(client).await.unwrap();
}

pub async fn number(client: &mut MySqlConnection, statement: &str) -> i64 {
    sqlx::query_scalar(AssertSqlSafe(statement.to_owned())).fetch_one(client).await.unwrap()
}

/// The server's own number of this connection.
pub async fn id(client: &mut MySqlConnection) -> i64 {
    number(client, "SELECT CAST(CONNECTION_ID() AS SIGNED)").await
}

/// A look-up as calls make it.
pub async fn look_up(mut loan: Loan<Manager>) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar("SELECT 1").fetch_one(&mut *loan).await
}

/// Waits until the server reports `expected`; asks again at once, each time over the network.
pub async fn until(client: &mut MySqlConnection, statement: &str, expected: i64) {
    let reached = async { while number(client, statement).await != expected {} };
    tokio::time::timeout(PATIENCE, reached).await.unwrap();
}
