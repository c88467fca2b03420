use std::{sync::OnceLock, time::Duration};

use uschat_pool::{
    PoolError, Shared, SharedSnapshot,
    redis::{
        RedisError, RedisManager,
        redis::{self, Cmd, ErrorKind, FromRedisValue, ServerErrorKind, cmd},
    },
};

use crate::store::StoreError;

/// Sends commands over the connections of a pool. Calls that run beside each other share a connection and a round trip.
#[derive(Clone)]
pub(super) struct Commands {
    pool: Shared<RedisManager>,
}

/// A script of one key, which Redis runs as one step.
pub(super) struct Script {
    source: &'static str,
    hash: OnceLock<String>,
}

impl Script {
    pub(super) const fn new(source: &'static str) -> Self {
        Self { source, hash: OnceLock::new() }
    }

    fn hash(&self) -> &str {
        self.hash.get_or_init(|| redis::Script::new(self.source).get_hash().to_owned())
    }
}

impl Commands {
    pub(super) fn new(pool: Shared<RedisManager>) -> Self {
        Self { pool }
    }

    pub(super) fn snapshot(&self) -> SharedSnapshot {
        self.pool.snapshot()
    }

    pub(super) async fn run<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, StoreError> {
        let mut handle = self.pool.handle().await.map_err(no_connection)?;
        command.query_async(&mut *handle).await.map_err(failed)
    }

    /// By its hash; a server that does not know the script has run nothing and gets its text.
    pub(super) async fn script<T: FromRedisValue>(
        &self,
        script: &Script,
        key: &str,
        arguments: &[&str],
    ) -> Result<T, StoreError> {
        let mut handle = self.pool.handle().await.map_err(no_connection)?;
        let call = |command, body| cmd(command).arg(body).arg(1).arg(key).arg(arguments).take();
        match call("EVALSHA", script.hash()).query_async(&mut *handle).await {
            Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
                call("EVAL", script.source).query_async(&mut *handle).await.map_err(failed)
            }
            outcome => outcome.map_err(failed),
        }
    }
}

/// The pool's own text for a failed connect does not say why it failed.
fn no_connection(error: PoolError<RedisError>) -> StoreError {
    match error {
        PoolError::Connect(cause) => StoreError::unavailable(cause),
        other => StoreError::unavailable(other),
    }
}

/// Only the kind of what the server says: its texts may repeat a command with a code or token in it.
fn failed(error: redis::RedisError) -> StoreError {
    match error.kind() {
        ErrorKind::Io => StoreError::unavailable(error),
        ErrorKind::UnexpectedReturnType | ErrorKind::Parse => {
            StoreError::Corrupt("a key in Redis has a value of another kind than it should".into())
        }
        _ if error.code() == Some("WRONGTYPE") => {
            StoreError::Corrupt("a key in Redis has another type than it should".into())
        }
        _ => StoreError::unavailable(format!("Redis answered with the error {}", error.code().unwrap_or("(none)"))),
    }
}

/// A time to live as Redis takes it: at least a millisecond, since zero is an error.
pub(super) fn millis(time: Duration) -> String {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX).clamp(1, i64::MAX as u64 / 2).to_string()
}

/// `PTTL` of a key that exists: one without an expiry was written by an original and counts as having `otherwise` left.
pub(super) fn remaining(pttl: i64, otherwise: Duration) -> Duration {
    u64::try_from(pttl).map_or(otherwise, Duration::from_millis)
}

/// Removes the key if it still holds this value.
pub(super) static REMOVE_IF: Script = Script::new(
    "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
     return 0",
);
