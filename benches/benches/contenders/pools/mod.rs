//! The pools that the targets `pools` and `ratios` compare, by what is in them. Apart from the codecs, whose targets need
//! none of the drivers.
//!
//! A client is made on the runtime that is current, and makes its connections there when it is first used.

#![allow(dead_code, reason = "each target uses a part of it")]

pub(crate) mod grpc;
pub(crate) mod grpc_server;
pub(crate) mod load;
pub(crate) mod no_op;
pub(crate) mod recorder;
pub(crate) mod redis;
pub(crate) mod sql;

use tokio::runtime::{Builder, Runtime};

/// The runtime of the clients: two threads, as many as the machine of the recorded figures has cores.
pub(crate) fn runtime() -> Runtime {
    Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime")
}
