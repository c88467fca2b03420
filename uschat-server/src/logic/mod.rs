//! The LogicSystem: typed handlers found by the id of a frame.
//!
//! It has no I/O of its own: [`session`](crate::session) brings frames and takes answers away. A handler is a plain async
//! function of a [`Context`] and a request; the request's type says under which id it arrives and what answers it.
//!
//! The histogram `uschat_handler_seconds`, labelled by message id, holds how long handlers take until they return, what they
//! defer not included; `uschat_handler_panics_total` counts those that panic. A recorder must be installed before handlers
//! are registered; without one nothing is measured.

mod application;
mod builder;
mod context;
mod dispatch;
mod latency;
mod reply;

pub use application::Application;
pub use builder::{BuildError, LogicBuilder};
pub use context::{Context, LogInError};
pub(crate) use dispatch::catch_panic;
pub use dispatch::{Answer, LogicSystem, Outcome};
pub use reply::Reply;
