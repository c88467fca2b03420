//! The chat service: handlers on a LogicSystem for clients, gRPC for peers. PROTOCOL.md, "The chat connection".
//!
//! One file a message family, each with its handler; `delivery/` brings what they have to say to users here and elsewhere.

mod app;
mod config;
mod delivery;
mod friend_apply;
mod friend_approve;
mod heads;
mod heartbeat;
mod history;
mod login;
mod original_peer;
mod originals;
mod originals_service;
mod peers;
mod presence;
mod search;
mod service;
mod sync;
mod text;
mod threads;
mod wire;

pub use crate::cluster::OriginalDialect;
pub use app::ChatStores;
pub use config::ChatConfig;
pub use original_peer::{OriginalPeer, OriginalPeerError};
pub use service::{Chat, ChatError};
