//! [`PeerEvent`] as `message.ChatService` has it, in the dialect of the server's generation. PROTOCOL.md, "Beside original
//! servers".

use uschat_proto::{
    chat::{MessageKey, ThreadId, UserId},
    grpc::{m, s1},
};

use super::{BusError, PeerEvent};
use crate::store::StoredText;

/// Which messages an original chat server understands: two of them differ between generations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OriginalDialect {
    /// The first season (S1). It cannot be told that a session ends.
    #[default]
    FirstSeason,
    /// The later main line and what came after it (M, S2, US).
    Later,
}

/// A call to an original server. What did not change between generations is in the words of the later one.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Call {
    /// `NotifyAddFriend`.
    Applied(m::AddFriendReq),
    /// `NotifyAuthFriend`.
    Approved(m::AuthFriendReq),
    /// `NotifyTextChatMsg`.
    Texts {
        /// What is sent.
        request: Texts,
        /// An upper bound for the body that the original makes of it.
        body_bound: usize,
    },
    /// `NotifyKickUser`.
    Kicked(m::KickUserReq),
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Texts {
    FirstSeason(s1::TextChatMsgReq),
    Later(m::TextChatMsgReq),
}

/// An original puts the texts of a call into one body for its client, and ends at once if that takes more than 32,767 bytes.
const MAX_BODY: usize = 32_000;
/// Bytes of its indented JSON around all texts, with every number at its longest, and around each.
const AROUND_TEXTS: usize = 200;
const AROUND_A_TEXT: usize = 160;

/// The calls that say an event, none longer than an original can bear.
pub(super) fn calls(dialect: OriginalDialect, to: UserId, event: PeerEvent) -> Result<Vec<Call>, BusError> {
    match event {
        PeerEvent::FriendApplied { applicant, introduction } => {
            let (name, desc) = match dialect {
                // What the applicant typed, and nothing in `desc`: so the first season does.
                OriginalDialect::FirstSeason if !introduction.is_empty() => (introduction, String::new()),
                OriginalDialect::FirstSeason => (applicant.name, String::new()),
                OriginalDialect::Later => (applicant.name, introduction),
            };
            Ok(vec![Call::Applied(m::AddFriendReq {
                applyuid: applicant.uid.0,
                name,
                desc,
                icon: applicant.icon,
                nick: applicant.nick,
                sex: applicant.sex,
                touid: to.0,
            })])
        }
        // The original looks the approver up itself; the first season has no texts that a conversation begins with.
        PeerEvent::FriendApproved { approver, texts } => {
            let textmsgs = match dialect {
                OriginalDialect::FirstSeason => Vec::new(),
                OriginalDialect::Later => texts.into_iter().map(greeting).collect::<Result<_, _>>()?,
            };
            Ok(vec![Call::Approved(m::AuthFriendReq { fromuid: approver.uid.0, touid: to.0, textmsgs })])
        }
        PeerEvent::Texts { sender, texts, thread } => {
            let mut calls: Vec<Call> = Vec::new();
            for text in texts {
                let call = one_text(dialect, sender, to, thread, text)?;
                match calls.last_mut() {
                    Some(last) if last.takes(&call) => last.join(call),
                    _ => calls.push(call),
                }
            }
            Ok(calls)
        }
        PeerEvent::Kick { .. } => match dialect {
            OriginalDialect::FirstSeason => Err(BusError::NotSpoken),
            OriginalDialect::Later => Ok(vec![Call::Kicked(m::KickUserReq { uid: to.0 })]),
        },
    }
}

fn one_text(
    dialect: OriginalDialect,
    sender: UserId,
    to: UserId,
    thread: ThreadId,
    text: StoredText,
) -> Result<Call, BusError> {
    let chat_time = text.chat_time();
    let id = text.client_id.unwrap_or_else(|| text.key.to_string());
    let body_bound = AROUND_TEXTS + escaped_len(&id) + escaped_len(&text.content) + AROUND_A_TEXT;
    if body_bound > MAX_BODY {
        return Err(BusError::TooLong);
    }
    let (fromuid, touid) = (sender.0, to.0);
    let request = match dialect {
        OriginalDialect::FirstSeason => {
            let textmsgs = vec![s1::TextChatData { msgid: id, msgcontent: text.content }];
            Texts::FirstSeason(s1::TextChatMsgReq { fromuid, touid, textmsgs })
        }
        OriginalDialect::Later => {
            let msg_id = short_key(text.key)?;
            let textmsgs = vec![m::TextChatData { unique_id: id, msg_id, msgcontent: text.content, chat_time }];
            Texts::Later(m::TextChatMsgReq { fromuid, touid, thread_id: short_thread(thread)?, textmsgs })
        }
    };
    Ok(Call::Texts { request, body_bound })
}

