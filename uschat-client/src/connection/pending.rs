//! Which call an answer belongs to.

use std::borrow::Cow;
use std::collections::{HashMap, VecDeque};

use bytes::Bytes;
use serde::Deserialize;
use tokio::sync::oneshot;
use uschat_proto::MessageId;

/// A call that was sent and waits for its answer.
#[derive(Debug)]
pub(crate) struct Waiting {
    /// The client's id of the first text, for 1017.
    pub(crate) client_id: Option<String>,
    pub(crate) answer: oneshot::Sender<Bytes>,
}

/// The calls in flight, by the id of their response, oldest first.
///
/// A server answers every request exactly once, and answers under one id in request order (PROTOCOL.md, "Answers"). So a
/// call whose caller gave up must stay until its answer has come, or every later answer would go to the wrong caller.
#[derive(Debug, Default)]
pub(super) struct Pending {
    queues: HashMap<MessageId, VecDeque<Waiting>>,
    len: usize,
}

impl Pending {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(super) fn push(&mut self, response: MessageId, waiting: Waiting) {
        self.queues.entry(response).or_default().push_back(waiting);
        self.len += 1;
    }

    /// Hands `body` to the call it answers. False if there is none.
    pub(super) fn answer(&mut self, response: MessageId, body: Bytes) -> bool {
        let Some(queue) = self.queues.get_mut(&response) else { return false };
        let index = match first_client_id(response, &body) {
            // An acknowledgement of one text must never count for another, not even if a server answers out of order.
            Some(id) => queue.iter().position(|waiting| waiting.client_id.as_deref() == Some(&*id)),
            None => Some(0),
        };
        let Some(waiting) = index.and_then(|index| queue.remove(index)) else { return false };
        self.len -= 1;
        // The caller may have given up; the answer is of no use then.
        let _ = waiting.answer.send(body);
        true
    }
}

/// The client's id of the first text a 1018 is about. Our servers tell it also when they refuse; where it is missing, the
/// answer belongs to the oldest call.
fn first_client_id(response: MessageId, body: &[u8]) -> Option<Cow<'_, str>> {
    #[derive(Deserialize)]
    struct Answer<'a> {
        #[serde(borrow, default)]
        chat_datas: Vec<Item<'a>>,
        #[serde(borrow, default)]
        text_array: Vec<Item<'a>>,
    }
    #[derive(Deserialize)]
    struct Item<'a> {
        #[serde(borrow, default, alias = "msgid")]
        unique_id: Cow<'a, str>,
    }
    if response != MessageId::TEXT_CHAT_RESPONSE {
        return None;
    }
    let answer: Answer = serde_json::from_slice(body).ok()?;
    let first = answer.chat_datas.into_iter().chain(answer.text_array).next()?;
    (!first.unique_id.is_empty()).then_some(first.unique_id)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXTS: MessageId = MessageId::TEXT_CHAT_RESPONSE;
    const SEARCH: MessageId = MessageId::SEARCH_USER_RESPONSE;

    fn push(pending: &mut Pending, response: MessageId, client_id: Option<&str>) -> oneshot::Receiver<Bytes> {
        let (answer, receiver) = oneshot::channel();
        pending.push(response, Waiting { client_id: client_id.map(String::from), answer });
        receiver
    }

    #[test]
    fn answers_of_one_id_go_to_callers_in_order() {
        let mut pending = Pending::default();
        let (mut first, mut other, mut second) =
            (push(&mut pending, SEARCH, None), push(&mut pending, TEXTS, Some("a")), push(&mut pending, SEARCH, None));
        assert!(pending.answer(SEARCH, Bytes::from_static(b"1")));
        assert!(pending.answer(SEARCH, Bytes::from_static(b"2")));
        assert!(!pending.answer(SEARCH, Bytes::from_static(b"3")), "nobody waits for a third");
        assert_eq!((first.try_recv().unwrap(), second.try_recv().unwrap()), ("1".into(), "2".into()));
        assert!(other.try_recv().is_err());
        assert_eq!(pending.len(), 1);
    }

    #[test]
    fn an_answer_finds_the_text_it_names_and_without_a_name_the_oldest() {
        let mut pending = Pending::default();
        let (mut a, mut b) = (push(&mut pending, TEXTS, Some("a")), push(&mut pending, TEXTS, Some("b\n")));
        let stored = Bytes::from_static(br#"{"error":0,"chat_datas":[{"content":"x","unique_id":"b\n"}]}"#);
        assert!(pending.answer(TEXTS, stored.clone()));
        assert_eq!(b.try_recv().unwrap(), stored);
        assert!(!pending.answer(TEXTS, stored), "acknowledged twice");
        assert!(a.try_recv().is_err());

        let mut c = push(&mut pending, TEXTS, Some("c"));
        let refused = Bytes::from_static(br#"{"error":3003,"text_array":[{"content":"x","msgid":"c"}]}"#);
        assert!(pending.answer(TEXTS, refused.clone()));
        assert_eq!(c.try_recv().unwrap(), refused);

        assert!(pending.answer(TEXTS, Bytes::from_static(br#"{"error":3003}"#)));
        assert_eq!(a.try_recv().unwrap(), &br#"{"error":3003}"#[..]);
        assert!(pending.is_empty());
    }

    #[test]
    fn a_caller_that_gave_up_keeps_its_place() {
        let mut pending = Pending::default();
        drop(push(&mut pending, SEARCH, None));
        let mut second = push(&mut pending, SEARCH, None);
        assert!(pending.answer(SEARCH, Bytes::from_static(b"1")));
        assert!(second.try_recv().is_err());
        assert!(pending.answer(SEARCH, Bytes::from_static(b"2")));
        assert_eq!(second.try_recv().unwrap(), "2");
    }
}
