use std::time::Duration;

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
        }
    }
}
