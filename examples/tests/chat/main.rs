//! A whole topology as its users see it: byte by byte, in any order, at any pace.
#![allow(clippy::unwrap_used, unreachable_pub, reason = "tests only")]

#[path = "../support/mod.rs"]
mod support;

mod bad_input;
mod deadlines;
mod drain;
mod frames_any_way;
mod genuine;
mod one_live_session;
mod original_clients_bytes;
mod original_clients_two_servers;
mod pacing;
mod replies_in_order;
mod retry;
mod slow_consumer;
mod two_users_two_servers;
