use std::sync::Arc;

use uschat_pool::grpc::GrpcChannel;
use uschat_proto::{
    chat::UserId,
    grpc::peer::{self, peer_client::PeerClient},
};

use super::{
    BusError, LinkConfig, Outages, Peer, PeerBus, PeerEvent, event_wire,
    link::{Failure, Links, Speaker, Waiting},
};

/// The peer bus among servers of ours, over gRPC: one link, one queue and one task a peer, so that a peer that hangs holds
/// nobody else up.
#[derive(Debug)]
pub struct GrpcMesh {
    config: MeshConfig,
    links: Links<Event>,
}

type Event = (UserId, PeerEvent);

/// Who we are to our peers, and the bounds of a link.
#[derive(Debug, Clone)]
pub struct MeshConfig {
    /// This server's name.
    pub name: String,
    /// A random number of this start of the process.
    pub boot_id: u64,
    /// The bounds of each link.
    pub link: LinkConfig,
    /// Events in one call. Default 64.
    pub batch: usize,
    /// Bytes after which a call takes no further event; a peer refuses calls of more than 1 MiB. Default 512 KiB.
    pub batch_bytes: usize,
}

impl MeshConfig {
    /// The defaults for a server of this name and start.
    pub fn new(name: impl Into<String>, boot_id: u64) -> Self {
        Self { name: name.into(), boot_id, link: LinkConfig::default(), batch: 64, batch_bytes: 512 * 1024 }
    }
}

impl GrpcMesh {
    /// A mesh without links; each comes up with the first event for its peer. What is lost goes to `outages`.
    #[must_use]
    pub fn new(config: MeshConfig, outages: Arc<Outages>) -> Self {
        let links = Links::new(config.link.clone(), outages);
        Self { config, links }
    }

    /// Sends what waits, for as long as the deadline of a call, and stops.
    pub async fn stop(&self) {
        self.links.stop().await;
    }
}

impl PeerBus for GrpcMesh {
    fn send(&self, peer: Peer<'_>, to: UserId, event: PeerEvent) -> Result<(), BusError> {
        self.links.send(peer, (to, event), || BatchSpeaker { config: self.config.clone(), link_number: 0 })
    }
}

/// Speaks `uschat.peer.v1`: several events a call.
struct BatchSpeaker {
    config: MeshConfig,
    link_number: u64,
}

impl Speaker for BatchSpeaker {
    type Event = Event;
    type Request = peer::DeliverRequest;

    /// What waits, up to the bounds of a call.
    fn request(&mut self, (to, event): Event, waiting: &mut Waiting<Event>) -> (u64, Self::Request) {
        let mut bytes = event.size();
        let mut events = vec![event_wire::to_wire(to, event)];
        while events.len() < self.config.batch
            && bytes < self.config.batch_bytes
            && let Some((to, event)) = waiting.next_if(|_| true)
        {
            bytes += event.size();
            events.push(event_wire::to_wire(to, event));
        }
        self.link_number += 1;
        let request = peer::DeliverRequest {
            from_server: self.config.name.clone(),
            boot_id: self.config.boot_id,
            link_number: self.link_number,
            events,
        };
        (request.events.len() as u64, request)
    }

    async fn call(&self, channel: GrpcChannel, request: Self::Request) -> Result<(), Failure> {
        PeerClient::new(channel).deliver(request).await?;
        Ok(())
    }
}
