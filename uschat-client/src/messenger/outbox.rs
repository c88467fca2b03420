//! Own texts that are not acknowledged yet, in order: a state machine without I/O and clock.

use std::collections::VecDeque;

use uschat_proto::chat::{Fingerprint, MessageKey, UserId};

use crate::text::{Sent, Text};

/// The requests that wait for their acknowledgement, the oldest first. In every session all of them are sent again, in the
/// same order, before anything new.
///
/// `P` is what belongs to a request and does not matter here: its bytes, who waits for it.
#[derive(Debug)]
pub(super) struct Outbox<P> {
    requests: VecDeque<Outstanding<P>>,
    /// How many of them, from the front, were sent in this session.
    sent: usize,
    next_id: u64,
}

#[derive(Debug)]
struct Outstanding<P> {
    id: u64,
    texts: Vec<OwnText>,
    payload: P,
}

#[derive(Debug)]
struct OwnText {
    client_id: String,
    /// Of its content and receiver: an id that was used before for another text must not pass for this one.
    digest: Fingerprint,
    /// Where it is stored, once something told.
    place: Option<Sent>,
}

impl<P> Default for Outbox<P> {
    fn default() -> Self {
        Self { requests: VecDeque::new(), sent: 0, next_id: 0 }
    }
}

impl<P> Outbox<P> {
    /// Puts a request behind all others.
    pub(super) fn push(&mut self, to: UserId, texts: Vec<Text>, payload: P) {
        let own = |Text { client_id, content }| OwnText { digest: digest(to, &content), client_id, place: None };
        let texts = texts.into_iter().map(own).collect();
        self.requests.push_back(Outstanding { id: self.next_id, texts, payload });
        self.next_id += 1;
    }

    pub(super) fn is_empty(&self) -> bool {
        self.requests.is_empty()
    }

    pub(super) fn has_unsent(&self) -> bool {
        self.sent < self.requests.len()
    }

    /// The next request to send in this session: what to call it, the client id of its first text, and the rest.
    pub(super) fn send_next(&mut self) -> Option<(u64, &str, &P)> {
        let request = self.requests.get(self.sent)?;
        self.sent += 1;
        let first = request.texts.first().map_or("", |text| &*text.client_id);
        Some((request.id, first, &request.payload))
    }

    /// The session ended: everything is to be sent again.
    pub(super) fn session_ended(&mut self) {
        self.sent = 0;
    }

    /// The oldest request.
    pub(super) fn oldest(&self) -> Option<&P> {
        self.requests.front().map(|request| &request.payload)
    }

    pub(super) fn remove_oldest(&mut self) -> Option<P> {
        self.remove_at(0).map(|request| request.payload)
    }

    /// Takes a request out that was answered: the client ids of its texts, and the rest. Nothing if it is gone already.
    pub(super) fn remove(&mut self, id: u64) -> Option<(Vec<String>, P)> {
        let request = self.remove_by_id(id)?;
        Some((request.texts.into_iter().map(|text| text.client_id).collect(), request.payload))
    }

    /// A text of ours came back from the server. Returns whether a request waits for it, and the requests of which all texts
    /// are known now.
    pub(super) fn stored(
        &mut self,
        to: UserId,
        client_id: &str,
        content: &str,
        sent: Sent,
    ) -> (bool, Vec<(Vec<Sent>, P)>) {
        let (mut ours, mut complete) = (false, Vec::new());
        let digest = digest(to, content);
        for request in &mut self.requests {
            for text in request.texts.iter_mut().filter(|text| text.client_id == client_id && text.digest == digest) {
                text.place = Some(sent);
                ours = true;
            }
            if request.texts.iter().all(|text| text.place.is_some()) {
                complete.push(request.id);
            }
        }
        let mut known = Vec::new();
        for request in complete.into_iter().filter_map(|id| self.remove_by_id(id)) {
            known.push((request.texts.into_iter().filter_map(|text| text.place).collect(), request.payload));
        }
        (ours, known)
    }

    /// Everything that is left, the oldest first.
    pub(super) fn into_payloads(self) -> impl Iterator<Item = P> {
        self.requests.into_iter().map(|request| request.payload)
    }

    fn remove_by_id(&mut self, id: u64) -> Option<Outstanding<P>> {
        let index = self.requests.binary_search_by_key(&id, |request| request.id).ok()?;
        self.remove_at(index)
    }

    fn remove_at(&mut self, index: usize) -> Option<Outstanding<P>> {
        let request = self.requests.remove(index)?;
        self.sent -= usize::from(index < self.sent);
        Some(request)
    }
}

