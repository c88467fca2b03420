//! The Redis adapter keeps every promise of the state port, on one server and on a cluster, and its own about keys and
//! failures.

#[path = "../../real_servers/authority.rs"]
mod authority;
mod real_server;
#[path = "../../real_servers/redis.rs"]
mod redis_server;
mod support;
