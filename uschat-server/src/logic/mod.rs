//! The LogicSystem: typed handlers found by the id of a frame.
//!
//! It has no I/O of its own: [`session`](crate::session) brings frames and takes answers away. A handler is a plain async
//! function of a [`Context`] and a request; the request's type says under which id it arrives and what answers it.

mod application;
mod builder;
mod context;
mod dispatch;
mod reply;

pub use application::Application;
pub use builder::{BuildError, LogicBuilder};
pub use context::{Context, LogInError};
pub(crate) use dispatch::catch_panic;
pub use dispatch::{Answer, LogicSystem, Outcome};
pub use reply::Reply;
