//! The pools themselves, in front of connections that a test makes, breaks and stalls as it likes.
#![allow(clippy::unwrap_used, unreachable_pub, reason = "tests only")]

mod fake;
#[cfg(feature = "metrics")]
#[path = "fake/scrape.rs"]
mod scrape;

mod absent_server_is_cheap;
mod call_is_repeated_when_safe;
mod cancelled_waiter_loses_nothing;
mod closed_pool_fails_waiters;
mod config_is_checked;
mod drain_waits_for_leases;
mod idle_connections_are_kept_in_number;
mod lends_to_one_user_at_a_time;
#[cfg(feature = "metrics")]
mod metrics_count_what_took_time;
#[cfg(feature = "metrics")]
mod metrics_follow_the_breaker;
#[cfg(feature = "metrics")]
mod metrics_lose_no_wait;
#[cfg(feature = "metrics")]
mod metrics_name_the_reason;
mod panicking_manager_costs_no_place;
mod pool_is_resized;
mod shared_backs_off;
mod shared_closed_fails_waiters;
mod shared_connect_outlives_its_caller;
mod shared_drain_waits_for_handles;
mod shared_panicking_manager;
mod shared_replaces_broken;
mod shared_replaces_stalled;
mod shared_spreads_by_load;
mod shared_upkeep_ends_with_its_set;
mod snapshots_show_the_breaker;
mod unfit_connection_is_not_lent_again;
mod upkeep_ends_with_its_pool;
mod verify_only_after_idle;
mod wait_is_bounded;
