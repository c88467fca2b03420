use std::ops::RangeInclusive;
use std::time::Duration;

use crate::config::ChatConfig;

/// The bounds of a [`Messenger`](super::Messenger).
///
/// ```
/// use std::time::Duration;
/// use uschat_client::MessengerConfig;
///
/// let mut config = MessengerConfig::default();
/// config.chat.client = "weather-bot/1.2".into();
/// config.send_deadline = Some(Duration::from_secs(60));
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct MessengerConfig {
    /// The bounds of each session. [`ChatConfig::request_deadline`] is also how long a text may wait for its
    /// acknowledgement before the session counts as lost, and [`ChatConfig::close_deadline`] how long
    /// [`Messenger::close`](super::Messenger::close) waits.
    pub chat: ChatConfig,
    /// The first and the longest pause before a connection attempt. Pauses double, and half of each is left to chance.
    /// Default 100 ms to 5 s.
    pub backoff: RangeInclusive<Duration>,
    /// Texts not yet acknowledged; who submits more waits. Default 1,024, at least 64, the most one request carries.
    pub outgoing: usize,
    /// What may wait for the application. When it is full, the connection stops reading until the application takes some.
    /// Default 256, at least 1.
    pub incoming: usize,
    /// Texts that came before the one with the number before theirs, all conversations together. One more costs the
    /// session, and they come again. Default 1,024, at least 1.
    pub held_back: usize,
    /// How long they may wait for it before the session counts as lost. Default 5 s.
    pub gap_deadline: Duration,
    /// How long a text may try to get through, reconnects included; `None`, the default: as long as the messenger lives.
    pub send_deadline: Option<Duration>,
}

impl Default for MessengerConfig {
    fn default() -> Self {
        Self {
            chat: ChatConfig::default(),
            backoff: Duration::from_millis(100)..=Duration::from_secs(5),
            outgoing: 1024,
            incoming: 256,
            held_back: 1024,
            gap_deadline: Duration::from_secs(5),
            send_deadline: None,
        }
    }
}
