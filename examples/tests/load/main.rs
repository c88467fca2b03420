//! The load generator: what it sends, what it counts, and what it says of servers that fail.
#![allow(clippy::unwrap_used, unreachable_pub, reason = "tests only")]

mod harness;
#[path = "../support/mod.rs"]
mod support;

mod faults;
mod options;
mod topology;
