use std::time::{Duration, Instant};

use tokio::{
    net::{TcpSocket, TcpStream},
    time::timeout,
};
use uschat_pool::{
    CallError, PoolConfig, PoolError, Retry, SharedConfig,
    redis::{RedisConfig, RedisError},
};

use crate::{
    proxy::Proxy,
    redis_server::RedisServer,
    support::{MAX_BACKOFF, Outcome, PATIENT, call_by_pool, call_by_shared, command, pool, run, shared},
};

const COMMAND_DEADLINE: Duration = Duration::from_millis(300);
const CONNECT_TIMEOUT: Duration = Duration::from_millis(400);
const CALL_DEADLINE: Duration = Duration::from_millis(1_500);
const SLACK: Duration = Duration::from_millis(700);

fn impatient() -> RedisConfig {
    RedisConfig { connect_timeout: CONNECT_TIMEOUT, command_deadline: COMMAND_DEADLINE }
}

#[tokio::test]
async fn for_a_shared_connection() {
    let server = RedisServer::start().await;
    let proxy = Proxy::start(server.port()).await;
    let config = SharedConfig { size: 1, max_backoff: MAX_BACKOFF, ..SharedConfig::default() };
    let shared = shared(&proxy.url(), &impatient(), config);
    swallowed(&proxy, async |retry| call_by_shared(shared.clone(), retry, command("SET k 1")).await).await;
}

#[tokio::test]
async fn for_a_pool() {
    let server = RedisServer::start().await;
    let proxy = Proxy::start(server.port()).await;
    let config = PoolConfig { max_backoff: MAX_BACKOFF, ..PoolConfig::default() };
    let pool = pool(&proxy.url(), &impatient(), config);
    swallowed(&proxy, async |retry| call_by_pool(pool.clone(), retry, command("SET k 1")).await).await;
}

async fn swallowed(proxy: &Proxy, call: impl AsyncFn(Retry) -> Outcome) {
    let once = Retry::within(Duration::ZERO);
    let patient = Retry::within(CALL_DEADLINE).idempotent();
    call(once).await.unwrap();

    // A connection that went dead while others can be had.
    proxy.swallow_open();
    let start = Instant::now();
    call(patient).await.unwrap();
    let took = start.elapsed();
    assert!(took >= COMMAND_DEADLINE && took < COMMAND_DEADLINE + SLACK, "{took:?}");

    // Nothing comes through: the first call finds a connection, the next none.
    proxy.swallow_all();
    for _ in 0..2 {
        let start = Instant::now();
        let error = call(patient).await.unwrap_err();
        let took = start.elapsed();
        assert!(took >= COMMAND_DEADLINE && took < CALL_DEADLINE + SLACK, "{took:?}: {error:?}");
    }
    let start = Instant::now();
    let error = call(once).await.unwrap_err();
    let took = start.elapsed();
    assert!(matches!(error, CallError::Pool(_)) && took < CONNECT_TIMEOUT + SLACK, "{took:?}: {error:?}");

    proxy.forward_new();
    let start = Instant::now();
    call(Retry::within(PATIENT).idempotent()).await.unwrap();
    println!("recovered {:?} after the black hole", start.elapsed());
    assert!(start.elapsed() < CONNECT_TIMEOUT + MAX_BACKOFF + SLACK, "{:?}", start.elapsed());
}

/// Idle connections that went dead together cost one verification, not one each.
#[tokio::test]
async fn many_idle_connections_cost_one_verification() {
    let server = RedisServer::start().await;
    let proxy = Proxy::start(server.port()).await;
    let recycle = Duration::from_millis(200);
    let config = PoolConfig { verify_after: Duration::ZERO, recycle, create: PATIENT, ..PoolConfig::default() };
    let redis = RedisConfig { connect_timeout: PATIENT, command_deadline: PATIENT };
    let pool = pool(&proxy.url(), &redis, config);
    let mut leases = Vec::new();
    for _ in 0..8 {
        leases.push(pool.get().await.unwrap());
    }
    drop(leases);
    assert_eq!((pool.snapshot().idle, proxy.accepted()), (8, 8));
    proxy.swallow_open();
    let start = Instant::now();
    let mut lease = pool.get().await.unwrap();
    let took = start.elapsed();
    assert!(took >= recycle && took < 4 * recycle, "{took:?}");
    run::<()>(&mut lease, "PING").await.unwrap();
}

/// As when the host is gone: not even a connection comes about.
#[tokio::test]
async fn packets_that_are_dropped_fail_the_connect_in_time() {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    // Once so many wait to be accepted, the system drops what further ones send.
    let mut waiting = Vec::new();
    while let Ok(stream) = timeout(Duration::from_millis(200), TcpStream::connect(address)).await {
        waiting.push(stream.unwrap());
        assert!(waiting.len() < 100, "the system accepts without an end");
    }
    let url = format!("redis://{address}");
    let (shared, pool) =
        (shared(&url, &impatient(), SharedConfig::default()), pool(&url, &impatient(), PoolConfig::default()));
    let once = Retry::within(Duration::ZERO);
    for by_pool in [false, true] {
        let start = Instant::now();
        let outcome = match by_pool {
            false => call_by_shared(shared.clone(), once, command("PING")).await,
            true => call_by_pool(pool.clone(), once, command("PING")).await,
        };
        let (error, took) = (outcome.unwrap_err(), start.elapsed());
        assert!(matches!(error, CallError::Pool(PoolError::Connect(RedisError::Silent { .. }))), "{error:?}");
        assert!(took >= CONNECT_TIMEOUT && took < CONNECT_TIMEOUT + SLACK, "{took:?}");
    }
}
