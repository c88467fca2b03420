//! Every test here starts a `redis-server`.

mod failures;
mod keys;
mod open;
mod originals;
#[cfg(any(feature = "gate", feature = "verify"))]
mod outbox;
mod tls;

/// Every case of the suite on a server of its own.
mod state {
    use crate::redis::support::one_server as subject;
    state_suite!(subject, (flavor = "multi_thread", worker_threads = 2));
}

/// The same on three nodes, each with a third of the slots.
mod cluster {
    use crate::redis::support::a_cluster as subject;
    state_suite!(subject, (flavor = "multi_thread", worker_threads = 2));
}
