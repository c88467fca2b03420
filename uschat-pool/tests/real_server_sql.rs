//! SQL connections in front of a real MariaDB server that dies, falls silent, refuses and hangs up.
#![cfg(feature = "sql")]
#![allow(clippy::unwrap_used, unreachable_pub, reason = "tests only")]

#[path = "../../uschat-server/tests/real_servers/mariadb.rs"]
mod mariadb;

#[path = "real_server_sql/peer.rs"]
mod peer;
#[path = "real_server_sql/support.rs"]
mod support;

#[path = "real_server_sql"]
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
