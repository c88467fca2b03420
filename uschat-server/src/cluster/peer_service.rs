use std::sync::Arc;

use async_trait::async_trait;
use tonic::{Request, Response, Status};
use uschat_proto::{
    chat::UserId,
    grpc::peer::{self, DeliverRequest, DeliverResponse, Outcome},
};

use super::{PeerEvent, event_wire};

/// Where events from peers end: the sessions of this server.
pub trait LocalDelivery: Send + Sync + 'static {
    /// Tells the user if their session is here.
    fn deliver(&self, to: UserId, event: PeerEvent) -> Delivered;
}

/// What became of an event on the server it was sent to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivered {
    /// It waits to be written to the user's session.
    Pushed,
    /// The user has no session here.
    NotHere,
}

/// The receiving end of the mesh: `uschat.peer.v1.Peer`.
pub struct PeerService {
    boot_id: u64,
    local: Arc<dyn LocalDelivery>,
}

impl PeerService {
    /// Delivers to `local`; `boot_id` is a random number of this start of the process.
    pub fn new(boot_id: u64, local: Arc<dyn LocalDelivery>) -> Self {
        Self { boot_id, local }
    }
}

#[async_trait]
impl peer::peer_server::Peer for PeerService {
    async fn deliver(&self, request: Request<DeliverRequest>) -> Result<Response<DeliverResponse>, Status> {
        let outcomes = request
            .into_inner()
            .events
            .into_iter()
            .map(|event| {
                let outcome = match event_wire::from_wire(event) {
                    None => Outcome::Refused,
                    Some((to, event)) => match self.local.deliver(to, event) {
                        Delivered::Pushed => Outcome::Delivered,
                        Delivered::NotHere => Outcome::NotHere,
                    },
                };
                outcome.into()
            })
            .collect();
        Ok(Response::new(DeliverResponse { boot_id: self.boot_id, outcomes }))
    }
}

impl std::fmt::Debug for PeerService {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PeerService").field("boot_id", &self.boot_id).finish_non_exhaustive()
    }
}
