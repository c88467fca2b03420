//! A handler registry and sessions for framed protocols, and the UsChat services built on them.
#[cfg(feature = "cluster")]
mod accept;
#[cfg(feature = "chat")]
pub mod chat;
#[cfg(feature = "cluster")]
pub mod cluster;
#[cfg(any(feature = "gate", feature = "verify"))]
mod email;
#[cfg(feature = "gate")]
pub mod gate;
#[cfg(feature = "cluster")]
pub mod grpc_server;
#[cfg(any(feature = "gate", feature = "verify"))]
mod keyed_lock;
pub mod logic;
#[cfg(any(feature = "gate", feature = "verify"))]
pub mod mail;
#[cfg(any(feature = "chat", feature = "status"))]
mod secrets;
pub mod session;
#[cfg(feature = "status")]
pub mod status;
#[cfg(feature = "store")]
pub mod store;
pub mod testing;
#[cfg(feature = "verify")]
pub mod verify;

pub use bytes;
pub use logic::{Application, Context, LogicSystem, Reply};
pub use tokio_util::sync::CancellationToken;
pub use uschat_proto as proto;
pub use uschat_wire as wire;

/// What a protocol of one's own needs, in one line: `use uschat_server::prelude::*`.
pub mod prelude {
    pub use bytes::{Bytes, BytesMut};
    pub use tokio_util::sync::CancellationToken;
    pub use uschat_proto::{Encoding, ErrorCode, Json, Message, MessageId, PayloadError, Request};
    pub use uschat_wire::Frame;

    pub use crate::{
        logic::{Application, Context, LogicSystem, Reply},
        session::{CloseReason, Server, Session, SessionConfig, Sessions},
    };
}
