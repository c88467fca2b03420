//! What the example binaries share: options, logging, metrics, signals, and the assembly of a whole installation.
//!
//! The libraries install nothing global and read no file; this package does both, and is the place to look at when
//! putting the crates together in another way. The binaries themselves are thin:
//!
//! ```text
//! cargo run --release --bin topology -- --help
//! ```

#![forbid(unsafe_code)]

pub mod chaos;
pub mod config;
pub mod crypto;
pub mod data_lock;
pub mod load;
pub mod logging;
pub mod oracle;
pub mod ready_file;
pub mod server;
pub mod signals;
mod start_error;
pub mod topology;

pub use start_error::StartError;
