//! Whether a process is alive, and whether it can do its work.

use std::time::Duration;

use serde::Serialize;
use tokio::time::timeout;
use uschat_server::store::mysql::Durability;

use super::storage::Storage;

/// A backend that takes longer to say a word is as good as gone.
const DEADLINE: Duration = Duration::from_secs(2);

/// What `/readyz` answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Readiness {
    /// Whether requests can be served now.
    pub(crate) ready: bool,
    /// The database, if these servers keep something there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) sql: Option<SqlHealth>,
    /// The state store.
    pub(crate) state: StateHealth,
}

/// The database's part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct SqlHealth {
    /// `memory`, `sqlite` or `mysql`.
    pub(crate) kind: &'static str,
    /// Whether it answered.
    pub(crate) reachable: bool,
    /// Whether a commit is on disk when it returns; without that, acknowledged texts may be lost with the power.
    pub(crate) flushed_at_commit: bool,
    /// The settings that are in the way of that.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) flush_faults: Vec<String>,
}

/// The state store's part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct StateHealth {
    /// `memory` or `redis`.
    pub(crate) kind: &'static str,
    /// Whether it answered.
    pub(crate) reachable: bool,
}

/// Asks everything behind the process; takes at most two seconds.
pub(crate) async fn readiness(storage: &Storage) -> Readiness {
    let (sql, state) = tokio::join!(sql(storage), state(storage));
    Readiness { ready: sql.as_ref().is_none_or(|sql| sql.reachable) && state.reachable, sql, state }
}

async fn sql(storage: &Storage) -> Option<SqlHealth> {
    if !storage.is_kept {
        return None;
    }
    if let Some(mysql) = &storage.mysql {
        let durability = timeout(DEADLINE, mysql.durability()).await.ok().and_then(Result::ok);
        return Some(SqlHealth {
            kind: "mysql",
            reachable: durability.is_some(),
            flushed_at_commit: durability.as_ref().is_some_and(Durability::is_flushed),
            flush_faults: durability.map(|durability| durability.faults).unwrap_or_default(),
        });
    }
    if let Some(sqlite) = &storage.sqlite {
        let flushes = timeout(DEADLINE, sqlite.flushes_commits()).await.ok().and_then(Result::ok);
        let faults = (flushes == Some(false)).then(|| "synchronous is below FULL, or there is no journal".to_owned());
        return Some(SqlHealth {
            kind: "sqlite",
            reachable: flushes.is_some(),
            flushed_at_commit: flushes == Some(true),
            flush_faults: faults.into_iter().collect(),
        });
    }
    let faults = vec!["everything is kept in memory and ends with this process: give --sql a database".to_owned()];
    Some(SqlHealth { kind: "memory", reachable: true, flushed_at_commit: false, flush_faults: faults })
}

async fn state(storage: &Storage) -> StateHealth {
    match &storage.redis {
        Some(redis) => {
            StateHealth { kind: "redis", reachable: matches!(timeout(DEADLINE, redis.ping()).await, Ok(Ok(()))) }
        }
        None => StateHealth { kind: "memory", reachable: true },
    }
}
