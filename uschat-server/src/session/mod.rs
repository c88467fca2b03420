//! Sessions: one connection each, any `AsyncRead + AsyncWrite`.
//!
//! One task a session runs three things side by side: the [reader](reader) takes frames and runs their handlers one after
//! another, the [answers](answers) it deferred leave in order, and the [writer](writer) sends whatever waits in the
//! [outbound queue](outbound) in as few writes as possible. Every queue and every wait has a bound, kept in [`SessionConfig`].

mod answers;
mod close_reason;
mod config;
mod connection;
mod counters;
mod deadlines;
mod handle;
mod outbound;
mod reader;
mod registry;
mod server;
mod writer;

pub use close_reason::CloseReason;
pub use config::{Idle, Pacing, SessionConfig};
pub use handle::{PushError, Session, SessionId};
pub use outbound::Mergeable;
pub use registry::Sessions;
pub use server::Server;
