//! Sessions and the handler registry, over pipes and sockets, with paused time where time matters.
#![allow(clippy::unwrap_used, unreachable_pub, reason = "tests only")]

mod app;

mod accept_goes_on;
mod deadlines;
mod drain_finishes_what_began;
mod embed_example;
mod handler_latency;
mod logic_bad_bodies_leave_the_session_alive;
mod logic_duplicate_ids_are_refused;
mod logic_requests_before_login_are_refused;
mod login_answer_comes_first;
mod marks_are_confirmed;
mod marks_cost_no_memory;
mod marks_of_pipes;
mod pacing_keeps_frames_apart;
mod panic_costs_one_session;
mod registry_is_empty_afterwards;
mod replaced_leaves_routing;
mod replies_leave_in_order;
mod slow_consumer_is_closed;
mod vanished_peer_cancels_nothing;
mod writes_are_coalesced;