fn greeting(text: StoredText) -> Result<m::AddFriendMsg, BusError> {
    Ok(m::AddFriendMsg {
        sender_id: text.sender.0,
        unique_id: text.client_id.unwrap_or_default(),
        msg_id: short_key(text.key)?,
        thread_id: short_thread(text.thread)?,
        msgcontent: text.content,
        status: 2,
    })
}

/// Their numbers have 32 bits.
fn short_key(key: MessageKey) -> Result<i32, BusError> {
    key.0.try_into().map_err(|_| BusError::NotSpoken)
}

fn short_thread(thread: ThreadId) -> Result<i32, BusError> {
    thread.0.try_into().map_err(|_| BusError::NotSpoken)
}

impl Call {
    /// Whether `later` may be said in the same call: texts between the same two, as long as the body stays bearable.
    pub(super) fn takes(&self, later: &Self) -> bool {
        match (self, later) {
            (Self::Texts { request, body_bound }, Self::Texts { request: later_request, body_bound: later_bound }) => {
                request.place() == later_request.place() && body_bound + later_bound - AROUND_TEXTS <= MAX_BODY
            }
            _ => false,
        }
    }

    /// Appends what [`Call::takes`] allowed.
    pub(super) fn join(&mut self, later: Self) {
        if let (Self::Texts { request, body_bound }, Self::Texts { request: later, body_bound: later_bound }) =
            (self, later)
        {
            match (request, later) {
                (Texts::FirstSeason(request), Texts::FirstSeason(later)) => request.textmsgs.extend(later.textmsgs),
                (Texts::Later(request), Texts::Later(later)) => request.textmsgs.extend(later.textmsgs),
                _ => return,
            }
            *body_bound += later_bound - AROUND_TEXTS;
        }
    }
}

impl Texts {
    /// Sender, receiver and conversation; the first season has no word for that.
    fn place(&self) -> (i32, i32, Option<i32>) {
        match self {
            Self::FirstSeason(request) => (request.fromuid, request.touid, None),
            Self::Later(request) => (request.fromuid, request.touid, Some(request.thread_id)),
        }
    }
}

/// The length inside their JSON at worst: some versions escape everything that is not ASCII.
fn escaped_len(text: &str) -> usize {
    let escaped = |character: char| match character {
        '"' | '\\' | '/' | '\n' | '\r' | '\t' | '\u{8}' | '\u{c}' => 2,
        ' '..='~' => 1,
        // \uXXXX for each unit of UTF-16.
        _ => 6 * character.len_utf16(),
    };
    text.chars().map(escaped).sum()
}

#[cfg(test)]
mod tests {
    use uschat_proto::{
        chat::Profile,
        grpc::s1::{TextChatData, TextChatMsgReq},
    };

    use super::{
        OriginalDialect::{FirstSeason, Later},
        *,
    };

    const ADA: UserId = UserId(1001);
    const BEN: UserId = UserId(1002);

    fn text(key: i64, client_id: Option<&str>, content: &str) -> StoredText {
        StoredText {
            key: MessageKey(key),
            thread: ThreadId(7),
            seq: key,
            sender: ADA,
            client_id: client_id.map(Into::into),
            content: content.into(),
            sent_at: 0,
        }
    }

    fn said(texts: Vec<StoredText>) -> Result<Vec<Call>, BusError> {
        calls(FirstSeason, BEN, PeerEvent::Texts { sender: ADA, thread: ThreadId(7), texts })
    }

    fn lengths(calls: &[Call]) -> Vec<usize> {
        let length = |call: &Call| match call {
            Call::Texts { request: Texts::FirstSeason(request), .. } => request.textmsgs.len(),
            Call::Texts { request: Texts::Later(request), .. } => request.textmsgs.len(),
            _ => 0,
        };
        calls.iter().map(length).collect()
    }

    #[test]
    fn texts_of_a_request_go_in_one_call_with_their_ids_or_keys() {
        let calls = said(vec![text(1, Some("{a}"), "one"), text(2, None, "two")]).unwrap();
        let data = |id: &str, content: &str| TextChatData { msgid: id.into(), msgcontent: content.into() };
        let textmsgs = vec![data("{a}", "one"), data("2", "two")];
        let expected = TextChatMsgReq { fromuid: 1001, touid: 1002, textmsgs };
        assert!(
            matches!(&calls[..], [Call::Texts { request: Texts::FirstSeason(request), .. }] if *request == expected),
            "{calls:?}"
        );
    }

