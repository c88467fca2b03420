use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use tonic::{Request, Response, Status};
use uschat_proto::{
    chat::UserId,
    grpc::peer::{self, DeliverRequest, DeliverResponse, Outcome},
};

use super::{PeerEvent, event_wire};

/// Peers remembered, and the bytes of a name: both come from outside.
const PEERS: usize = 1_024;
const PEER_NAME: usize = 255;

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
    /// The start and the number of the last batch of each peer.
    links: Mutex<HashMap<String, (u64, u64)>>,
    on_gap: Box<dyn Fn() + Send + Sync>,
}

impl PeerService {
    /// Delivers to `local`; `boot_id` is a random number of this start of the process.
    pub fn new(boot_id: u64, local: Arc<dyn LocalDelivery>) -> Self {
        Self { boot_id, local, links: Mutex::default(), on_gap: Box::new(|| {}) }
    }

    /// Has `lost` called when a peer seems to have said something that did not arrive: the number of a batch does not follow
    /// that of the one before, or the peer was started again.
    #[must_use]
    pub fn on_gap(mut self, lost: impl Fn() + Send + Sync + 'static) -> Self {
        self.on_gap = Box::new(lost);
        self
    }

    /// Whether a batch follows the one before from the same peer.
    fn follows(&self, peer: &str, boot_id: u64, number: u64) -> bool {
        if peer.len() > PEER_NAME {
            return true;
        }
        let mut links = self.links.lock().unwrap_or_else(PoisonError::into_inner);
        if links.len() >= PEERS && !links.contains_key(peer) {
            links.clear();
        }
        let before = links.insert(peer.to_owned(), (boot_id, number));
        match before {
            Some(before) => before == (boot_id, number.wrapping_sub(1)),
            None => number == 1,
        }
    }
}

#[async_trait]
impl peer::peer_server::Peer for PeerService {
    async fn deliver(&self, request: Request<DeliverRequest>) -> Result<Response<DeliverResponse>, Status> {
        let DeliverRequest { from_server, boot_id, link_number, events } = request.into_inner();
        if !self.follows(&from_server, boot_id, link_number) {
            tracing::debug!(peer = from_server, link_number, "a peer said something that did not arrive");
            (self.on_gap)();
        }
        let outcomes = events
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

#[cfg(test)]
mod tests {
    use super::*;

    struct Nobody;

    impl LocalDelivery for Nobody {
        fn deliver(&self, _: UserId, _: PeerEvent) -> Delivered {
            Delivered::NotHere
        }
    }

    #[test]
    fn a_batch_that_does_not_follow_is_noticed() {
        let service = PeerService::new(1, Arc::new(Nobody));
        assert!(service.follows("one", 7, 1));
        assert!(service.follows("one", 7, 2));
        assert!(!service.follows("one", 7, 4));
        assert!(service.follows("one", 7, 5));
        // Started again; and one that was there before this server was.
        assert!(!service.follows("one", 8, 1));
        assert!(!service.follows("two", 7, 3));
        assert!((0..10_000).all(|number| service.follows(&format!("peer {number}"), 1, 1)));
        assert!(service.links.lock().unwrap().len() <= PEERS);
    }
}
