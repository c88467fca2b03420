//! In which order texts go to the application: a state machine without I/O and clock.

use std::collections::{BTreeMap, HashMap, VecDeque};

use tokio::time::Instant;
use uschat_proto::chat::{Cursor, Fingerprint, ThreadId, UserId};

use super::cursors::Cursors;
use super::inbox::{Incoming, IncomingText};
use super::position::Position;
use crate::chat::NewFriend;
use crate::text::Sent;

/// What was seen of each conversation, what waits for an earlier number, and what is ready for the application.
///
/// Each number of a conversation is handed out once, and only after the one before. Own texts that were acknowledged count
/// as handed out. What is held back is dropped when the session ends, because the next one brings it again.
#[derive(Debug)]
pub(super) struct HandOut {
    conversations: HashMap<ThreadId, Conversation>,
    ready: VecDeque<Incoming>,
    held: usize,
    max_held: usize,
    /// Calls under way whose answers may hold the first texts of a conversation.
    approving: usize,
}

#[derive(Debug, Default)]
struct Conversation {
    position: Position,
    held: BTreeMap<i64, IncomingText>,
    /// Since when the first of those waits without any text before it having come.
    stuck_since: Option<Instant>,
}

/// More texts came too early than may be held back.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TooManyHeld;

impl HandOut {
    pub(super) fn new(cursors: &Cursors, max_held: usize) -> Self {
        let conversation = |position: &Position| Conversation { position: position.clone(), ..Conversation::default() };
        let conversations =
            cursors.positions.iter().map(|(thread, position)| (*thread, conversation(position))).collect();
        Self { conversations, ready: VecDeque::new(), held: 0, max_held, approving: 0 }
    }

    /// A text that the server pushed.
    pub(super) fn text(&mut self, text: IncomingText, now: Instant) -> Result<(), TooManyHeld> {
        let (thread, seq) = (text.thread_id, text.seq);
        let conversation = self.conversations.entry(thread).or_default();
        // A server pushes in order, so the first text it tells is where the conversation begins for us.
        if !conversation.position.has(seq) && self.approving == 0 {
            conversation.position.begin(seq);
        }
        if conversation.position.has(seq) || conversation.held.contains_key(&seq) {
            return Ok(());
        }
        if !conversation.position.is_next(seq) && self.held >= self.max_held {
            return Err(TooManyHeld);
        }
        conversation.held.insert(seq, text);
        self.held += 1;
        self.release(thread, now);
        Ok(())
    }

    /// An own text was stored here.
    pub(super) fn acknowledged(&mut self, thread: ThreadId, seq: i64, fingerprint: Fingerprint, now: Instant) {
        self.conversations.entry(thread).or_default().position.add(seq, fingerprint);
        self.release(thread, now);
    }

    /// An approval is under way. The answer holds the first texts of a conversation and takes another way than texts: until
    /// [`HandOut::approved`] no conversation begins, or they would count as seen when a later one is faster.
    pub(super) fn approving(&mut self) {
        self.approving += 1;
    }

    /// What the answer held was given to [`HandOut::greet`], or it held nothing.
    pub(super) fn approved(&mut self, now: Instant) {
        self.approving -= 1;
        if self.approving > 0 || self.held == 0 {
            return;
        }
        let mut begun = Vec::new();
        for (thread, conversation) in &mut self.conversations {
            if let Some((first, _)) = conversation.held.first_key_value() {
                conversation.position.begin(*first);
                begun.push(*thread);
            }
        }
        for thread in begun {
            self.release(thread, now);
        }
    }

    /// Leaves in `friend` the greetings that may be shown with it: those whose turn it is. What was shown is left out, and
    /// what is to come after other texts comes as a text. Then call [`HandOut::release`].
    pub(super) fn greet(&mut self, own: UserId, friend: &mut NewFriend) {
        let peer = friend.profile.uid;
        let Self { conversations, held, .. } = self;
        friend.greetings.retain(|greeting| {
            let conversation = conversations.entry(greeting.thread_id).or_default();
            let (position, seq) = (&mut conversation.position, greeting.seq);
            if position.has(seq) {
                return false;
            }
            if position.through().is_none() || position.is_next(seq) {
                position.add(seq, Fingerprint::of(greeting.message_id, greeting.sender, &greeting.content));
                return true;
            }
            let text = IncomingText {
                from: greeting.sender,
                to: if greeting.sender == own { peer } else { own },
                thread_id: greeting.thread_id,
                message_id: greeting.message_id,
                seq,
                client_id: Some(greeting.unique_id.clone()).filter(|id| !id.is_empty()),
                content: greeting.content.clone(),
                sent_at: greeting.chat_time.clone(),
            };
            *held += usize::from(conversation.held.insert(seq, text).is_none());
            false
        });
    }

