//! What each of the four servers runs with. Everything is decided here, nothing contradictory is left.

use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf, time::Duration};

use serde::{Deserialize, Serialize};
use uschat_server::chat::{OriginalDialect, OriginalPeer};

use super::{Backends, LogFormat, Named};

/// One server in a process of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerSettings {
    /// Which one.
    pub service: Service,
    /// What stands behind it.
    pub backends: Backends,
    /// Where its metrics and its health are served, if they are.
    pub metrics: Option<Named<SocketAddr>>,
    /// What it logs.
    pub log: LogSettings,
    /// How long ending may take.
    pub drain_deadline: Duration,
    /// Where to say that it accepts.
    pub ready_file: Option<PathBuf>,
}

/// Which server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Service {
    /// The HTTP gate.
    Gate(GateSettings),
    /// The verification server.
    Verify(VerifySettings),
    /// The status server.
    Status(StatusSettings),
    /// A chat server.
    Chat(ChatSettings),
}

impl Service {
    /// `gate`, `verify`, `status` or the name of the chat server.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Gate(_) => "gate",
            Self::Verify(_) => "verify",
            Self::Status(_) => "status",
            Self::Chat(chat) => &chat.name,
        }
    }
}

/// What is logged, and how.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogSettings {
    /// How lines look.
    pub format: LogFormat,
    /// Directives of tracing's filter.
    pub level: String,
}

/// The gate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GateSettings {
    /// HTTP.
    pub listen: Named<SocketAddr>,
    /// `host:port` of the verification server.
    pub verify: String,
    /// `host:port` of the status server.
    pub status: String,
    /// Whether `GET /dev/outbox` is served: it hands out codes.
    pub outbox: bool,
    /// Whether a right password that an original stored is replaced by its Argon2id hash.
    pub upgrade_passwords: bool,
    /// What the login reply says of the resource server, if not the chat server's host and port 9090.
    pub resource: Option<(String, u16)>,
}

/// The verification server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerifySettings {
    /// gRPC.
    pub listen: Named<SocketAddr>,
    /// How long a mailed code is good for.
    pub code_lifetime: Duration,
}

/// The status server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusSettings {
    /// gRPC.
    pub listen: Named<SocketAddr>,
    /// How long a login token is good for.
    pub token_lifetime: Duration,
    /// Host and port that clients of a chat server are told, by its name, in place of what it announces.
    pub client_addresses: BTreeMap<String, (String, u16)>,
}

/// A chat server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChatSettings {
    /// Its name in the cluster.
    pub name: String,
    /// TCP for clients.
    pub clients: Named<SocketAddr>,
    /// gRPC for peers.
    pub peers: Named<SocketAddr>,
    /// The host that clients are told to connect to.
    pub advertise: String,
    /// The host that peers are told to connect to; an IPv6 address in brackets.
    pub peer_host: String,
    /// Time between two frames to a client that may misread two at once; zero is none.
    pub pacing_gap: Duration,
    /// Peers that may be original servers.
    pub originals: Vec<Original>,
}

/// An original chat server in the same cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Original {
    /// Its name, which it writes to Redis.
    pub name: String,
    /// `host:port` of its gRPC.
    pub address: String,
    /// Whether it is of the later main line, and not of the first season.
    #[serde(default)]
    pub later: bool,
}

impl Original {
    /// As the chat service takes it.
    #[must_use]
    pub fn as_peer(&self) -> OriginalPeer {
        let dialect = if self.later { OriginalDialect::Later } else { OriginalDialect::FirstSeason };
        OriginalPeer { name: self.name.clone(), address: self.address.clone(), dialect }
    }
}
