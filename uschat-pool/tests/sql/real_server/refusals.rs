//! A server that will not have us: for good, or until others leave.

use std::{
    error::Error,
    time::{Duration, Instant},
};

use sqlx::Connection;
use uschat_pool::{CallError, PoolConfig, PoolError, Retry};

use crate::{
    mariadb::MariaDb,
    support::{PATIENCE, client, execute, look_up, new_database, new_database_on, patient, pool, until},
};

/// Far from the deadline of the call.
const AT_ONCE: Duration = Duration::from_secs(20);

async fn refused_at_once(url: &str) -> sqlx::Error {
    let pool = pool(url, patient(2));
    let start = Instant::now();
    let error = pool.call(Retry::within(PATIENCE).idempotent(), look_up).await.unwrap_err();
    assert!(start.elapsed() < AT_ONCE);
    let CallError::Pool(PoolError::Connect(cause)) = error else {
        panic!("{error:?}");
    };
    cause
}

#[tokio::test]
async fn a_wrong_password_is_not_tried_again_nor_told() {
    let url = new_database().await;
    execute(&mut client(&url).await, "CREATE USER guest@'%' IDENTIFIED BY 'right-one'").await;
    let error = refused_at_once(&url.replace("root@", "guest:wrong-one@")).await;
    assert_eq!(error.as_database_error().unwrap().code().as_deref(), Some("28000"));
    for told in [format!("{error:?}"), error.to_string(), error.source().unwrap().to_string()] {
        assert!(!told.contains("wrong-one"), "{told}");
    }
}

#[tokio::test]
async fn a_missing_database_is_not_asked_for_again() {
    let url = new_database().await;
    let error = refused_at_once(&format!("{url}_of_nobody")).await;
    assert!(error.to_string().contains("1049"), "{error}");
}

#[tokio::test]
async fn a_full_server_is_asked_again_until_somebody_leaves() {
    let server = MariaDb::start(&["--max-connections=10"]).await;
    let url = new_database_on(&server).await;
    let mut admin = client(&url).await;
    execute(&mut admin, "CREATE USER guest@'%'").await;
    execute(&mut admin, "GRANT ALL ON *.* TO guest@'%'").await;
    // Those that made the database may still be on their way out.
    until(&mut admin, "SELECT COUNT(*) FROM information_schema.processlist WHERE user = 'root'", 1).await;
    let config = PoolConfig { max_backoff: Duration::from_millis(100), ..patient(2) };
    let pool = pool(&url.replace("root@", "guest@"), config);
    let mut others = Vec::new();
    let full = loop {
        match pool.get().await {
            Ok(lease) => others.push(lease.into_connection()),
            Err(error) => break error,
        }
    };
    assert!(full.source().unwrap().to_string().contains("1040"), "{full:?}");
    let waiting = pool.clone();
    let retry = Retry::within(PATIENCE);
    let call = tokio::spawn(async move { waiting.call(retry, look_up).await });
    // It has tried and failed before it gets its chance.
    assert!(matches!(pool.get().await.unwrap_err(), PoolError::BackingOff { .. } | PoolError::Connect(_)));
    assert!(!call.is_finished());
    others.pop().unwrap().close().await.unwrap();
    assert_eq!(call.await.unwrap().unwrap(), 1);
}
