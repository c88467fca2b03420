use uschat_proto::{
    ErrorCode, Message,
    chat::{AddFriendNotice, ApproveFriendNotice, KickNotice, UserId},
};
use uschat_wire::Frame;

use super::{app::ChatApp, peers::Peers, text_push::TextPush, wire};
use crate::{
    cluster::{Delivered, LocalDelivery, PeerEvent},
    session::{PushError, Session, Sessions},
};

/// Brings events to users: to their session here, or to the server that holds it.
pub(super) struct Delivery {
    pub(super) name: String,
    pub(super) peers: Peers,
}

/// The sessions of this server as the end of events, whoever they come from.
pub(super) struct LocalSessions(pub(super) Sessions<ChatApp>);

impl Delivery {
    /// Tells a user, wherever they are; whoever is offline finds it in the store. Never waits for a peer, only for the
    /// state to say who holds the user.
    pub(super) async fn tell(&self, sessions: &Sessions<ChatApp>, to: UserId, event: PeerEvent) {
        let holder = match self.peers.members.holder(to).await {
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
            self.peers.tell(&holder.server, to, event).await;
        }
    }

    /// Tells a user of whom a peer said that they are here. Whoever has moved meanwhile is told over our mesh: a server of
    /// ours passes nothing on, and an original is not told what an original said, so an event goes one hop at most.
    pub(super) async fn tell_here(&self, sessions: &Sessions<ChatApp>, to: UserId, event: PeerEvent) {
        if sessions.of(&to).is_some() {
            LocalSessions(sessions.clone()).deliver(to, event);
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