fn digest(to: UserId, content: &str) -> Fingerprint {
    Fingerprint::of(MessageKey(0), to, content)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uschat_proto::chat::ThreadId;

    use super::*;

    #[derive(Debug, Clone)]
    enum Step {
        /// So many texts.
        Push(usize),
        SendNext,
        Answer(u64),
        /// The text of this number among all ever pushed.
        Stored(u64),
        RemoveOldest,
        EndSession,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => (1..4_usize).prop_map(Step::Push),
            5 => Just(Step::SendNext),
            3 => (0..20_u64).prop_map(Step::Answer),
            3 => (0..40_u64).prop_map(Step::Stored),
            1 => Just(Step::RemoveOldest),
            1 => Just(Step::EndSession),
        ]
    }

    fn sent(text: u64) -> Sent {
        let number = i64::try_from(text).unwrap();
        Sent { message_id: MessageKey(number), seq: number, thread_id: ThreadId(1) }
    }

    fn own(text: &u64) -> Text {
        Text { client_id: text.to_string(), content: "x".into() }
    }

    /// A request: the texts it has, those known to be stored, whether it was sent in this session.
    struct Naive {
        id: u64,
        texts: Vec<u64>,
        stored: Vec<u64>,
        sent: bool,
    }

    proptest! {
        #[test]
        fn it_does_what_a_naive_one_does(steps in prop::collection::vec(step(), 0..100)) {
            let mut outbox = Outbox::default();
            let mut naive: Vec<Naive> = Vec::new();
            let (mut next_id, mut next_text) = (0, 0);
            for step in steps {
                match step {
                    Step::Push(count) => {
                        let texts: Vec<_> = (next_text..).take(count).collect();
                        next_text += texts.len() as u64;
                        outbox.push(UserId(2), texts.iter().map(own).collect(), next_id);
                        naive.push(Naive { id: next_id, texts, stored: Vec::new(), sent: false });
                        next_id += 1;
                    }
                    Step::SendNext => {
                        let next = naive.iter_mut().find(|request| !request.sent);
                        let expected = next.map(|request| {
                            request.sent = true;
                            (request.id, request.texts[0].to_string(), request.id)
                        });
                        let sent = outbox.send_next().map(|(id, text, payload)| (id, text.to_owned(), *payload));
                        prop_assert_eq!(sent, expected);
                    }
                    Step::Answer(id) => {
                        let index = naive.iter().position(|request| request.id == id);
                        let expected = index.map(|index| naive.remove(index));
                        let texts = |request: Naive| request.texts.iter().map(u64::to_string).collect::<Vec<_>>();
                        prop_assert_eq!(outbox.remove(id), expected.map(|request| (texts(request), id)));
                    }
                    Step::Stored(text) => {
                        let index = naive.iter().position(|request| request.texts.contains(&text));
                        let (ours, complete) = outbox.stored(UserId(2), &text.to_string(), "x", sent(text));
                        prop_assert_eq!(ours, index.is_some());
                        let mut expected = Vec::new();
                        if let Some(index) = index {
                            let request = &mut naive[index];
                            if !request.stored.contains(&text) {
                                request.stored.push(text);
                            }
                            if request.stored.len() == request.texts.len() {
                                let request = naive.remove(index);
                                expected.push((request.texts.into_iter().map(sent).collect::<Vec<_>>(), request.id));
                            }
                        }
                        prop_assert_eq!(complete, expected);
                    }
                    Step::RemoveOldest => {
                        let expected = (!naive.is_empty()).then(|| naive.remove(0).id);
                        prop_assert_eq!(outbox.oldest().copied(), expected);
                        prop_assert_eq!(outbox.remove_oldest(), expected);
                    }
                    Step::EndSession => {
                        outbox.session_ended();
                        naive.iter_mut().for_each(|request| request.sent = false);
                    }
                }
                prop_assert_eq!(outbox.has_unsent(), naive.iter().any(|request| !request.sent));
                prop_assert_eq!(outbox.is_empty(), naive.is_empty());
            }
            let rest: Vec<_> = outbox.into_payloads().collect();
            prop_assert_eq!(rest, naive.iter().map(|request| request.id).collect::<Vec<_>>());
        }
    }

    #[test]
    fn another_text_under_the_same_id_is_not_this_one() {
        let mut outbox = Outbox::default();
        outbox.push(UserId(2), vec![own(&1)], ());
        for (to, content) in [(2, "y"), (3, "x")] {
            assert_eq!(outbox.stored(UserId(to), "1", content, sent(1)), (false, vec![]));
        }
        assert_eq!(outbox.stored(UserId(2), "1", "x", sent(1)), (true, vec![(vec![sent(1)], ())]));
    }
}
