//! [`PeerEvent`] as `uschat.peer.v1` writes it. PROTOCOL.md, "Between our servers".

use uschat_proto::{
    chat::{MessageKey, Profile, ThreadId, UserId},
    grpc::peer::{self, event::Kind},
};

use super::PeerEvent;
use crate::store::StoredText;

/// What the wire calls "read or delivered"; every stored text has it.
const DELIVERED: i32 = 2;

pub(super) fn to_wire(to: UserId, event: PeerEvent) -> peer::Event {
    let kind = match event {
        PeerEvent::FriendApplied { applicant, introduction } => Kind::Applied(peer::FriendApplied {
            from_uid: applicant.uid.0,
            name: applicant.name,
            introduction,
            nick: applicant.nick,
            icon: applicant.icon,
            sex: applicant.sex,
        }),
        PeerEvent::FriendApproved { approver, texts } => Kind::Approved(peer::FriendApproved {
            approver_uid: approver.uid.0,
            name: approver.name,
            nick: approver.nick,
            icon: approver.icon,
            sex: approver.sex,
            texts: texts.into_iter().map(text_to_wire).collect(),
        }),
        PeerEvent::Texts { sender, texts, .. } => {
            Kind::Texts(peer::Texts { from_uid: sender.0, texts: texts.into_iter().map(text_to_wire).collect() })
        }
        PeerEvent::Kick { fence } => Kind::Kick(peer::Kick { fence }),
    };
    peer::Event { to_uid: to.0, kind: Some(kind) }
}

/// `None` where a later version says something this one does not know, or leaves out what must be there.
pub(super) fn from_wire(event: peer::Event) -> Option<(UserId, PeerEvent)> {
    let event_for = UserId(event.to_uid);
    let event = match event.kind? {
        Kind::Applied(applied) => PeerEvent::FriendApplied {
            applicant: Profile {
                uid: UserId(applied.from_uid),
                name: applied.name,
                nick: applied.nick,
                icon: applied.icon,
                sex: applied.sex,
                desc: String::new(),
            },
            introduction: applied.introduction,
        },
        Kind::Approved(approved) if !approved.texts.is_empty() => PeerEvent::FriendApproved {
            approver: Profile {
                uid: UserId(approved.approver_uid),
                name: approved.name,
                nick: approved.nick,
                icon: approved.icon,
                sex: approved.sex,
                desc: String::new(),
            },
            texts: approved.texts.into_iter().map(text_from_wire).collect(),
        },
        Kind::Texts(texts) => {
            let thread = texts.texts.first()?.thread_id;
            if texts.texts.iter().any(|text| text.thread_id != thread) {
                return None;
            }
            PeerEvent::Texts {
                sender: UserId(texts.from_uid),
                thread: ThreadId(thread),
                texts: texts.texts.into_iter().map(text_from_wire).collect(),
            }
        }
        Kind::Kick(kick) => PeerEvent::Kick { fence: kick.fence },
        Kind::Approved(_) => return None,
    };
    Some((event_for, event))
}

fn text_to_wire(text: StoredText) -> peer::StoredText {
    peer::StoredText {
        thread_id: text.thread.0,
        message_id: text.key.0,
        seq: text.seq,
        sender_uid: text.sender.0,
        client_id: text.client_id.unwrap_or_default(),
        content: text.content,
        sent_at_ms: text.sent_at,
        status: DELIVERED,
    }
}

fn text_from_wire(text: peer::StoredText) -> StoredText {
    StoredText {
        key: MessageKey(text.message_id),
        thread: ThreadId(text.thread_id),
        seq: text.seq,
        sender: UserId(text.sender_uid),
        client_id: Some(text.client_id).filter(|id| !id.is_empty()),
        content: text.content,
        sent_at: text.sent_at_ms,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(seq: i64) -> StoredText {
        StoredText {
            key: MessageKey(100 + seq),
            thread: ThreadId(7),
            seq,
            sender: UserId(1001),
            client_id: (seq % 2 == 0).then(|| format!("{{id-{seq}}}")),
            content: "你好".into(),
            sent_at: 1_700_000_000_000,
        }
    }

    #[test]
    fn every_event_survives_the_wire() {
        let somebody = Profile {
            uid: UserId(1001),
            name: "ada".into(),
            nick: "Ada".into(),
            desc: String::new(),
            sex: 1,
            icon: ":/res/head_1.jpg".into(),
        };
        let texts = vec![text(1), text(2)];
        for event in [
            PeerEvent::FriendApplied { applicant: somebody.clone(), introduction: "it is me".into() },
            PeerEvent::FriendApproved { approver: somebody, texts: texts.clone() },
            PeerEvent::Texts { sender: UserId(1001), thread: ThreadId(7), texts },
            PeerEvent::Kick { fence: 9 },
        ] {
            let wire = to_wire(UserId(1002), event.clone());
            assert_eq!(from_wire(wire), Some((UserId(1002), event)));
        }
    }

    #[test]
    fn what_is_left_out_or_unknown_is_no_event() {
        assert_eq!(from_wire(peer::Event { to_uid: 1, kind: None }), None);
        let nothing_said = peer::Texts { from_uid: 1, texts: vec![] };
        assert_eq!(from_wire(peer::Event { to_uid: 1, kind: Some(Kind::Texts(nothing_said)) }), None);
    }
}
