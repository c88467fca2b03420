use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use uschat_proto::chat::UserId;

use super::OriginalPeer;
use crate::{
    cluster::{
        BusError, GrpcMesh, LinkConfig, Loss, Members, MeshConfig, OriginalDialect, OriginalMesh, Outages, Peer,
        PeerBus, PeerEvent,
    },
    store::{StoreError, state::ServerRecord},
};

/// The other chat servers, ours and original ones, by name.
///
/// A name in both worlds is that of the living server of ours: it says so every few seconds, the configuration said so once.
pub(super) struct Peers {
    pub(super) members: Members,
    mesh: GrpcMesh,
    first_season: OriginalMesh,
    later: OriginalMesh,
    /// The originals by their names.
    originals: HashMap<String, OriginalPeer>,
    /// Originals whose name a server of ours was seen to have.
    clashes: Mutex<HashSet<String>>,
    outages: Arc<Outages>,
}

impl Peers {
    pub(super) fn new(members: Members, mesh: MeshConfig, originals: &[OriginalPeer]) -> Self {
        let outages = Arc::new(Outages::default());
        Self {
            members,
            first_season: OriginalMesh::new(OriginalDialect::FirstSeason, LinkConfig::default(), outages.clone()),
            later: OriginalMesh::new(OriginalDialect::Later, LinkConfig::default(), outages.clone()),
            mesh: GrpcMesh::new(mesh, outages.clone()),
            originals: originals.iter().map(|original| (original.name.clone(), original.clone())).collect(),
            clashes: Mutex::default(),
            outages,
        }
    }

    /// Tells the server of this name. Never waits for it, only for the state to say where it is.
    pub(super) async fn tell(&self, server: &str, to: UserId, event: PeerEvent) {
        let found = self.members.server(server).await;
        let original = self.originals.get(server);
        match (found, original) {
            (Ok(Some(ours)), original) => {
                if original.is_some() {
                    self.note_clash(server);
                }
                self.send_to(&ours, to, event);
            }
            // A server of ours that we cannot ask about would take what an original says for something new.
            (Err(error), Some(_)) if self.clashes().contains(server) => self.not_found(server, Err(error)),
            (_, Some(OriginalPeer { address, dialect, .. })) => {
                let mesh = match dialect {
                    OriginalDialect::FirstSeason => &self.first_season,
                    OriginalDialect::Later => &self.later,
                };
                let sent = mesh.send(Peer { name: server, address }, to, event);
                self.note(server, sent);
            }
            (found, None) => self.not_found(server, found),
        }
    }

    /// Tells the server of this name if it is one of ours.
    pub(super) async fn tell_ours(&self, server: &str, to: UserId, event: PeerEvent) {
        match self.members.server(server).await {
            Ok(Some(ours)) => self.send_to(&ours, to, event),
            found => self.not_found(server, found),
        }
    }

    /// Sends what waits, for as long as the deadline of a call, and stops.
    pub(super) async fn stop(&self) {
        tokio::join!(self.mesh.stop(), self.first_season.stop(), self.later.stop());
    }

    fn send_to(&self, ours: &ServerRecord, to: UserId, event: PeerEvent) {
        let peer = Peer { name: &ours.name, address: &ours.peer_address };
        self.note(peer.name, self.mesh.send(peer, to, event));
    }

    fn note(&self, server: &str, sent: Result<(), BusError>) {
        let Err(error) = sent else { return };
        let loss = match error {
            BusError::Full => Loss::QueueFull,
            BusError::Stopped => Loss::Stopping,
            BusError::BadAddress => Loss::Unreachable,
            BusError::TooLong => Loss::TooLong,
            BusError::NotSpoken => {
                // Nothing failed: originals do not end each other's sessions either.
                tracing::debug!(peer = server, "an original server cannot be told of this");
                return;
            }
        };
        self.outages.lost(server, 1, loss, &error);
    }

    fn not_found(&self, server: &str, found: Result<Option<ServerRecord>, StoreError>) {
        match found {
            Ok(_) => self.outages.lost(server, 1, Loss::UnknownPeer, &"no living server and no original has this name"),
            Err(error) => self.outages.lost(server, 1, Loss::UnknownPeer, &error),
        }
    }

    fn note_clash(&self, server: &str) {
        if self.clashes().insert(server.to_owned()) {
            tracing::warn!(
                peer = server,
                "a chat server listed as an original is a living one of ours, and told as such; if there are two of this \
                 name, users of the original miss what they should be told: rename one"
            );
        }
    }

    fn clashes(&self) -> MutexGuard<'_, HashSet<String>> {
        self.clashes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
