//! The state port in Redis, for clusters of several processes, beside original servers or without them.
//!
//! # Keys
//!
//! Those of the originals keep their names and shapes; ours begin with
//! [`RedisOptions::prefix`], here the default `uschat:`.
//!
//! | key | value | lives |
//! |---|---|---|
//! | `code_<email>` | verification code | as the code; one without an expiry (originals set it late) is valid |
//! | `uschat:tries:<email>` | hash: code → wrong tries | as the code |
//! | `utoken_<uid>` | login token | as the token; one without an expiry (originals set none) is valid |
//! | `uschat:limit:<counter>` | decimal count | the counter's window |
//! | `uschat:lease:<uid>` | JSON: server, session, fence | the lease, renewed |
//! | `uip_<uid>`, `usession_<uid>` | server name, session number | shadows of the lease, renewed with it |
//! | `lock:lock_<uid>` | holder of the originals' lock | 10 s |
//! | `ubaseinfo_<uid>`, `nameinfo_<name>` | JSON profile, never with a password | 10 minutes |
//! | `uschat:servers` | hash: server name → JSON record with its expiry | for ever; expired records are dropped |
//! | `logincount` | hash: server name → sessions, for original status servers | while the server is alive and not draining |
//! | `uschat:outbox:<email>` | newest code, of the outbox only | an hour |
//!
//! Expiries go by Redis' own clock, so the clocks of the servers need not agree. Everything can be lost: `FLUSHALL` costs a
//! new gate login; leases, shadows and the list of servers come back with the next renewal.
//!
//! # Beside original servers
//!
//! Originals write `uip_<uid>` without a lease, so `uip_` naming one of [`RedisOptions::originals`] (and no living server of ours) means: the user logged in
//! there, after the last login here. Then
//!
//! * [`presence`](super::state::Presence::presence) answers with that server as [`Holder`](super::state::Holder), session and
//!   fence 0;
//! * a *login* here takes the user over and reports that holder as previous;
//! * a *renewal* (a fence that this [`RedisState`] took before) gives the lease up and is refused by that holder, so that the
//!   session here is replaced, as it would be by a later login on one of our servers.
//!
//! Shadows are written at login and removed at release under the originals' lock `lock:lock_<uid>`; whoever cannot get it
//! within 300 ms goes on without it, as originals do. A shadow is removed only if it still is ours.
//!
//! # One key at a time
//!
//! Each script and each command touches one key, so that all of it works on Redis Cluster, where the keys of one user lie on
//! different nodes. What belongs together but lies in two keys is written in an order that fails safely.
//!
//! # Failures
//!
//! Every call ends: a command within [`RedisOptions::command_deadline`], a connect within [`RedisOptions::connect_deadline`].
//! Nothing is sent twice, so a call that fails may have happened. After a restart or a stall of the server, calls succeed
//! again within about half a second of its return. Needs Redis 5 or later.

mod codes;
mod commands;
mod limits;
mod open;
#[cfg(any(feature = "gate", feature = "verify"))]
mod outbox;
mod presence;
mod profiles;
mod servers;
mod shadows;
mod tokens;

use std::{fmt, time::Duration};

use uschat_pool::{SharedSnapshot, redis::redis::cmd};

pub use self::open::OpenError;
#[cfg(any(feature = "gate", feature = "verify"))]
pub use self::outbox::RedisOutbox;
use self::{commands::Commands, presence::Taken};
use super::StoreError;

/// The Redis adapter of [`State`](super::State), see [this module](self).
///
/// ```no_run
/// use uschat_server::store::redis::{RedisOptions, RedisState};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let state = RedisState::open("redis://:password@127.0.0.1:6379/0", RedisOptions::default()).await?;
/// state.ping().await?;
/// assert_eq!(state.snapshot().live, 1);
/// # Ok(()) }
/// ```
pub struct RedisState {
    commands: Commands,
    prefix: String,
    originals: Vec<String>,
    taken: Taken,
}

/// Limits of a [`RedisState`], and what it must know of its neighbours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedisOptions {
    /// Most connections, each of which many calls use at the same time. Default 1, from 1 to 4,096: calls that share one
    /// share its round trips, too, so that more are slower as long as the server can keep up.
    pub connections: usize,
    /// How long a connect may take. Default 2 s, from 1 ms to an hour.
    pub connect_deadline: Duration,
    /// How long a command may take; its connection counts as broken after that. Default 1 s, from 1 ms to an hour.
    pub command_deadline: Duration,
    /// The names of original servers that share this Redis. Names of servers of ours do no harm. Default none.
    pub originals: Vec<String>,
    /// What the keys that originals do not know begin with. Default `uschat:`.
    pub prefix: String,
}

impl Default for RedisOptions {
    fn default() -> Self {
        Self {
            connections: 1,
            connect_deadline: Duration::from_secs(2),
            command_deadline: Duration::from_secs(1),
            originals: Vec::new(),
            prefix: "uschat:".into(),
        }
    }
}

impl RedisState {
    /// Connects, and sees whether the server answers. What a URL may say is described in [`uschat_pool::redis`]. Needs a
    /// tokio runtime with its timer enabled.
    ///
    /// # Errors
    /// [`OpenError`] says what is wrong with the options, the URL or the server, and what to do.
    pub async fn open(url: &str, options: RedisOptions) -> Result<Self, OpenError> {
        let pool = open::open(url, &options).await?;
        let RedisOptions { originals, prefix, .. } = options;
        Ok(Self { commands: Commands::new(pool), prefix, originals, taken: Taken::default() })
    }

    /// Asks the server whether it answers: for health checks.
    ///
    /// # Errors
    /// When it does not, within the deadlines.
    pub async fn ping(&self) -> Result<(), StoreError> {
        self.commands.run(&cmd("PING")).await
    }

    /// The connections at this moment, for health pages and logs.
    #[must_use]
    pub fn snapshot(&self) -> SharedSnapshot {
        self.commands.snapshot()
    }

    /// A key of our own.
    fn key(&self, kind: &str, of: impl fmt::Display) -> String {
        format!("{}{kind}:{of}", self.prefix)
    }
}

/// Without what it holds and without the URL.
impl fmt::Debug for RedisState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisState")
            .field("pool", &self.snapshot())
            .field("originals", &self.originals)
            .finish_non_exhaustive()
    }
}
