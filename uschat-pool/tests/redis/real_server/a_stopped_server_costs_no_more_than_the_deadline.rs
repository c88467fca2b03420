//! The server's process is stopped: connections stay open and nothing is answered.

use std::time::{Duration, Instant};

use uschat_pool::{CallError, PoolConfig, PoolError, Retry, SharedConfig, redis::RedisConfig};

use crate::{
    redis_server::RedisServer,
    support::{MAX_BACKOFF, Outcome, PATIENT, call_by_pool, call_by_shared, command, pool, shared},
};

const COMMAND_DEADLINE: Duration = Duration::from_millis(300);
const CONNECT_TIMEOUT: Duration = Duration::from_millis(400);
const CALL_DEADLINE: Duration = Duration::from_millis(1_500);
/// This machine may be busy.
const SLACK: Duration = Duration::from_millis(700);
const USERS: usize = 100;

#[tokio::test]
async fn calls_by_a_shared_connection_end_in_time_and_go_on() {
    let server = RedisServer::start().await;
    let config = SharedConfig { max_backoff: MAX_BACKOFF, ..SharedConfig::default() };
    let shared = shared(&server.url(), &impatient(), config);
    stop_and_go(&server, async |retry| call_by_shared(shared.clone(), retry, command("SET k 1")).await).await;
}

#[tokio::test]
async fn calls_by_a_pool_end_in_time_and_go_on() {
    let server = RedisServer::start().await;
    let config = PoolConfig { max_backoff: MAX_BACKOFF, ..PoolConfig::default() };
    let pool = pool(&server.url(), &impatient(), config);
    stop_and_go(&server, async |retry| call_by_pool(pool.clone(), retry, command("SET k 1")).await).await;
}

fn impatient() -> RedisConfig {
    RedisConfig { connect_timeout: CONNECT_TIMEOUT, command_deadline: COMMAND_DEADLINE }
}

async fn stop_and_go(server: &RedisServer, call: impl AsyncFn(Retry) -> Outcome) {
    let once = Retry::within(Duration::ZERO);
    call(once).await.unwrap();
    server.freeze();

    let start = Instant::now();
    let error = call(once).await.unwrap_err();
    let took = start.elapsed();
    assert!(matches!(&error, CallError::Call(cause) if cause.is_timeout()), "{error:?}");
    assert!(took >= COMMAND_DEADLINE && took < COMMAND_DEADLINE + SLACK, "{took:?}");

    let patient = Retry::within(CALL_DEADLINE).idempotent();
    let start = Instant::now();
    let calls: Vec<_> = (0..USERS).map(|_| call(patient)).collect();
    for outcome in join_all(calls).await {
        let error = outcome.unwrap_err();
        assert!(matches!(error, CallError::Pool(_) | CallError::Call(_) | CallError::Deadline { .. }), "{error:?}");
        assert!(!matches!(error, CallError::Pool(PoolError::Closed)), "{error:?}");
    }
    let took = start.elapsed();
    assert!(took < CALL_DEADLINE + SLACK, "{took:?}");

    server.thaw();
    let start = Instant::now();
    call(Retry::within(PATIENT).idempotent()).await.unwrap();
    println!("recovered {:?} after the server went on", start.elapsed());
    assert!(start.elapsed() < Duration::from_secs(1) + SLACK, "{:?}", start.elapsed());
}

/// All of them, side by side in this task.
async fn join_all<T>(futures: Vec<impl Future<Output = T>>) -> Vec<T> {
    let mut futures: Vec<_> = futures.into_iter().map(Box::pin).collect();
    let mut outcomes = Vec::new();
    std::future::poll_fn(|context| {
        futures.retain_mut(|future| match future.as_mut().poll(context) {
            std::task::Poll::Ready(outcome) => {
                outcomes.push(outcome);
                false
            }
            std::task::Poll::Pending => true,
        });
        if futures.is_empty() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
    outcomes
}
