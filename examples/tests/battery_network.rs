//! N1, N2, P2, P3, P4, R2 and S1 of the battery: what bad networks and slow neighbours do.

#![allow(clippy::unwrap_used, unreachable_pub, reason = "tests only")]

mod battery_support;
#[path = "battery_network/counted.rs"]
#[allow(dead_code, reason = "shared with the other programs of the battery")]
mod counted;
#[path = "battery_network/cuts.rs"]
mod cuts;
#[path = "battery_network/installation.rs"]
mod installation;
#[path = "battery_network/outage.rs"]
mod outage;
#[path = "battery_network/pair.rs"]
mod pair;
#[path = "battery_network/partitions.rs"]
mod partitions;
#[path = "battery_network/slow_readers.rs"]
mod slow_readers;
mod support;
#[path = "battery_network/vanished_clients.rs"]
mod vanished_clients;
#[path = "battery_network/worlds.rs"]
mod worlds;
