//! Channels to gRPC servers that restart, stall and vanish, and the pools of a cluster's members.
#![cfg(feature = "grpc")]
#![allow(clippy::unwrap_used, unreachable_pub, reason = "tests only")]

mod grpc_peer;
mod peers;

mod calls_happen_once;
mod dead_channel_costs_one_call;
mod dead_peer_fails_fast;
mod deadline_reaches_the_server;
mod failures_tell_what_may_be_repeated;
mod idle_channel_is_watched;
mod lends_to_one_at_a_time;
mod peer_grpc_servers_move;
mod peer_pools_follow_the_members;
mod peer_updates_may_race;
mod slow_method_keeps_its_channel;
mod survives_a_restart;