    /// Makes ready what waited for texts that have come meanwhile.
    pub(super) fn release(&mut self, thread: ThreadId, now: Instant) {
        let Some(conversation) = self.conversations.get_mut(&thread) else { return };
        let before = conversation.position.through();
        while let Some(first) = conversation.held.first_entry() {
            let seq = *first.key();
            let known = conversation.position.has(seq);
            if !known && !conversation.position.is_next(seq) {
                break;
            }
            let text = first.remove();
            self.held -= 1;
            if !known {
                conversation.position.add(seq, text.fingerprint());
                self.ready.push_back(Incoming::Text(text));
            }
        }
        let moved = conversation.position.through() != before;
        if conversation.held.is_empty() {
            conversation.stuck_since = None;
        } else if moved || conversation.stuck_since.is_none() {
            conversation.stuck_since = Some(now);
        }
    }

    /// What was seen of a conversation is not what is stored.
    pub(super) fn replaced(&mut self, cursor: Cursor) {
        let thread_id = cursor.thread_id;
        let conversation = Conversation { position: cursor.into(), ..Conversation::default() };
        if let Some(old) = self.conversations.insert(thread_id, conversation) {
            self.held -= old.held.len();
        }
        self.ready.push_back(Incoming::ConversationReplaced { thread_id, cursor });
    }

    /// There is no such conversation for us.
    pub(super) fn forget(&mut self, thread: ThreadId) {
        if let Some(old) = self.conversations.remove(&thread) {
            self.held -= old.held.len();
        }
    }

    /// The session ended: what is held back comes again.
    pub(super) fn session_ended(&mut self) {
        for conversation in self.conversations.values_mut() {
            conversation.held.clear();
            conversation.stuck_since = None;
        }
        self.held = 0;
    }

    /// Where each conversation goes on.
    pub(super) fn cursors(&self) -> Vec<Cursor> {
        let cursor = |(thread, conversation): (&ThreadId, &Conversation)| conversation.position.cursor(*thread);
        let mut cursors: Vec<_> = self.conversations.iter().filter_map(cursor).collect();
        cursors.sort_unstable_by_key(|cursor| cursor.thread_id);
        cursors
    }

    /// Since when something waits for an earlier text.
    pub(super) fn stuck_since(&self) -> Option<Instant> {
        if self.held == 0 {
            return None;
        }
        self.conversations.values().filter_map(|conversation| conversation.stuck_since).min()
    }

    /// Something that is no text, in its order among them.
    pub(super) fn push(&mut self, incoming: Incoming) {
        self.ready.push_back(incoming);
    }

    pub(super) fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    pub(super) fn take(&mut self) -> Option<Incoming> {
        self.ready.pop_front()
    }

    /// Nobody wants it any more.
    pub(super) fn discard(&mut self) {
        self.ready.clear();
    }
}

