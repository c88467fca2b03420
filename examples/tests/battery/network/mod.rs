//! N1, N2, P2, P3, P4, R2 and S1 of the battery: what bad networks and slow neighbours do.

pub(crate) mod counted;
mod cuts;
mod installation;
mod outage;
mod pair;
mod partitions;
mod slow_readers;
mod vanished_clients;
mod worlds;
