use uschat_proto::chat::UserId;

use super::PeerEvent;
use crate::store::state::ServerRecord;

/// How a chat server tells another. Events to one peer arrive in the order of the calls, those that arrive.
pub trait PeerBus: Send + Sync + 'static {
    /// Hands an event over and returns at once: a slow, unknown or dead peer never holds a handler up.
    ///
    /// # Errors
    /// When the event is not on its way. That it is on its way does not mean that it arrives.
    fn send(&self, peer: &ServerRecord, to: UserId, event: PeerEvent) -> Result<(), BusError>;
}

/// Why an event is not on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BusError {
    /// Too much waits for this peer already.
    #[error("too many events are waiting for the peer")]
    Full,
    /// The bus has stopped.
    #[error("the bus has stopped")]
    Stopped,
    /// The peer's address makes no sense.
    #[error("the peer's address is unusable")]
    BadAddress,
}
