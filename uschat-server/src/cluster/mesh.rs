use std::time::Duration;

use dashmap::DashMap;
use tokio::{sync::mpsc, time::timeout};
use tokio_util::task::TaskTracker;
use uschat_pool::{
    Shared, SharedConfig,
    grpc::{GrpcConfig, GrpcManager},
};
use uschat_proto::{
    chat::UserId,
    grpc::peer::{self, peer_client::PeerClient},
};

use super::{BusError, PeerBus, PeerEvent, event_wire};
use crate::store::state::ServerRecord;

/// The peer bus over gRPC: one link, one queue and one task a peer, so that a peer that hangs holds nobody else up.
#[derive(Debug)]
pub struct GrpcMesh {
    config: MeshConfig,
    links: DashMap<String, Link>,
    tasks: TaskTracker,
}

/// Who we are to our peers, and the bounds of a link.
#[derive(Debug, Clone)]
pub struct MeshConfig {
    /// This server's name.
    pub name: String,
    /// A random number of this start of the process.
    pub boot_id: u64,
    /// Events that may wait for one peer. Default 4,096.
    pub queue: usize,
    /// Events in one call. Default 64.
    pub batch: usize,
    /// Bytes after which a call takes no further event; a peer refuses calls of more than 1 MiB. Default 512 KiB.
    pub batch_bytes: usize,
    /// How long a call may take, connecting included. Default 3 s.
    pub deadline: Duration,
}

impl MeshConfig {
    /// The defaults for a server of this name and start.
    pub fn new(name: impl Into<String>, boot_id: u64) -> Self {
        Self {
            name: name.into(),
            boot_id,
            queue: 4_096,
            batch: 64,
            batch_bytes: 512 * 1024,
            deadline: Duration::from_secs(3),
        }
    }
}

#[derive(Debug)]
struct Link {
    address: String,
    queue: mpsc::Sender<(UserId, PeerEvent)>,
}

impl GrpcMesh {
    /// A mesh without links; each comes up with the first event for its peer.
    #[must_use]
    pub fn new(config: MeshConfig) -> Self {
        Self { config, links: DashMap::new(), tasks: TaskTracker::new() }
    }

    /// Sends what waits and stops. Takes as long as the calls under way, each bounded by the deadline.
    pub async fn stop(&self) {
        self.links.clear();
        self.tasks.close();
        self.tasks.wait().await;
    }

    fn open(&self, peer: &ServerRecord) -> Result<Link, BusError> {
        let uri = format!("http://{}", peer.peer_address);
        let manager =
            GrpcManager::new(uri, &GrpcConfig { call_deadline: self.config.deadline, ..GrpcConfig::default() })
                .map_err(|_| BusError::BadAddress)?;
        let channels =
            Shared::new(format!("peer {}", peer.name), manager, SharedConfig { size: 1, ..SharedConfig::default() })
                .map_err(|_| BusError::BadAddress)?;
        let (queue, waiting) = mpsc::channel(self.config.queue);
        let link = LinkTask { peer: peer.name.clone(), config: self.config.clone(), channels, waiting, link_number: 0 };
        self.tasks.spawn(link.run());
        Ok(Link { address: peer.peer_address.clone(), queue })
    }
}

impl PeerBus for GrpcMesh {
    fn send(&self, peer: &ServerRecord, to: UserId, event: PeerEvent) -> Result<(), BusError> {
        if self.tasks.is_closed() {
            return Err(BusError::Stopped);
        }
        let queue = match self.links.get(&peer.name).filter(|link| link.address == peer.peer_address) {
            Some(link) => link.queue.clone(),
            None => {
                // A peer that came back elsewhere gets a new link; the old one ends when its queue is empty.
                let link = self.open(peer)?;
                let queue = link.queue.clone();
                self.links.insert(peer.name.clone(), link);
                queue
            }
        };
        queue.try_send((to, event)).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => BusError::Full,
            mpsc::error::TrySendError::Closed(_) => BusError::Stopped,
        })
    }
}

struct LinkTask {
    peer: String,
    config: MeshConfig,
    channels: Shared<GrpcManager>,
    waiting: mpsc::Receiver<(UserId, PeerEvent)>,
    link_number: u64,
}

impl LinkTask {
    async fn run(mut self) {
        while let Some(first) = self.waiting.recv().await {
            let events = self.batch(first);
            let lost = events.len() as u64;
            self.link_number += 1;
            let failure = match timeout(self.config.deadline, self.deliver(events)).await {
                Ok(Ok(())) => continue,
                Ok(Err(failure)) => failure,
                Err(_) => "no answer within the deadline".into(),
            };
            // Not sent again: the peer may have acted on it. What was said is in the store.
            metrics::counter!("uschat_peer_events_lost_total").increment(lost);
            tracing::warn!(peer = self.peer, lost, failure, "could not tell a peer");
        }
    }

    /// What waits, up to the bounds of a call.
    fn batch(&mut self, (to, event): (UserId, PeerEvent)) -> Vec<peer::Event> {
        let mut bytes = event.size();
        let mut events = vec![event_wire::to_wire(to, event)];
        while events.len() < self.config.batch
            && bytes < self.config.batch_bytes
            && let Ok((to, event)) = self.waiting.try_recv()
        {
            bytes += event.size();
            events.push(event_wire::to_wire(to, event));
        }
        events
    }

    async fn deliver(&self, events: Vec<peer::Event>) -> Result<(), String> {
        let channel = self.channels.handle().await.map_err(|error| error.to_string())?;
        let request = peer::DeliverRequest {
            from_server: self.config.name.clone(),
            boot_id: self.config.boot_id,
            link_number: self.link_number,
            events,
        };
        PeerClient::new((*channel).clone()).deliver(request).await.map_err(|status| status.to_string())?;
        Ok(())
    }
}
