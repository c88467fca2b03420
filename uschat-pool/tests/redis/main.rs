//! Connections to Redis, absent and real, in all the ways in which the server can fail its clients.
#![cfg(feature = "redis")]
#![allow(clippy::unwrap_used, unreachable_pub, reason = "tests only")]

mod proxy;
#[path = "../../../uschat-server/tests/real_servers/redis.rs"]
mod redis_server;
mod support;

mod absent_server_is_cheap;
mod broken_connections_are_replaced;
mod urls_stay_secret;

/// All of it needs the server: `--skip real_server` leaves it out.
mod real_server {
    mod a_black_hole_costs_no_more_than_the_deadline;
    mod a_blocking_command_has_its_own_time;
    mod a_cluster_without_a_node_serves_the_others;
    mod a_connection_that_the_server_cuts_costs_no_error;
    mod a_full_server_is_tried_again;
    mod a_killed_server_costs_no_error;
    mod a_stopped_server_costs_no_more_than_the_deadline;
    mod a_wrong_password_is_said_at_once;
    mod nothing_is_left_for_the_next_user;
    mod shared_connections_refuse_what_disturbs;
    mod waiters_are_served_in_order;
    mod what_did_not_happen_is_tried_again;
}