    #[test]
    fn no_call_is_longer_than_an_original_can_bear() {
        let ten = (1..=10).map(|key| text(key, Some("{id}"), &"漢".repeat(1_000))).collect();
        assert_eq!(lengths(&said(ten).unwrap()), [5, 5], "five times some 6,100 bytes");
        let plain = (1..=10).map(|key| text(key, Some("{id}"), &"x".repeat(1_000))).collect();
        assert_eq!(lengths(&said(plain).unwrap()), [10]);
        let too_long = vec![text(1, None, "short"), text(2, None, &"\u{1}".repeat(16_384))];
        assert_eq!(said(too_long), Err(BusError::TooLong));
    }

    #[test]
    fn only_texts_between_the_same_two_join() {
        let mut one = said(vec![text(1, None, "one")]).unwrap().remove(0);
        let two = said(vec![text(2, None, "two")]).unwrap().remove(0);
        let to_another = PeerEvent::Texts { sender: ADA, thread: ThreadId(8), texts: vec![text(3, None, "three")] };
        let other = calls(FirstSeason, UserId(1003), to_another).unwrap().remove(0);
        let approved = Call::Approved(m::AuthFriendReq { fromuid: 1001, touid: 1002, textmsgs: Vec::new() });
        assert!(one.takes(&two) && !one.takes(&other) && !one.takes(&approved) && !approved.takes(&one));
        one.join(two);
        assert_eq!(lengths(&[one]), [2]);
    }

    #[test]
    fn applications_carry_what_was_typed_as_name() {
        let applicant = Profile { uid: ADA, name: "ada".into(), nick: "Ada".into(), sex: 1, ..Profile::default() };
        let applied = |introduction: &str| {
            let event = PeerEvent::FriendApplied { applicant: applicant.clone(), introduction: introduction.into() };
            match calls(FirstSeason, BEN, event).unwrap().remove(0) {
                Call::Applied(request) => request,
                other => panic!("{other:?}"),
            }
        };
        let request = applied("it is me");
        assert_eq!((request.applyuid, request.touid, request.sex, request.nick.as_str()), (1001, 1002, 1, "Ada"));
        assert_eq!((request.name.as_str(), request.desc.as_str()), ("it is me", ""));
        assert_eq!(applied("").name, "ada");
        assert_eq!(calls(FirstSeason, BEN, PeerEvent::Kick { fence: 1 }), Err(BusError::NotSpoken));
    }

    #[test]
    fn later_servers_hear_the_conversation_the_keys_and_the_end_of_a_session() {
        let event = PeerEvent::Texts {
            sender: ADA,
            thread: ThreadId(7),
            texts: vec![text(1, None, "a"), text(2, Some("{b}"), "b")],
        };
        let calls_for = |event| calls(Later, BEN, event);
        let said = calls_for(event).unwrap();
        let [Call::Texts { request: Texts::Later(request), .. }] = &said[..] else { panic!("{said:?}") };
        assert_eq!((request.fromuid, request.touid, request.thread_id), (1001, 1002, 7));
        let data: Vec<_> = request.textmsgs.iter().map(|text| (text.unique_id.as_str(), text.msg_id)).collect();
        assert_eq!(data, [("1", 1), ("{b}", 2)]);
        assert_eq!(request.textmsgs[0].chat_time.len(), "2026-11-20 12:00:00".len());

        assert_eq!(calls_for(PeerEvent::Kick { fence: 1 }), Ok(vec![Call::Kicked(m::KickUserReq { uid: 1002 })]));
        let applicant = Profile { uid: ADA, name: "ada".into(), ..Profile::default() };
        let applied = PeerEvent::FriendApplied { applicant: applicant.clone(), introduction: "it is me".into() };
        let said = calls_for(applied).unwrap();
        assert!(
            matches!(&said[..], [Call::Applied(request)] if (request.name.as_str(), request.desc.as_str()) == ("ada", "it is me"))
        );
        let approved = PeerEvent::FriendApproved { approver: applicant, texts: vec![text(3, None, "hello")] };
        let said = calls_for(approved).unwrap();
        assert!(matches!(&said[..], [Call::Approved(request)] if request.textmsgs[0].msg_id == 3));
        let far = PeerEvent::Texts { sender: ADA, thread: ThreadId(7), texts: vec![text(1 << 31, None, "a")] };
        assert_eq!(calls_for(far), Err(BusError::NotSpoken), "their numbers have 32 bits");
    }
}
