//! What a connection keeps from one lease to the next, and when it is tested.

use std::time::Duration;

use sqlx::{AssertSqlSafe, MySqlConnection, Row};
use tokio::time::sleep;
use uschat_pool::PoolConfig;

use crate::support::{id, new_database, patient, pool};

/// A counter of this connection, asked for as text: a prepared statement would count itself.
async fn counted(connection: &mut MySqlConnection, name: &str) -> i64 {
    let question = format!("SHOW SESSION STATUS LIKE '{name}'");
    let row = sqlx::raw_sql(AssertSqlSafe(question)).fetch_one(connection).await.unwrap();
    row.get::<String, _>(1).parse().unwrap()
}

#[tokio::test]
async fn a_statement_is_prepared_once_for_all_leases() {
    let pool = pool(&new_database().await, patient(1));
    for round in 0..10_i64 {
        let mut lease = pool.get().await.unwrap();
        let answer: i64 = sqlx::query_scalar("SELECT ? + 1").bind(round).fetch_one(&mut *lease).await.unwrap();
        assert_eq!(answer, round + 1);
        assert_eq!(counted(&mut lease, "Com_stmt_prepare").await, 1);
        assert_eq!(counted(&mut lease, "Com_stmt_execute").await, round + 1);
    }
}

#[tokio::test]
async fn a_connection_is_pinged_when_it_was_idle_for_the_limit_and_only_then() {
    const LIMIT: Duration = Duration::from_millis(400);
    let pool = pool(&new_database().await, PoolConfig { verify_after: LIMIT, ..patient(1) });
    let first = id(&mut pool.get().await.unwrap()).await;
    let mut due = 0;
    for round in 0..8 {
        let given_back = std::time::Instant::now();
        if round % 2 == 1 {
            sleep(LIMIT).await;
            due += 1;
        }
        let mut lease = pool.get().await.unwrap();
        let idle = given_back.elapsed();
        let pings = counted(&mut lease, "Com_admin_commands").await;
        assert!(pings >= due, "lent untested after {idle:?}");
        // On a busy machine the other rounds may have taken that long, too.
        assert!(pings == due || idle >= LIMIT, "tested after {idle:?}");
        due = pings;
        assert_eq!(id(&mut lease).await, first);
    }
}
