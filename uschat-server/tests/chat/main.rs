//! The chat service: texts, friends and sessions, on one server, on several, and beside original ones.
#![cfg(feature = "chat")]
#![allow(clippy::unwrap_used, unreachable_pub, reason = "tests only")]

mod original_server;
#[cfg(feature = "redis")]
#[path = "../real_servers/redis.rs"]
mod redis_server;
mod support;

#[cfg(feature = "redis")]
mod beside_originals_on_redis;
mod cluster_original_mesh;
#[cfg(feature = "sqlite")]
mod friends_made_at_originals;
mod history;
mod later_originals;
mod long_friend_list;
mod lost_hints;
mod offline_texts;
mod one_live_session;
mod originals_are_peers;
mod originals_are_told;
mod peers_that_fail;
mod slow_reader;
mod stores_that_fail;
mod sync;
