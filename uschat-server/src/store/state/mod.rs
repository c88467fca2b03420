//! What may be forgotten: codes, tokens, presence, the list of living servers, counters of limits, cached profiles.
//!
//! One small trait a concern; [`State`] is all of them, and what an adapter (memory, Redis) implements.

mod codes;
mod limits;
mod presence;
mod profiles;
mod servers;
mod tokens;

pub use codes::{CodeVerdict, Codes};
pub use limits::Limits;
pub use presence::{Holder, Presence, Taken};
pub use profiles::ProfileCache;
pub use servers::{ServerRecord, Servers};
pub use tokens::Tokens;

/// All of the state port.
pub trait State: Codes + Limits + Presence + ProfileCache + Servers + Tokens {}

impl<T: Codes + Limits + Presence + ProfileCache + Servers + Tokens> State for T {}
