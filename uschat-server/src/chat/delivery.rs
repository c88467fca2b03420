use std::sync::Arc;

use uschat_proto::{
    ErrorCode, Message,
    chat::{AddFriendNotice, ApproveFriendNotice, KickNotice, UserId},
};
use uschat_wire::Frame;

use super::{app::ChatApp, text_push::TextPush, wire};
use crate::{
    cluster::{Delivered, LocalDelivery, Members, PeerBus, PeerEvent},
    session::{PushError, Session, Sessions},
};

/// Brings events to users: to their session here, or over the bus to the server that holds it.
pub(super) struct Delivery {
    pub(super) name: String,
    pub(super) members: Members,
    pub(super) bus: Arc<dyn PeerBus>,
}

/// The sessions of this server as the end of events, whoever they come from.
pub(super) struct LocalSessions(pub(super) Sessions<ChatApp>);

impl Delivery {
    /// Tells a user, wherever they are; whoever is offline finds it in the store. Never waits for a peer, only for the
    /// state to say who holds the user.
    pub(super) async fn tell(&self, sessions: &Sessions<ChatApp>, to: UserId, event: PeerEvent) {
        let holder = match self.members.holder(to).await {
            Ok(Some(holder)) => holder,
            Ok(None) => return,
            Err(error) => {
                tracing::warn!(%to, %error, "cannot ask who holds a user; looking here only");
                LocalSessions(sessions.clone()).deliver(to, event);
                return;
            }
        };
        if holder.server == self.name {
            LocalSessions(sessions.clone()).deliver(to, event);
        } else {
            self.tell_peer(&holder.server, to, event).await;
        }
    }

    /// Tells the server of this name.
    pub(super) async fn tell_peer(&self, server: &str, to: UserId, event: PeerEvent) {
        let sent = match self.members.server(server).await {
            Ok(Some(peer)) => self.bus.send(&peer, to, event).map_err(|error| error.to_string()),
            Ok(None) => Err("no living server has this name".into()),
            Err(error) => Err(error.to_string()),
        };
        if let Err(error) = sent {
            metrics::counter!("uschat_peer_events_lost_total").increment(1);
            tracing::warn!(peer = server, %to, error, "cannot tell a peer");
        }
    }
}

impl LocalDelivery for LocalSessions {
    fn deliver(&self, to: UserId, event: PeerEvent) -> Delivered {
        let Some(session) = self.0.of(&to) else { return Delivered::NotHere };
        if let PeerEvent::Kick { fence } = event {
            if session.state().fence() < fence {
                self.replace(&session);
            }
            return Delivered::Pushed;
        }
        match push(&session, to, event) {
            Ok(()) => Delivered::Pushed,
            Err(_) => Delivered::NotHere,
        }
    }
}

impl LocalSessions {
    /// Ends a session whose user logged in elsewhere: out of routing first, then told, then closed.
    pub(super) fn replace(&self, session: &Session<ChatApp>) {
        let Some(uid) = session.user() else { return };
        self.0.leave(session);
        let notice = KickNotice { error: ErrorCode::SUCCESS, uid: *uid };
        if let Ok(body) = notice.to_body() {
            session.replace(Frame::new(KickNotice::ID.0, body));
        }
    }
}

fn push(session: &Session<ChatApp>, to: UserId, event: PeerEvent) -> Result<(), PushError> {
    match event {
        PeerEvent::FriendApplied { applicant, introduction } => session.push(&AddFriendNotice {
            error: ErrorCode::SUCCESS,
            applicant: applicant.uid,
            name: if introduction.is_empty() { applicant.name } else { introduction.clone() },
            desc: introduction,
            icon: applicant.icon,
            sex: applicant.sex,
            nick: applicant.nick,
        }),
        PeerEvent::FriendApproved { approver, texts } => session.push(&ApproveFriendNotice {
            error: ErrorCode::SUCCESS,
            approver: approver.uid,
            applicant: to,
            name: approver.name,
            nick: approver.nick,
            icon: approver.icon,
            sex: approver.sex,
            chat_datas: texts.into_iter().map(wire::greeting).collect(),
        }),
        PeerEvent::Texts { sender, thread, texts } => {
            session.push_mergeable(TextPush { sender, receiver: to, thread, texts, arrays: session.state().arrays() })
        }
        // Handled before: it is no push but an end.
        PeerEvent::Kick { .. } => Ok(()),
    }
}
