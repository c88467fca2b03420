//! The chat servers of a cluster among each other: who is alive, who holds which user, and how one tells another.
//!
//! What travels between them is a hint with a payload: it may be lost, doubled or late. The store decides what is true.
//! `link.rs` is a queue and a task for one peer; `mesh.rs` speaks with servers of ours over it, `original_mesh.rs` with
//! original ones.

mod bus;
mod event;
mod event_wire;
mod link;
mod members;
mod mesh;
mod original_mesh;
mod original_wire;
mod outages;
mod peer_service;

pub use bus::{BusError, Peer, PeerBus};
pub use event::PeerEvent;
pub use link::LinkConfig;
pub use members::Members;
pub use mesh::{GrpcMesh, MeshConfig};
pub use original_mesh::OriginalMesh;
pub use original_wire::OriginalDialect;
pub use outages::{Loss, Outages};
pub use peer_service::{Delivered, LocalDelivery, PeerService};
