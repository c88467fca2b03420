//! Every adapter keeps every promise of its ports.
#![cfg(feature = "store")]
#![allow(clippy::unwrap_used, unreachable_pub, reason = "tests only")]

#[macro_use]
mod conformance;

mod committer;
mod memory;
#[cfg(feature = "mysql")]
mod mysql;
#[cfg(feature = "mysql")]
mod mysql_between_transactions;
#[cfg(feature = "mysql")]
mod mysql_chains;
#[cfg(feature = "mysql")]
mod mysql_faults;
#[cfg(feature = "mysql")]
mod mysql_open;
#[cfg(feature = "mysql")]
mod mysql_support;
#[cfg(feature = "mysql")]
mod mysql_takeover;
#[cfg(feature = "redis")]
mod redis;
#[cfg(feature = "sqlite")]
mod sqlite;
