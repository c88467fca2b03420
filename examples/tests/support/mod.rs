//! What the tests of the running programs share. They know the wire and the run contract, and none of the crates, so that
//! a mistake the server and the client make together shows.
#![allow(dead_code, unused_imports, unreachable_pub, reason = "every test program uses a part of it")]
#![allow(clippy::unwrap_used, reason = "a test may panic, and this is part of tests")]

mod backends;
mod friends;
mod line_client;
mod newcomer;
pub mod processes;
mod program;
mod raw_client;
mod ready_reader;
mod rows;
pub mod servers;
pub mod sqlite_dump;
mod topology;
mod tour;
mod user;

pub use backends::{Backends, mariadb, redis};
pub use friends::{texts, without_times};
pub use line_client::LineClient;
pub use program::{Outcome, run, run_server, run_with, topology as topology_program};
pub use raw_client::{Frame, RawClient};
pub use ready_reader::ReadyReader;
pub use rows::{ids_of, numbers_of, rows_of};
pub use topology::{Chat, Ready, Topology};
pub use tour::tour;
pub use user::{Gate, User, xor_password};

use std::{
    future::Future,
    time::{Duration, Instant},
};

/// A hang is a failure; generous, because the machine may be busy with other tests.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// The outcome of `work`, which must come within [`DEADLINE`].
///
/// # Panics
/// When it does not.
pub async fn in_time<T>(what: &str, work: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, work).await.unwrap_or_else(|_| panic!("{what}: not within {DEADLINE:?}"))
}

/// Asks again and again until it is so; returns how long that took. Only for what other processes do: there is no event to
/// await then.
///
/// # Panics
/// When it is not so within [`DEADLINE`].
pub async fn until(what: &str, mut so: impl AsyncFnMut() -> bool) -> Duration {
    let begin = Instant::now();
    let asking = async {
        while !so().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    in_time(what, asking).await;
    begin.elapsed()
}
