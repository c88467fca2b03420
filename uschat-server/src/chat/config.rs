use std::time::Duration;

use super::OriginalPeer;
use crate::session::{Pacing, SessionConfig};

/// Who a chat server is, and its bounds.
#[derive(Debug, Clone)]
pub struct ChatConfig {
    /// Its name in the cluster, unique.
    pub name: String,
    /// The host that clients are told to connect to.
    pub client_host: String,
    /// The port that clients are told; `None` means that of the listener.
    pub client_port: Option<u16>,
    /// The host that peers are told to connect to; an IPv6 address in brackets.
    pub peer_host: String,
    /// The bounds of sessions. Default: as [`SessionConfig`], paced with 20 ms for clients that do not say that they read
    /// several frames from one segment.
    pub session: SessionConfig,
    /// How often the server says that it is alive, and renews the leases of its users. Default 2 s.
    pub heartbeat: Duration,
    /// How long it counts as alive, and its users as online, without doing so. Default 10 s.
    pub lease: Duration,
    /// Original chat servers of the first season in the same cluster. Default none.
    ///
    /// What a user on one of them is to be told goes to it over `message.ChatService`: PROTOCOL.md, "Beside original
    /// servers". Names must differ from each other's and from those of our servers: one that equals this server's is refused
    /// by [`Chat::new`](super::Chat::new); of another living server of ours with the same name, that server counts, and a
    /// warning is logged once.
    pub originals: Vec<OriginalPeer>,
}

impl ChatConfig {
    /// The defaults for a server of this name that clients and peers reach at `host`.
    pub fn new(name: impl Into<String>, host: impl Into<String>) -> Self {
        let host = host.into();
        Self {
            name: name.into(),
            client_host: host.clone(),
            client_port: None,
            peer_host: host,
            session: SessionConfig { pacing: Pacing::Gap(Duration::from_millis(20)), ..SessionConfig::default() },
            heartbeat: Duration::from_secs(2),
            lease: Duration::from_secs(10),
            originals: Vec::new(),
        }
    }
}
