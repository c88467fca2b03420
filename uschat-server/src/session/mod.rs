//! Sessions: one connection each, any `AsyncRead + AsyncWrite`.
//!
//! One task a session runs three things side by side: `reader.rs` takes frames and runs their handlers one after another,
//! `answers.rs` lets what they deferred leave in order, and `writer.rs` sends whatever waits in the queue of `outbound.rs` in
//! as few writes as possible; `confirmations.rs` knows what of it the peer has. `connection.rs` joins the three and sees to the end. Every queue and every wait has a bound,
//! kept in [`SessionConfig`].

mod answers;
mod close_reason;
mod config;
mod confirmations;
mod connection;
mod counters;
mod deadlines;
mod handle;
mod outbound;
mod output;
mod reader;
mod registry;
mod send_queue;
mod server;
mod writer;

pub use close_reason::CloseReason;
pub use config::{Idle, Pacing, SessionConfig};
pub use handle::{PushError, Session, SessionId};
pub use outbound::Mergeable;
pub use registry::Sessions;
pub use server::Server;
