//! What the cases share.

use std::time::Duration;

use uschat_pool::{
    CallError, Lease, Pool, PoolConfig, Retry, Shared, SharedConfig,
    redis::{
        RedisConfig, RedisError, RedisManager,
        redis::{self, Cmd, FromRedisValue, RedisResult, cmd},
    },
};

/// Longer than anything takes that goes well.
pub(crate) const PATIENT: Duration = Duration::from_secs(20);

/// The longest pause between two attempts to connect.
pub(crate) const MAX_BACKOFF: Duration = Duration::from_millis(500);

/// A command from its words.
pub(crate) fn command(text: &str) -> Cmd {
    let mut words = text.split(' ');
    let mut command = cmd(words.next().unwrap());
    for word in words {
        command.arg(word);
    }
    command
}

pub(crate) async fn run<T: FromRedisValue>(lease: &mut Lease<RedisManager>, text: &str) -> RedisResult<T> {
    command(text).query_async(&mut **lease).await
}

pub(crate) fn patient() -> RedisConfig {
    RedisConfig { connect_timeout: PATIENT, command_deadline: PATIENT }
}

pub(crate) fn pool(url: &str, redis: &RedisConfig, config: PoolConfig) -> Pool<RedisManager> {
    Pool::new("dedicated", RedisManager::dedicated(url, redis).unwrap(), config).unwrap()
}

pub(crate) fn pool_of(url: &str, size: usize) -> Pool<RedisManager> {
    let config = PoolConfig { size, wait: PATIENT, create: PATIENT, recycle: PATIENT, ..PoolConfig::default() };
    pool(url, &patient(), config)
}

pub(crate) fn shared(url: &str, redis: &RedisConfig, config: SharedConfig) -> Shared<RedisManager> {
    Shared::new("shared", RedisManager::new(url, redis).unwrap(), config).unwrap()
}

/// Waits until `is_so`, and fails when it takes too long.
pub(crate) async fn eventually(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let waiting = async {
        while !is_so().await {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(PATIENT, waiting).await.unwrap_or_else(|_| panic!("never: {what}"));
}

/// As an application has it, but for the longest pause between two attempts.
pub(crate) fn shared_with_defaults(url: &str) -> Shared<RedisManager> {
    shared(url, &RedisConfig::default(), SharedConfig { max_backoff: MAX_BACKOFF, ..SharedConfig::default() })
}

pub(crate) fn pool_with_defaults(url: &str) -> Pool<RedisManager> {
    pool(url, &RedisConfig::default(), PoolConfig { max_backoff: MAX_BACKOFF, ..PoolConfig::default() })
}

/// What was wrong, in the end.
pub(crate) type Outcome = Result<(), CallError<RedisError, redis::RedisError>>;

pub(crate) async fn call_by_shared(shared: Shared<RedisManager>, retry: Retry, command: Cmd) -> Outcome {
    let command = &command;
    shared.call(retry, |mut connection| async move { command.exec_async(&mut connection).await }).await
}

pub(crate) async fn call_by_pool(pool: Pool<RedisManager>, retry: Retry, command: Cmd) -> Outcome {
    let command = &command;
    pool.call(retry, |mut loan| async move { command.exec_async(&mut *loan).await }).await
}
