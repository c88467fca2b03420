//! Pools of connections to SQLite, each with a database of its own in memory.

use deadpool::managed::{self, Metrics, RecycleResult};
use sqlx::sqlite::{Sqlite, SqliteConnectOptions, SqlitePoolOptions};
use sqlx::{ConnectOptions, Connection, SqliteConnection, SqlitePool};
use uschat_pool::sql::SqlManager;
use uschat_pool::{Pool, PoolConfig};

use super::load::Work;

const SIZE: usize = 8;

fn options() -> SqliteConnectOptions {
    SqliteConnectOptions::new().in_memory(true)
}

/// What each task does with a connection.
async fn select(connection: &mut SqliteConnection) {
    let one: i64 = sqlx::query_scalar("SELECT 1").fetch_one(connection).await.expect("an answer");
    assert_eq!(one, 1);
}

/// Ours, as its defaults are: tested if it was idle for 30 s.
#[derive(Clone)]
pub(crate) struct UsChat(Pool<SqlManager<Sqlite>>);

pub(crate) fn uschat() -> UsChat {
    let config = PoolConfig { size: SIZE, ..PoolConfig::default() };
    UsChat(Pool::new("sqlite", SqlManager::new(options()), config).expect("a valid configuration"))
}

impl Work for UsChat {
    type Held = ();

    async fn begin(&self) {
        let mut lease = self.0.get().await.expect("a connection");
        select(&mut lease).await;
    }
}

/// sqlx' own.
#[derive(Clone)]
pub(crate) struct Sqlx(SqlitePool);

/// Its defaults, but for the size, test at every check-out.
pub(crate) fn sqlx(test: bool) -> Sqlx {
    let options_of_pool = SqlitePoolOptions::new().max_connections(SIZE as u32).test_before_acquire(test);
    Sqlx(options_of_pool.connect_lazy_with(options()))
}

impl Work for Sqlx {
    type Held = ();

    async fn begin(&self) {
        let mut connection = self.0.acquire().await.expect("a connection");
        select(&mut connection).await;
    }
}

/// deadpool's, with a manager as its own crates have them.
#[derive(Clone)]
pub(crate) struct Deadpool(managed::Pool<Maker>);

/// With a ping at every check-out, or with none at all.
pub(crate) fn deadpool(ping: bool) -> Deadpool {
    Deadpool(managed::Pool::builder(Maker { ping }).max_size(SIZE).build().expect("a valid configuration"))
}

impl Work for Deadpool {
    type Held = ();

    async fn begin(&self) {
        let mut connection = self.0.get().await.expect("a connection");
        select(&mut connection).await;
    }
}

struct Maker {
    ping: bool,
}

impl managed::Manager for Maker {
    type Type = SqliteConnection;
    type Error = sqlx::Error;

    async fn create(&self) -> Result<SqliteConnection, sqlx::Error> {
        options().connect().await
    }

    async fn recycle(&self, connection: &mut SqliteConnection, _: &Metrics) -> RecycleResult<sqlx::Error> {
        if self.ping {
            connection.ping().await?;
        }
        Ok(())
    }
}