impl IncomingText {
    pub(super) fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(self.message_id, self.from, &self.content)
    }

    pub(super) fn place(&self) -> Sent {
        Sent { message_id: self.message_id, seq: self.seq, thread_id: self.thread_id }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;
    use uschat_proto::chat::MessageKey;

    use super::*;

    const OWN: UserId = UserId(1);
    const PEER: UserId = UserId(2);
    const THREADS: i64 = 2;
    const NUMBERS: i64 = 12;

    #[derive(Debug, Clone)]
    enum Step {
        Push { thread: i64, seq: i64 },
        Acknowledge { thread: i64, seq: i64 },
        EndSession,
    }

    fn step() -> impl Strategy<Value = Step> {
        let place = || (0..THREADS, 1..=NUMBERS);
        prop_oneof![
            8 => place().prop_map(|(thread, seq)| Step::Push { thread, seq }),
            2 => place().prop_map(|(thread, seq)| Step::Acknowledge { thread, seq }),
            1 => Just(Step::EndSession),
        ]
    }

    fn text(thread: i64, seq: i64) -> IncomingText {
        IncomingText {
            from: PEER,
            to: OWN,
            thread_id: ThreadId(thread),
            message_id: MessageKey(seq),
            seq,
            client_id: None,
            content: String::new(),
            sent_at: String::new(),
        }
    }

    /// What a conversation must look like, found out anew each time from everything that happened.
    #[derive(Default)]
    struct Naive {
        through: Option<i64>,
        acknowledged: BTreeSet<i64>,
        arrived: BTreeSet<i64>,
        handed_out: Vec<i64>,
    }

    impl Naive {
        fn settle(&mut self) {
            if self.through.is_none() && self.acknowledged.contains(&1) {
                self.through = Some(0);
            }
            while let Some(next) = self.through.map(|through| through + 1) {
                if self.acknowledged.contains(&next) {
                    self.arrived.remove(&next);
                } else if self.arrived.remove(&next) {
                    self.handed_out.push(next);
                } else {
                    break;
                }
                self.through = Some(next);
            }
        }
    }

    proptest! {
        #[test]
        fn it_does_what_a_naive_one_does(steps in prop::collection::vec(step(), 0..80)) {
            let now = Instant::now();
            let mut hand_out = HandOut::new(&Cursors::default(), 100);
            let mut naive: Vec<Naive> = (0..THREADS).map(|_| Naive::default()).collect();
            let mut seen: Vec<Vec<i64>> = vec![Vec::new(); naive.len()];
            for step in steps {
                match step {
                    Step::Push { thread, seq } => {
                        hand_out.text(text(thread, seq), now).unwrap();
                        let naive = &mut naive[thread as usize];
                        if !naive.acknowledged.contains(&seq) {
                            naive.through.get_or_insert(seq - 1);
                        }
                        if naive.through.is_some_and(|through| through < seq) {
                            naive.arrived.insert(seq);
                        }
                        naive.settle();
                    }
                    Step::Acknowledge { thread, seq } => {
                        hand_out.acknowledged(ThreadId(thread), seq, Fingerprint(0), now);
                        let naive = &mut naive[thread as usize];
                        naive.acknowledged.insert(seq);
                        naive.settle();
                    }
                    Step::EndSession => {
                        hand_out.session_ended();
                        naive.iter_mut().for_each(|naive| naive.arrived.clear());
                    }
                }
                while let Some(incoming) = hand_out.take() {
                    let Incoming::Text(text) = incoming else { panic!("{incoming:?}") };
                    seen[text.thread_id.0 as usize].push(text.seq);
                }
                for (seen, naive) in seen.iter().zip(&naive) {
                    prop_assert_eq!(seen, &naive.handed_out);
                    prop_assert!(seen.is_sorted_by(|one, next| one < next));
                }
                let waits = naive.iter().any(|naive| naive.arrived.iter().any(|seq| !naive.acknowledged.contains(seq)));
                prop_assert!(!waits || hand_out.stuck_since().is_some());
                let cursors: Vec<_> = hand_out.cursors().iter().map(|cursor| (cursor.thread_id.0, cursor.seq)).collect();
                let expected = (0..).zip(&naive).filter_map(|(thread, naive)| Some((thread, naive.through?)));
                prop_assert_eq!(cursors, expected.collect::<Vec<_>>());
            }
        }
    }

    #[test]
    fn an_approval_keeps_conversations_from_beginning() {
        let now = Instant::now();
        let mut hand_out = HandOut::new(&Cursors::default(), 100);
        hand_out.approving();
        hand_out.text(text(1, 3), now).unwrap();
        assert!(!hand_out.has_ready());
        hand_out.approved(now);
        assert!(matches!(hand_out.take(), Some(Incoming::Text(IncomingText { seq: 3, .. }))));
        assert_eq!(hand_out.stuck_since(), None);
    }

    #[test]
    fn the_time_of_a_gap_counts_from_its_own_beginning() {
        let start = Instant::now();
        let after = |seconds| start + std::time::Duration::from_secs(seconds);
        let mut hand_out = HandOut::new(&Cursors::default(), 3);
        for (seq, second, stuck_since) in
            [(1, 0, None), (3, 1, Some(1)), (5, 2, Some(1)), (2, 3, Some(3)), (4, 4, None)]
        {
            hand_out.text(text(1, seq), after(second)).unwrap();
            assert_eq!(hand_out.stuck_since(), stuck_since.map(after), "{seq}");
        }
        for seq in [7, 8, 9] {
            assert_eq!(hand_out.text(text(1, seq), start), Ok(()));
        }
        assert_eq!(hand_out.text(text(2, 1), start), Ok(()), "what is next needs no room");
        assert_eq!(hand_out.text(text(1, 10), start), Err(TooManyHeld));
    }
}
