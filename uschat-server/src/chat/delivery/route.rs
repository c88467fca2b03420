use uschat_proto::chat::UserId;

use super::{LocalSessions, TextDelivery};
use crate::{
    chat::{app::ChatApp, peers::Peers},
    cluster::{LocalDelivery, PeerEvent},
    session::Sessions,
};

/// Brings events to users: to their session here, or to the server that holds it.
pub(in crate::chat) struct Delivery {
    pub(in crate::chat) name: String,
    pub(in crate::chat) peers: Peers,
    pub(in crate::chat) texts: TextDelivery,
}

impl Delivery {
    /// Tells a user, wherever they are; whoever is offline finds it in the store. Never waits for a peer, only for the
    /// state to say who holds the user.
    pub(in crate::chat) async fn tell(&self, sessions: &Sessions<ChatApp>, to: UserId, event: PeerEvent) {
        let holder = match self.peers.members.holder(to).await {
            Ok(Some(holder)) => holder,
            Ok(None) => return,
            Err(error) => {
                tracing::warn!(%to, %error, "cannot ask who holds a user; looking here only");
                self.tell_session(sessions, to, event);
                return;
            }
        };
        if holder.server == self.name {
            self.tell_session(sessions, to, event);
        } else {
            self.peers.tell(&holder.server, to, event).await;
        }
    }

    /// Tells a user of whom a peer said that they are here. Whoever has moved meanwhile is told over our mesh: a server of
    /// ours passes nothing on, and an original is not told what an original said, so an event goes one hop at most.
    pub(in crate::chat) async fn tell_here(&self, sessions: &Sessions<ChatApp>, to: UserId, event: PeerEvent) {
        if sessions.of(&to).is_some() {
            self.tell_session(sessions, to, event);
            return;
        }
        match self.peers.members.holder(to).await {
            Ok(Some(holder)) if holder.server != self.name => {
                self.peers.tell_ours(&holder.server, to, event).await;
            }
            // Offline, or about to log in here: the store has it.
            Ok(_) => {}
            Err(error) => tracing::warn!(%to, %error, "cannot ask who holds a user that is not here"),
        }
    }

    fn tell_session(&self, sessions: &Sessions<ChatApp>, to: UserId, event: PeerEvent) {
        LocalSessions { sessions: sessions.clone(), texts: self.texts.clone() }.deliver(to, event);
    }
}
