//! The battery: servers, stores, networks, clocks and users do their worst under load, and the oracle judges.
#![allow(clippy::unwrap_used, unreachable_pub, reason = "tests only")]

mod harness;
#[path = "../support/mod.rs"]
mod support;

mod abuse;
#[cfg(target_os = "linux")]
mod clock;
mod kills;
mod network;
mod stores_crash;
mod stores_outage;
mod stores_proxy;
mod stores_stopped;
mod stores_writers;
