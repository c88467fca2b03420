use std::time::{Duration, Instant};

use uschat_pool::{CallError, PoolError, Retry, redis::RedisError};

use crate::{
    redis_server::RedisServer,
    support::{
        Outcome, PATIENT, call_by_pool, call_by_shared, command, pool_of, pool_with_defaults, run, shared_with_defaults,
    },
};

const RETRY: Duration = Duration::from_secs(20);

fn assert_refused(outcome: Outcome) {
    let error = outcome.unwrap_err();
    assert!(matches!(error, CallError::Pool(PoolError::Connect(RedisError::Refused))), "{error:?}");
    assert!(!format!("{error:?} {error}").contains("hunter"), "{error:?}");
}

#[tokio::test]
async fn a_call_does_not_try_again() {
    let server = RedisServer::start_with(&["--requirepass", "secret"]).await;
    let url = format!("redis://:hunter2@127.0.0.1:{}", server.port());
    let retry = Retry::within(RETRY).idempotent();
    let start = Instant::now();
    assert_refused(call_by_shared(shared_with_defaults(&url), retry, command("PING")).await);
    assert_refused(call_by_pool(pool_with_defaults(&url), retry, command("PING")).await);
    assert!(start.elapsed() < RETRY / 4, "{:?}", start.elapsed());

    let right = pool_of(&format!("redis://:secret@127.0.0.1:{}", server.port()), 1);
    let info: String = run(&mut right.get().await.unwrap(), "INFO commandstats").await.unwrap();
    let logins = info.lines().find(|line| line.starts_with("cmdstat_auth:")).unwrap();
    assert!(logins.contains("calls=3,"), "two were refused, and this one: {logins}");
}

#[tokio::test]
async fn a_password_that_changes_meets_new_connections_only() {
    let server = RedisServer::start_with(&["--requirepass", "hunter2"]).await;
    let url = format!("redis://:hunter2@127.0.0.1:{}", server.port());
    let (shared, pool) = (shared_with_defaults(&url), pool_with_defaults(&url));
    let retry = Retry::within(RETRY).idempotent();
    call_by_shared(shared.clone(), retry, command("PING")).await.unwrap();
    call_by_pool(pool.clone(), retry, command("CONFIG SET requirepass other")).await.unwrap();
    call_by_shared(shared.clone(), retry, command("PING")).await.unwrap();
    call_by_pool(pool.clone(), retry, command("PING")).await.unwrap();

    let other = pool_with_defaults(&format!("redis://:other@127.0.0.1:{}", server.port()));
    call_by_pool(other.clone(), retry, command("CLIENT KILL TYPE normal")).await.unwrap();
    assert_refused(call_by_shared(shared.clone(), retry, command("PING")).await);
    assert_refused(call_by_pool(pool.clone(), retry, command("PING")).await);

    call_by_pool(other, retry, command("CONFIG SET requirepass hunter2")).await.unwrap();
    let patient = Retry::within(PATIENT).idempotent();
    // Whoever is told "not yet" tries again, and the next attempt succeeds.
    call_by_shared(shared, patient, command("PING")).await.unwrap();
    call_by_pool(pool, patient, command("PING")).await.unwrap();
}
