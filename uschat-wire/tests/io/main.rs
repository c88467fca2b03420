//! Frames over sockets: readers, writers and the codec.
#![allow(clippy::unwrap_used, unreachable_pub, reason = "tests only")]

mod sockets;

mod codec;
mod reader_batches;
mod reader_idle_memory;
mod send_from_many_threads;
mod send_is_cancel_safe;
mod writer_bounds;
mod writer_coalesces;
mod writer_errors;
mod writer_idle_memory;
