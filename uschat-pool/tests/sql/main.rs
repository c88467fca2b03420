//! SQL connections, on SQLite and in front of a real MariaDB server that dies, falls silent, refuses and hangs up.
#![cfg(feature = "sql")]
#![allow(clippy::unwrap_used, unreachable_pub, reason = "tests only")]

#[path = "../../../uschat-server/tests/real_servers/mariadb.rs"]
mod mariadb;
mod peer;
mod support;

mod dropped_transaction_is_rolled_back;
mod manages_every_driver;
mod sqlite_calls_are_made_again;

/// All of it needs MariaDB: `--skip real_server` leaves it out.
mod real_server {
    mod cancelled_statements;
    mod hang_ups;
    mod many_callers;
    mod refusals;
    mod restarts;
    mod silence;
    mod statements;
    mod transactions;
}
