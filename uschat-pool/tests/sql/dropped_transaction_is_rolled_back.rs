//! Nobody inherits a transaction, and a connection does not rest with one open.

use std::{path::Path, time::Duration};

use sqlx::{
    Connection, Executor, Sqlite, SqliteConnection,
    sqlite::{SqliteConnectOptions, SqliteJournalMode},
};
use uschat_pool::{Pool, PoolConfig, PoolError, sql::SqlManager};

const SCHEMA: &str = "CREATE TABLE IF NOT EXISTS word (text TEXT NOT NULL)";

fn pool(folder: &Path, size: usize) -> Pool<SqlManager<Sqlite>> {
    let options = SqliteConnectOptions::new()
        .filename(folder.join("words.db"))
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal);
    let manager = SqlManager::new(options).setup(SCHEMA);
    Pool::new("words", manager, PoolConfig { size, ..PoolConfig::default() }).unwrap()
}

async fn words(pool: &Pool<SqlManager<Sqlite>>) -> i64 {
    let mut lease = pool.get().await.unwrap();
    sqlx::query_scalar("SELECT count(*) FROM word").fetch_one(&mut *lease).await.unwrap()
}

#[tokio::test]
async fn what_was_committed_stays_and_what_was_dropped_goes() {
    let folder = tempfile::tempdir().unwrap();
    let pool = pool(folder.path(), 1);
    let mut lease = pool.get().await.unwrap();
    let mut transaction = lease.begin().await.unwrap();
    sqlx::query("INSERT INTO word VALUES ('kept')").execute(&mut *transaction).await.unwrap();
    transaction.commit().await.unwrap();
    let mut transaction = lease.begin().await.unwrap();
    sqlx::query("INSERT INTO word VALUES ('dropped')").execute(&mut *transaction).await.unwrap();
    drop(transaction);
    drop(lease);

    let lease = pool.get().await.unwrap();
    assert!(!lease.is_in_transaction());
    drop(lease);
    assert_eq!(words(&pool).await, 1);
}

#[tokio::test]
async fn a_nested_transaction_ends_with_its_outer_one() {
    let folder = tempfile::tempdir().unwrap();
    let pool = pool(folder.path(), 1);
    let mut lease = pool.get().await.unwrap();
    let mut outer = lease.begin().await.unwrap();
    let mut inner = outer.begin().await.unwrap();
    sqlx::query("INSERT INTO word VALUES ('dropped')").execute(&mut *inner).await.unwrap();
    drop(inner);
    drop(outer);
    drop(lease);
    assert!(!pool.get().await.unwrap().is_in_transaction());
    assert_eq!(words(&pool).await, 0);
}

#[tokio::test]
async fn its_locks_are_free_for_others_without_anybody_using_its_connection() {
    let folder = tempfile::tempdir().unwrap();
    let pool = pool(folder.path(), 2);
    let (mut writer, mut other) = (pool.get().await.unwrap(), pool.get().await.unwrap());
    sqlx::query("PRAGMA busy_timeout = 0").execute(&mut *other).await.unwrap();
    let mut transaction = writer.begin_with("BEGIN IMMEDIATE").await.unwrap();
    sqlx::query("INSERT INTO word VALUES ('dropped')").execute(&mut *transaction).await.unwrap();
    assert!(other.begin_with("BEGIN IMMEDIATE").await.is_err(), "the lock is held");
    drop(transaction);
    drop(writer);
    // Idle only after it was cleaned.
    let cleaned = async {
        while pool.snapshot().idle == 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), cleaned).await.unwrap();
    other.begin_with("BEGIN IMMEDIATE").await.unwrap().rollback().await.unwrap();
}

#[tokio::test]
async fn a_rollback_that_is_over_before_the_pool_looks_keeps_the_connection() {
    let folder = tempfile::tempdir().unwrap();
    let pool = pool(folder.path(), 1);
    let mut lease = pool.get().await.unwrap();
    let mut transaction = lease.begin_with("BEGIN IMMEDIATE").await.unwrap();
    sqlx::query("INSERT INTO word VALUES ('dropped')").execute(&mut *transaction).await.unwrap();
    drop(transaction);
    drop(lease);
    // Holds up this thread, and with it the pool's cleaning, until SQLite's own thread has let the lock go.
    let options = SqliteConnectOptions::new().filename(folder.path().join("words.db"));
    let locked = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
            connection.execute("BEGIN IMMEDIATE").await.unwrap();
            connection.close().await.unwrap();
        });
    });
    locked.join().unwrap();
    drop(pool.get().await.unwrap());
    assert_eq!((pool.snapshot().connected_total, pool.snapshot().closed_total), (1, 0));
}

#[tokio::test]
async fn a_connection_whose_transaction_leaked_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let pool = pool(folder.path(), 1);
    let mut lease = pool.get().await.unwrap();
    let mut transaction = lease.begin_with("BEGIN IMMEDIATE").await.unwrap();
    sqlx::query("INSERT INTO word VALUES ('leaked')").execute(&mut *transaction).await.unwrap();
    std::mem::forget(transaction);
    drop(lease);
    assert!(!pool.get().await.unwrap().is_in_transaction());
    assert_eq!(words(&pool).await, 0);
}

#[tokio::test]
async fn every_new_connection_is_set_up() {
    let folder = tempfile::tempdir().unwrap();
    let options = SqliteConnectOptions::new().filename(folder.path().join("setup.db")).create_if_missing(true);
    let manager = SqlManager::<Sqlite>::new(options.clone()).setup(SCHEMA).setup("PRAGMA cache_size = -123");
    let pool = Pool::new("set-up", manager, PoolConfig::default()).unwrap();
    let mut leases = [pool.get().await.unwrap(), pool.get().await.unwrap()];
    for lease in &mut leases {
        let size: i64 = sqlx::query_scalar("PRAGMA cache_size").fetch_one(&mut **lease).await.unwrap();
        assert_eq!(size, -123);
    }

    let manager = SqlManager::<Sqlite>::new(options).setup("NOT A STATEMENT");
    let pool = Pool::new("wrong", manager, PoolConfig::default()).unwrap();
    assert!(matches!(pool.get().await, Err(PoolError::Connect(sqlx::Error::Database(_)))));
}

#[tokio::test]
async fn an_idle_connection_is_pinged() {
    let folder = tempfile::tempdir().unwrap();
    let options = SqliteConnectOptions::new().filename(folder.path().join("ping.db")).create_if_missing(true);
    let config = PoolConfig { verify_after: Duration::ZERO, ..PoolConfig::default() };
    let pool = Pool::new("pinged", SqlManager::<Sqlite>::new(options), config).unwrap();
    let mut lease = pool.get().await.unwrap();
    sqlx::query("CREATE TEMP TABLE mark (id INTEGER)").execute(&mut *lease).await.unwrap();
    drop(lease);
    let mut lease = pool.get().await.unwrap();
    // Temporary tables belong to one connection: it passed its ping and was not replaced.
    sqlx::query("SELECT id FROM mark").execute(&mut *lease).await.unwrap();
}

#[test]
fn the_manager_does_not_print_how_it_connects() {
    let options = SqliteConnectOptions::new().filename("secret-name.db");
    let printed = format!("{:?}", SqlManager::<Sqlite>::new(options));
    assert!(printed.contains("SQLite") && !printed.contains("secret-name"), "{printed}");
}
