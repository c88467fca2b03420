use std::sync::Arc;

use uschat_pool::grpc::GrpcChannel;
use uschat_proto::{chat::UserId, grpc};

use super::{
    BusError, LinkConfig, Loss, Outages, Peer, PeerBus, PeerEvent,
    link::{Failure, Links, Speaker, Waiting},
    original_wire::{self, Call, OriginalDialect, Texts},
};

/// The peer bus to original servers of one generation, over `message.ChatService`: as the mesh, one link, one queue and
/// one task a peer, and one call at a time.
///
/// The first season has no word for the end of a session: [`PeerEvent::Kick`] is refused with [`BusError::NotSpoken`], and a
/// session of the user there stays, as it does among originals.
#[derive(Debug)]
pub struct OriginalMesh {
    dialect: OriginalDialect,
    links: Links<Call>,
}

impl OriginalMesh {
    /// A bus without links; each comes up with the first event for its peer. What is lost goes to `outages`.
    #[must_use]
    pub fn new(dialect: OriginalDialect, config: LinkConfig, outages: Arc<Outages>) -> Self {
        Self { dialect, links: Links::new(config, outages) }
    }

    /// Sends what waits, for as long as the deadline of a call, and stops.
    pub async fn stop(&self) {
        self.links.stop().await;
    }
}

impl PeerBus for OriginalMesh {
    fn send(&self, peer: Peer<'_>, to: UserId, event: PeerEvent) -> Result<(), BusError> {
        let calls = original_wire::calls(self.dialect, to, event)?;
        calls.into_iter().try_for_each(|call| self.links.send(peer, call, || CallSpeaker))
    }
}

/// Speaks `message.ChatService`: an event a call, but texts that wait behind each other in one.
struct CallSpeaker;

impl Speaker for CallSpeaker {
    type Event = Call;
    type Request = Call;

    fn request(&mut self, mut call: Call, waiting: &mut Waiting<Call>) -> (u64, Call) {
        let mut events = 1;
        while let Some(next) = waiting.next_if(|next| call.takes(next)) {
            call.join(next);
            events += 1;
        }
        (events, call)
    }

    async fn call(&self, channel: GrpcChannel, call: Call) -> Result<(), Failure> {
        let mut first_season = grpc::s1::chat_service_client::ChatServiceClient::new(channel.clone());
        let mut client = grpc::m::chat_service_client::ChatServiceClient::new(channel);
        let error = match call {
            Call::Applied(request) => client.notify_add_friend(request).await?.into_inner().error,
            Call::Approved(request) => client.notify_auth_friend(request).await?.into_inner().error,
            Call::Texts { request: Texts::FirstSeason(request), .. } => {
                first_season.notify_text_chat_msg(request).await?.into_inner().error
            }
            Call::Texts { request: Texts::Later(request), .. } => {
                client.notify_text_chat_msg(request).await?.into_inner().error
            }
            Call::Kicked(request) => client.notify_kick_user(request).await?.into_inner().error,
        };
        match error {
            0 => Ok(()),
            error => Err(Failure { loss: Loss::Refused, cause: format!("it answered with error {error}") }),
        }
    }
}
