//! The Redis adapter keeps every promise of the state port, on one server and on a cluster, and its own about keys and
//! failures.
#![allow(clippy::unwrap_used, reason = "a test that fails may panic")]
#![cfg(feature = "redis")]

#[macro_use]
mod conformance;
#[path = "real_servers/authority.rs"]
mod authority;
#[path = "real_servers/redis.rs"]
mod redis_server;
#[path = "store_redis/mod.rs"]
mod support;

#[path = "store_redis/real_server.rs"]
mod real_server;
