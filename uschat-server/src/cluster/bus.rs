use uschat_proto::chat::UserId;

use super::PeerEvent;

/// How a chat server tells another. Events to one peer arrive in the order of the calls, those that arrive.
///
/// One adapter a dialect: [`GrpcMesh`](super::GrpcMesh) for servers of ours, [`OriginalMesh`](super::OriginalMesh) for
/// original ones.
pub trait PeerBus: Send + Sync + 'static {
    /// Hands an event over and returns at once: a slow, unknown or dead peer never holds a handler up.
    ///
    /// # Errors
    /// When the event is not on its way. That it is on its way does not mean that it arrives.
    fn send(&self, peer: Peer<'_>, to: UserId, event: PeerEvent) -> Result<(), BusError>;
}

/// Another chat server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer<'a> {
    /// Its name in the cluster.
    pub name: &'a str,
    /// `host:port` where it serves gRPC; an IPv6 address in brackets.
    pub address: &'a str,
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
    /// The peer could not bear the length of a text.
    #[error("the peer cannot take a text of this length")]
    TooLong,
    /// The peer's dialect has no words for such an event.
    #[error("the peer's dialect has no words for this event")]
    NotSpoken,
}
