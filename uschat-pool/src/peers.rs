//! The shared connections of a server to each of its peers, by name.

use std::{
    collections::{HashMap, HashSet},
    error::Error,
    fmt,
    sync::{Arc, Mutex, PoisonError, RwLock},
};

use serde::{Deserialize, Serialize};

use crate::{ConfigError, Handle, Manager, PoolError, Shared, SharedConfig, SharedSnapshot, config};

/// One [`Shared`] for each peer, kept in step with a list of members.
///
/// A service discovery, or whoever knows the members, calls [`update`](Self::update) with all of them whenever something may
/// have changed. Peers that stay as they were keep their connections. Nothing is connected until somebody asks for a handle.
/// Clones are the same peers.
///
/// ```
/// # #[cfg(feature = "grpc")]
/// # fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use uschat_pool::{PeerPools, PeersConfig, grpc::{GrpcConfig, GrpcManager}};
///
/// let connect = |_name: &str, address: &str| GrpcManager::new(format!("http://{address}"), &GrpcConfig::default());
/// let peers = PeerPools::new("chat servers", PeersConfig::default(), connect)?;
///
/// peers.update([("chatserver1", "10.0.0.1:50055"), ("chatserver2", "10.0.0.2:50055")])?;
/// let changes = peers.update([("chatserver2", "10.0.0.2:50055"), ("chatserver3", "10.0.0.3:50055")])?;
/// assert_eq!(changes.added, ["chatserver3"]);
/// assert_eq!(changes.removed, ["chatserver1"]);
/// // peers.handle("chatserver2").await? is a channel to it.
/// # Ok(()) }
/// # #[cfg(feature = "grpc")]
/// # example().unwrap();
/// ```
pub struct PeerPools<M: Manager> {
    inner: Arc<Inner<M>>,
}

struct Inner<M: Manager> {
    name: Box<str>,
    config: PeersConfig,
    make: Box<Make<M>>,
    /// Replaced as a whole, so that nobody who looks a peer up waits for an update.
    peers: RwLock<Arc<Peers<M>>>,
    /// Held during an update: the last one to begin is the one that stays.
    updating: Mutex<()>,
}

type Make<M> = dyn Fn(&str, &str) -> Result<M, <M as Manager>::Error> + Send + Sync;
type Peers<M> = HashMap<String, Arc<Peer<M>>>;

struct Peer<M: Manager> {
    address: String,
    connections: Shared<M>,
}

/// The limits of [`PeerPools`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PeersConfig {
    /// Most peers at one time; a longer list is refused. Default 256, from 1 to 4,096.
    pub max_peers: usize,
    /// The limits of each peer's connections. As [`SharedConfig`], but one connection each by default.
    pub shared: SharedConfig,
}

impl Default for PeersConfig {
    fn default() -> Self {
        Self { max_peers: 256, shared: SharedConfig { size: 1, ..SharedConfig::default() } }
    }
}

impl PeersConfig {
    /// Checks every value against its range.
    ///
    /// # Errors
    /// Names the first field that is out of range.
    pub fn validate(&self) -> Result<(), ConfigError> {
        config::max_peers(self.max_peers)?;
        self.shared.validate()
    }
}

impl<M: Manager<Connection: Clone + Sync>> PeerPools<M> {
    /// No peers yet. `connect` makes the manager for a peer's name and address; it must not connect or block, and must not
    /// use these peers. `name` stands before the peer's own in logs and snapshots.
    ///
    /// # Errors
    /// Names the value of `config` that is out of range.
    pub fn new(
        name: impl Into<Box<str>>,
        config: PeersConfig,
        connect: impl Fn(&str, &str) -> Result<M, M::Error> + Send + Sync + 'static,
    ) -> Result<Self, ConfigError> {
        config.validate()?;
        let (peers, updating) = (RwLock::default(), Mutex::default());
        Ok(Self { inner: Arc::new(Inner { name: name.into(), config, make: Box::new(connect), peers, updating }) })
    }

    /// Takes over a list of all members, as pairs of a name and an address.
    ///
    /// A peer that is on the list with another address than before, and one that no longer is, has its old connections
    /// closed: calls under way end, later ones of those who hold on to the [`Shared`] get [`PoolError::Closed`]. An empty list
    /// closes them all. Updates that come at the same time are made one after the other. A peer for which no manager could be
    /// made is left out, and named among the changes; it is tried again with the next list.
    ///
    /// # Errors
    /// [`MembersError`] if the list is too long or names a peer twice; nothing is changed then.
    pub fn update<N: AsRef<str>, A: AsRef<str>>(
        &self,
        members: impl IntoIterator<Item = (N, A)>,
    ) -> Result<PeerChanges<M::Error>, MembersError> {
        let inner = &self.inner;
        let members: Vec<_> = members.into_iter().take(inner.config.max_peers.saturating_add(1)).collect();
        check(&members, inner.config.max_peers)?;

        let _updating = inner.updating.lock().unwrap_or_else(PoisonError::into_inner);
        let before = inner.peers();
        let mut after = Peers::with_capacity(members.len());
        let mut changes = PeerChanges { added: vec![], moved: vec![], removed: vec![], refused: vec![] };
        for (name, address) in &members {
            let (name, address) = (name.as_ref(), address.as_ref());
            let old = before.get(name);
            if let Some(old) = old.filter(|old| old.address == address) {
                after.insert(name.into(), Arc::clone(old));
                continue;
            }
            match inner.peer(name, address) {
                Ok(peer) => {
                    after.insert(name.into(), Arc::new(peer));
                    if old.is_some() { &mut changes.moved } else { &mut changes.added }.push(name.into());
                }
                Err(error) => changes.refused.push((name.into(), error)),
            }
        }
        changes.removed.extend(before.keys().filter(|&name| !after.contains_key(name)).cloned());
        let after = Arc::new(after);
        *inner.peers.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&after);

