//! The chat servers of a cluster among each other: who is alive, who holds which user, and how one tells another.
//!
//! What travels between them is a hint with a payload: it may be lost, doubled or late. The store decides what is true.

mod bus;
mod event;
mod event_wire;
mod members;
mod mesh;
mod peer_service;

pub use bus::{BusError, PeerBus};
pub use event::PeerEvent;
pub use members::Members;
pub use mesh::{GrpcMesh, MeshConfig};
pub use peer_service::{Delivered, LocalDelivery, PeerService};
