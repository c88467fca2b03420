//! [`PeerEvent`] as `message.ChatService` of the first season has it. PROTOCOL.md, "Beside original servers".

use uschat_proto::{
    chat::UserId,
    grpc::s1::{AddFriendReq, AuthFriendReq, TextChatData, TextChatMsgReq},
};

use super::{BusError, PeerEvent};
use crate::store::StoredText;

/// A call to an original server.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Call {
    /// `NotifyAddFriend`.
    Applied(AddFriendReq),
    /// `NotifyAuthFriend`.
    Approved(AuthFriendReq),
    /// `NotifyTextChatMsg`.
    Texts {
        /// What is sent.
        request: TextChatMsgReq,
        /// An upper bound for the body that the original makes of it.
        body_bound: usize,
    },
}

/// An original puts the texts of a call into one body for its client, and ends at once if that takes more than 32,767 bytes.
const MAX_BODY: usize = 32_000;
/// Bytes of its indented JSON around all texts, with every number at its longest, and around each.
const AROUND_TEXTS: usize = 200;
const AROUND_A_TEXT: usize = 80;

/// The calls that say an event, none longer than an original can bear.
pub(super) fn calls(to: UserId, event: PeerEvent) -> Result<Vec<Call>, BusError> {
    match event {
        PeerEvent::FriendApplied { applicant, introduction } => Ok(vec![Call::Applied(AddFriendReq {
            applyuid: applicant.uid.0,
            // What the applicant typed, and nothing in `desc`: so the originals do.
            name: if introduction.is_empty() { applicant.name } else { introduction },
            desc: String::new(),
            icon: applicant.icon,
            nick: applicant.nick,
            sex: applicant.sex,
            touid: to.0,
        })]),
        // The original looks the approver up itself; its dialect has no texts that a conversation begins with.
        PeerEvent::FriendApproved { approver, .. } => {
            Ok(vec![Call::Approved(AuthFriendReq { fromuid: approver.uid.0, touid: to.0 })])
        }
        PeerEvent::Texts { sender, texts, .. } => texts_in_parts(sender, to, texts),
        PeerEvent::Kick { .. } => Err(BusError::NotSpoken),
    }
}

fn texts_in_parts(sender: UserId, to: UserId, texts: Vec<StoredText>) -> Result<Vec<Call>, BusError> {
    let mut calls: Vec<Call> = Vec::new();
    for text in texts {
        let msgid = text.client_id.unwrap_or_else(|| text.key.to_string());
        let body_bound = AROUND_TEXTS + escaped_len(&msgid) + escaped_len(&text.content) + AROUND_A_TEXT;
        if body_bound > MAX_BODY {
            return Err(BusError::TooLong);
        }
        let textmsgs = vec![TextChatData { msgid, msgcontent: text.content }];
        let call = Call::Texts { request: TextChatMsgReq { fromuid: sender.0, touid: to.0, textmsgs }, body_bound };
        match calls.last_mut() {
            Some(last) if last.takes(&call) => last.join(call),
            _ => calls.push(call),
        }
    }
    Ok(calls)
}

impl Call {
    /// Whether `later` may be said in the same call: texts between the same two, as long as the body stays bearable.
    pub(super) fn takes(&self, later: &Self) -> bool {
        match (self, later) {
            (Self::Texts { request, body_bound }, Self::Texts { request: later_request, body_bound: later_bound }) => {
                (request.fromuid, request.touid) == (later_request.fromuid, later_request.touid)
                    && body_bound + later_bound - AROUND_TEXTS <= MAX_BODY
            }
            _ => false,
        }
    }

    /// Appends what [`Call::takes`] allowed.
    pub(super) fn join(&mut self, later: Self) {
        if let (Self::Texts { request, body_bound }, Self::Texts { request: later, body_bound: later_bound }) =
            (self, later)
        {
            request.textmsgs.extend(later.textmsgs);
            *body_bound += later_bound - AROUND_TEXTS;
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
    use uschat_proto::chat::{MessageKey, Profile, ThreadId};

    use super::*;

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
        calls(BEN, PeerEvent::Texts { sender: ADA, thread: ThreadId(7), texts })
    }

    fn lengths(calls: &[Call]) -> Vec<usize> {
        let length = |call: &Call| match call {
            Call::Texts { request, .. } => request.textmsgs.len(),
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
        assert!(matches!(&calls[..], [Call::Texts { request, .. }] if *request == expected), "{calls:?}");
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
        let other = calls(UserId(1003), to_another).unwrap().remove(0);
        let approved = Call::Approved(AuthFriendReq { fromuid: 1001, touid: 1002 });
        assert!(one.takes(&two) && !one.takes(&other) && !one.takes(&approved) && !approved.takes(&one));
        one.join(two);
        assert_eq!(lengths(&[one]), [2]);
    }

    #[test]
    fn applications_carry_what_was_typed_as_name() {
        let applicant = Profile { uid: ADA, name: "ada".into(), nick: "Ada".into(), sex: 1, ..Profile::default() };
        let applied = |introduction: &str| {
            let event = PeerEvent::FriendApplied { applicant: applicant.clone(), introduction: introduction.into() };
            match calls(BEN, event).unwrap().remove(0) {
                Call::Applied(request) => request,
                other => panic!("{other:?}"),
            }
        };
        let request = applied("it is me");
        assert_eq!((request.applyuid, request.touid, request.sex, request.nick.as_str()), (1001, 1002, 1, "Ada"));
        assert_eq!((request.name.as_str(), request.desc.as_str()), ("it is me", ""));
        assert_eq!(applied("").name, "ada");
        assert_eq!(calls(BEN, PeerEvent::Kick { fence: 1 }), Err(BusError::NotSpoken));
    }
}
