use std::time::Duration;

use uschat_proto::chat;

/// The bounds of one [`Chat`](crate::Chat): every queue and every wait has one here.
///
/// Start from the default and change what you need:
///
/// ```
/// use std::time::Duration;
/// use uschat_client::ChatConfig;
///
/// let mut config = ChatConfig::default();
/// config.client = "weather-bot/1.2".into();
/// config.request_deadline = Duration::from_secs(3);
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ChatConfig {
    /// What the login tells the server about this program. Default `uschat-client/VERSION`.
    pub client: String,
    /// How long opening the TCP connection may take, the look-up of the host name included. Default 3 s.
    pub connect_deadline: Duration,
    /// How long the login (1005 to 1006, and the rest of a long friend list) may take. Default 10 s.
    pub login_deadline: Duration,
    /// How long a call may take, from the first wait for room in the queue to its answer. Default 10 s.
    pub request_deadline: Duration,
    /// How long [`Chat::close`](crate::Chat::close) waits for the answers to calls in flight. Default 5 s.
    pub close_deadline: Duration,
    /// How often a heartbeat is sent. When two in a row passed and the server said nothing at all, the connection counts
    /// as lost. Default 10 s, what the Qt clients use (PROTOCOL.md, "Heartbeat"); zero means 1 ms.
    pub heartbeat_interval: Duration,
    /// Requests that may wait for the connection task; further callers wait. Default 256, at least 1.
    pub command_capacity: usize,
    /// Requests sent and not yet answered; further ones wait in the queue. Default 1024, at least 1.
    pub max_in_flight: usize,
    /// Events that may wait for the application. When it is full, the connection stops reading until the application
    /// takes some: nothing is dropped, but answers behind them wait too. Default 256, at least 1.
    pub event_capacity: usize,
    /// The longest request body in bytes. Longer ones are refused here, because a server cuts the connection of a client
    /// that sends them. Default 32,767, what our servers accept; the original C++ servers accept 2048 (PROTOCOL.md).
    pub max_request_body: usize,
    /// Whether the session says by 3003 where it goes on.
    pub(crate) sync: bool,
}

impl Default for ChatConfig {
    fn default() -> Self {
        Self {
            client: concat!("uschat-client/", env!("CARGO_PKG_VERSION")).into(),
            connect_deadline: Duration::from_secs(3),
            login_deadline: Duration::from_secs(10),
            request_deadline: Duration::from_secs(10),
            close_deadline: Duration::from_secs(5),
            heartbeat_interval: Duration::from_secs(10),
            command_capacity: 256,
            max_in_flight: 1024,
            event_capacity: 256,
            max_request_body: uschat_wire::Limits::default().max_body_len(),
            sync: false,
        }
    }
}

/// What the login declares: several frames in one segment are fine, and one of the two text arrays is enough.
pub(crate) fn declared_features(config: &ChatConfig) -> Vec<String> {
    let mut features = vec![chat::features::COALESCED.into(), chat::features::CHAT_DATAS.into()];
    if config.sync {
        features.push(chat::features::SYNC.into());
    }
    features
}
