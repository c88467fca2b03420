//! The battery's harness: members who talk under load while something goes wrong, and the oracle that judges the run.
//!
//! A test starts servers ([`System`], or anything else), signs members up and connects them ([`World::start`]), lets them
//! talk ([`World::talk`]), does its worst, waits until it is over ([`World::recovered`]) and asks for the verdict
//! ([`World::finish`]): all texts answered, every member caught up, rows read from the database, journal judged. What holds
//! prints a row of a Markdown table and adds it to `target/battery.md`; what does not leaves the journal and the servers'
//! log in `target/battery/` and says the seed.
//!
//! `USCHAT_BATTERY_SEED` repeats the choices of a run, `USCHAT_BATTERY_ROUNDS` makes runs longer.

pub mod behind;
pub mod database_proxy;
mod front;
mod listening;
mod member;
pub mod packets;
mod plan;
mod report;
pub mod speaker;
mod store;
mod story;
mod system;
mod words;
mod world;

pub use front::Front;
pub use member::Member;
pub use plan::{Friends, Plan};
pub use report::Report;
pub use store::{Head, Store};
pub use story::Story;
pub use system::System;
pub use world::World;

use std::path::PathBuf;

/// Where a run leaves what it found out.
pub fn target(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).with_file_name(name)
}