        // Only now, so that whoever is told "closed" finds what came in its place.
        for (name, old) in &*before {
            if after.get(name).is_none_or(|new| !Arc::ptr_eq(new, old)) {
                old.connections.close();
            }
        }
        Ok(changes)
    }

    /// Hands out a connection to a peer, as [`Shared::handle`] does. Cancel safe.
    ///
    /// # Errors
    /// [`PeerError::Unknown`] if it is not, or no longer, on the list of members.
    pub async fn handle(&self, name: &str) -> Result<Handle<M>, PeerError<M::Error>> {
        loop {
            let peer = self.inner.peers().get(name).cloned().ok_or_else(|| PeerError::Unknown { name: name.into() })?;
            match peer.connections.handle().await {
                // It moved, or went, after we looked: once more for every update.
                Err(PoolError::Closed) if !self.inner.is_current(name, &peer) => {}
                outcome => return outcome.map_err(PeerError::Pool),
            }
        }
    }

    /// The connections to a peer, if it is on the list of members. They are closed when the peer leaves or moves.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Shared<M>> {
        self.inner.peers().get(name).map(|peer| peer.connections.clone())
    }

    /// The peers, in no particular order.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        self.inner.peers().keys().cloned().collect()
    }

    /// Counts of every peer at this moment, in no particular order, for health pages and logs.
    #[must_use]
    pub fn snapshots(&self) -> Vec<SharedSnapshot> {
        self.inner.peers().values().map(|peer| peer.connections.snapshot()).collect()
    }
}

impl<M: Manager> Inner<M> {
    fn peers(&self) -> Arc<Peers<M>> {
        Arc::clone(&self.peers.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn is_current(&self, name: &str, peer: &Arc<Peer<M>>) -> bool {
        self.peers().get(name).is_some_and(|current| Arc::ptr_eq(current, peer))
    }
}

impl<M: Manager<Connection: Clone + Sync>> Inner<M> {
    fn peer(&self, name: &str, address: &str) -> Result<Peer<M>, M::Error> {
        let manager = (self.make)(name, address)?;
        let connections = Shared::new(format!("{} {name}", self.name), manager, self.config.shared.clone())
            .expect("the same limits were checked when these peers were made");
        Ok(Peer { address: address.into(), connections })
    }
}

fn check<N: AsRef<str>, A>(members: &[(N, A)], max: usize) -> Result<(), MembersError> {
    if members.len() > max {
        return Err(MembersError::TooMany { max });
    }
    let mut names = HashSet::with_capacity(members.len());
    match members.iter().map(|(name, _)| name.as_ref()).find(|&name| !names.insert(name)) {
        Some(name) => Err(MembersError::Twice { name: name.into() }),
        None => Ok(()),
    }
}

impl<M: Manager> Clone for PeerPools<M> {
    fn clone(&self) -> Self {
        Self { inner: Arc::clone(&self.inner) }
    }
}

impl<M: Manager<Connection: Clone + Sync>> fmt::Debug for PeerPools<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PeerPools").field(&self.snapshots()).finish()
    }
}

/// What an update changed.
#[derive(Debug)]
#[non_exhaustive]
pub struct PeerChanges<E> {
    /// Peers that were not there before.
    pub added: Vec<String>,
    /// Peers that have another address.
    pub moved: Vec<String>,
    /// Peers that are no longer there.
    pub removed: Vec<String>,
    /// Members that are not among the peers, because no manager could be made for them.
    pub refused: Vec<(String, E)>,
}

/// Why a list of members was refused. The list is at fault; a retry with the same one does not help.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MembersError {
    /// There are more members than the configuration allows.
    #[error("the list has more than {max} members")]
    TooMany {
        /// The configured limit.
        max: usize,
    },
    /// One name stands for two members.
    #[error("the list names {name:?} twice")]
    Twice {
        /// That name.
        name: String,
    },
}

/// Why there is no connection to a peer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PeerError<E: Error> {
    /// It is not on the list of members. A retry helps once it is.
    #[error("there is no peer named {name:?}")]
    Unknown {
        /// The name that was asked for.
        name: String,
    },
    /// It is, and could not be connected to in time. Whether a retry helps, the pool's error says.
    #[error(transparent)]
    Pool(PoolError<E>),
}
