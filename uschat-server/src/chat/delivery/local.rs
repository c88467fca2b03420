use uschat_proto::{
    ErrorCode, Message,
    chat::{AddFriendNotice, ApproveFriendNotice, KickNotice, Profile, UserId},
};
use uschat_wire::Frame;

use super::TextDelivery;
use crate::{
    chat::{app::ChatApp, wire},
    cluster::{Delivered, LocalDelivery, PeerEvent},
    session::{Session, Sessions},
    store::StoredText,
};

/// The sessions of this server as the end of events, whoever they come from.
pub(in crate::chat) struct LocalSessions {
    pub(in crate::chat) sessions: Sessions<ChatApp>,
    pub(in crate::chat) texts: TextDelivery,
}

impl LocalDelivery for LocalSessions {
    fn deliver(&self, to: UserId, event: PeerEvent) -> Delivered {
        let Some(session) = self.sessions.of(&to) else { return Delivered::NotHere };
        let pushed = match event {
            PeerEvent::Kick { fence } => {
                if session.state().fence() < fence {
                    replace(&self.sessions, &session);
                }
                true
            }
            PeerEvent::Texts { thread, texts, .. } => {
                self.texts.hint(&session, thread, texts);
                true
            }
            PeerEvent::FriendApplied { applicant, introduction } => push_application(&session, applicant, introduction),
            PeerEvent::FriendApproved { approver, texts } => self.push_approval(&session, to, approver, texts),
        };
        if pushed { Delivered::Pushed } else { Delivered::NotHere }
    }
}

impl LocalSessions {
    fn push_approval(&self, session: &Session<ChatApp>, to: UserId, approver: Profile, texts: Vec<StoredText>) -> bool {
        let notice = ApproveFriendNotice {
            error: ErrorCode::SUCCESS,
            approver: approver.uid,
            applicant: to,
            name: approver.name,
            nick: approver.nick,
            icon: approver.icon,
            sex: approver.sex,
            chat_datas: texts.iter().cloned().map(wire::greeting).collect(),
        };
        let pushed = session.push(&notice).is_ok();
        if pushed {
            session.state().texts.introduce(texts.first().map(|first| first.thread));
            self.texts.show(session, &texts);
            session.state().texts.mark_rest(session);
        }
        pushed
    }
}

fn push_application(session: &Session<ChatApp>, applicant: Profile, introduction: String) -> bool {
    let notice = AddFriendNotice {
        error: ErrorCode::SUCCESS,
        applicant: applicant.uid,
        name: if introduction.is_empty() { applicant.name } else { introduction.clone() },
        desc: introduction,
        icon: applicant.icon,
        sex: applicant.sex,
        nick: applicant.nick,
    };
    session.push(&notice).is_ok()
}

/// Ends a session whose user logged in elsewhere: out of routing first, then told, then closed.
pub(in crate::chat) fn replace(sessions: &Sessions<ChatApp>, session: &Session<ChatApp>) {
    let Some(uid) = session.user() else { return };
    sessions.leave(session);
    let notice = KickNotice { error: ErrorCode::SUCCESS, uid: *uid };
    if let Ok(body) = notice.to_body() {
        session.replace(Frame::new(KickNotice::ID.0, body));
    }
}
