//! Brings events to users: `route.rs` to the server that holds them, `local.rs` to their session here; `hints.rs` does so
//! for texts behind the back of whoever stored them.
//!
//! Texts take a way of their own, because a session is told those of a conversation in the order of their numbers and
//! without gaps, and the store decides what these are. Without I/O: `conversation.rs` and `ledger.rs` keep what a session
//! was told, `agenda.rs` what to ask the store. Around it `texts.rs` pushes what comes next, `fill.rs` reads what is
//! missing, `opening.rs` says when a new session may be told at all, `sync.rs` takes what a client says it has, `marks.rs`
//! and `progress.rs` see to what has arrived.

mod agenda;
mod conversation;
mod fill;
mod hints;
mod ledger;
mod local;
mod marks;
mod opening;
mod progress;
mod route;
mod shown;
mod sync;
mod text_push;
mod texts;

pub(super) use local::{LocalSessions, replace};
pub(super) use progress::ProgressKeeper;
pub(super) use route::Delivery;
pub(super) use texts::{SessionTexts, TextDelivery};
