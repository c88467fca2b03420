use std::time::{Duration, Instant};

use uschat_pool::{PoolConfig, redis::RedisConfig};

use crate::{
    redis_server::RedisServer,
    support::{PATIENT, command, pool, run},
};

const SHORT: Duration = Duration::from_millis(300);

fn impatient() -> RedisConfig {
    RedisConfig { connect_timeout: PATIENT, command_deadline: SHORT }
}

#[tokio::test]
async fn it_outlives_the_deadline_of_the_others() {
    let server = RedisServer::start().await;
    let pool = pool(&server.url(), &impatient(), PoolConfig::default());
    let (mut lease, mut other) = (pool.get().await.unwrap(), pool.get().await.unwrap());
    let start = Instant::now();
    let nothing: Option<(String, String)> = run(&mut lease, "BLPOP queue 0.7").await.unwrap();
    assert_eq!(nothing, None);
    assert!(start.elapsed() >= Duration::from_millis(700), "{:?}", start.elapsed());

    let popped = tokio::spawn(async move { run::<(String, String)>(&mut lease, "BLPOP queue 30").await });
    tokio::time::sleep(2 * SHORT).await;
    run::<()>(&mut other, "RPUSH queue job").await.unwrap();
    assert_eq!(popped.await.unwrap().unwrap(), ("queue".to_owned(), "job".to_owned()));
    assert_eq!(pool.snapshot().size, 2, "no connection was lost");
}

#[tokio::test]
async fn it_ends_when_the_server_does_not_keep_to_it() {
    let server = RedisServer::start().await;
    let pool = pool(&server.url(), &impatient(), PoolConfig::default());
    let mut lease = pool.get().await.unwrap();
    server.freeze();
    let start = Instant::now();
    let error = run::<()>(&mut lease, "BLPOP queue 0.5").await.unwrap_err();
    let took = start.elapsed();
    assert!(error.is_timeout(), "{error}");
    assert!(took >= Duration::from_millis(800) && took < Duration::from_secs(3), "{took:?}");
    drop(lease);
    assert_eq!(pool.snapshot().size, 0);
}

#[tokio::test]
async fn one_that_would_wait_for_ever_ends_at_the_deadline() {
    let server = RedisServer::start().await;
    let pool = pool(&server.url(), &impatient(), PoolConfig::default());
    let mut lease = pool.get().await.unwrap();
    let start = Instant::now();
    let error = run::<()>(&mut lease, "BLPOP queue 0").await.unwrap_err();
    let took = start.elapsed();
    assert!(error.is_timeout() && took >= SHORT && took < Duration::from_secs(3), "{took:?}: {error}");
}

#[tokio::test]
async fn another_deadline_holds_for_as_long_as_it_is_asked_for() {
    let server = RedisServer::start_with(&["--enable-debug-command", "yes"]).await;
    let pool = pool(&server.url(), &impatient(), PoolConfig::default());
    let mut lease = pool.get().await.unwrap();
    let slow = command("DEBUG SLEEP 0.6");
    slow.exec_async(&mut *lease.within(PATIENT)).await.unwrap();
    assert!(slow.exec_async(&mut *lease).await.unwrap_err().is_timeout());
}
