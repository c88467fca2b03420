//! Whatever is heard, doubled, lost, late or read in between: what a session is told of a conversation is what a naive
//! reader of the store would tell, once each and in order.

use std::collections::{BTreeMap, VecDeque};

use proptest::prelude::*;
use uschat_proto::chat::{MessageKey, ThreadId, UserId};

use super::*;

const ME: UserId = UserId(1);
const FRIEND: UserId = UserId(2);
/// So small that tests see pages that are not the last.
const PAGE: usize = 3;

#[derive(Debug, Clone, Copy)]
enum Step {
    /// The friend says so many texts in one request, and the hint is told at once, twice, later or never.
    Said { thread: i64, texts: usize, hint: Hint },
    /// A text of mine is handed over; of this session, or of one that ended.
    Sent { thread: i64, here: bool },
    /// The oldest request of this session is answered.
    Answered,
    /// A late hint arrives, whichever.
    Arrived(usize),
    /// The heads of all conversations are compared.
    Heads,
    /// The store is asked, or what it said is taken.
    Filled,
}

#[derive(Debug, Clone, Copy)]
enum Hint {
    AtOnce,
    Twice,
    Late,
    Lost,
}

/// What was delivered of a conversation before; the third is a new one.
fn delivered(thread: ThreadId) -> i64 {
    if thread == ThreadId(3) { 0 } else { 2 }
}

struct Reading {
    thread: ThreadId,
    gap: Gap,
    parts: VecDeque<Vec<StoredText>>,
    last: bool,
}

struct World {
    ledger: Ledger,
    stored: BTreeMap<ThreadId, Vec<StoredText>>,
    keys: i64,
    sent: VecDeque<StoredText>,
    late: Vec<(ThreadId, Vec<StoredText>)>,
    reading: Option<Reading>,
    pushed: BTreeMap<ThreadId, Vec<i64>>,
    /// Own texts that were acknowledged in this session.
    acknowledged: Vec<(ThreadId, i64)>,
    room: bool,
}

impl World {
    fn new(client: Client) -> Self {
        let mut world = Self {
            ledger: Ledger::default(),
            stored: BTreeMap::new(),
            keys: 0,
            sent: VecDeque::new(),
            late: Vec::new(),
            reading: None,
            pushed: BTreeMap::new(),
            acknowledged: Vec::new(),
            room: true,
        };
        world.ledger.open(ME, client);
        for thread in 1..=2 {
            (0..delivered(ThreadId(thread)) + thread).for_each(|_| drop(world.store(ThreadId(thread), FRIEND)));
        }
        world
    }

    fn store(&mut self, thread: ThreadId, sender: UserId) -> StoredText {
        self.keys += 1;
        let texts = self.stored.entry(thread).or_default();
        let text = StoredText {
            key: MessageKey(self.keys),
            thread,
            seq: texts.len() as i64 + 1,
            sender,
            client_id: None,
            content: "x".repeat(self.keys as usize % 7 * 4_000),
            sent_at: 0,
        };
        texts.push(text.clone());
        text
    }

    fn head(&self, thread: ThreadId) -> i64 {
        self.stored.get(&thread).map_or(0, Vec::len) as i64
    }

    fn standing(&self, thread: ThreadId) -> Standing {
        Standing { thread, peer: FRIEND, head: self.head(thread), delivered: delivered(thread), read: 0 }
    }

    fn push(&mut self, thread: ThreadId, texts: Vec<StoredText>) {
        self.pushed.entry(thread).or_default().extend(texts.iter().map(|text| text.seq));
    }

    fn hint(&mut self, thread: ThreadId, texts: Vec<StoredText>) {
        let next = self.ledger.hint(thread, texts, self.room);
        self.push(thread, next);
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Said { thread, texts, hint } => {
                let thread = ThreadId(thread);
                let texts: Vec<_> = (0..texts).map(|_| self.store(thread, FRIEND)).collect();
                match hint {
                    Hint::AtOnce => self.hint(thread, texts),
                    Hint::Twice => {
                        self.hint(thread, texts.clone());
                        self.late.push((thread, texts));
                    }
                    Hint::Late => self.late.push((thread, texts)),
                    Hint::Lost => {}
                }
            }
            Step::Sent { thread, here } => {
                let text = self.store(ThreadId(thread), ME);
                if here {
                    self.ledger.hand_over();
                    self.sent.push_back(text);
                }
            }
            Step::Answered => self.answer(),
            Step::Arrived(which) if !self.late.is_empty() => {
                let (thread, texts) = self.late.swap_remove(which % self.late.len());
                self.hint(thread, texts);
            }
            Step::Arrived(_) => {}
            Step::Heads => {
                for thread in self.stored.keys().copied().collect::<Vec<_>>() {
                    self.ledger.hear(thread, self.head(thread));
                }
            }
            Step::Filled => {
                self.fill();
            }
        }
    }

    fn answer(&mut self) {
        let Some(text) = self.sent.pop_front() else { return };
        self.ledger.answer();
        self.acknowledged.push((text.thread, text.seq));
        let next = self.ledger.show(text.thread, [text.seq], self.room);
        self.push(text.thread, next);
    }

    fn answer_until(&mut self, answered: u64) {
        while !self.ledger.is_answered(answered) {
            self.answer();
        }
    }

    /// One step of what `fill.rs` does. False when nothing was to do.
    fn fill(&mut self) -> bool {
        if let Some(mut reading) = self.reading.take() {
            if let Some(part) = reading.parts.pop_front() {
                let next = self.ledger.page(reading.thread, part);
                self.push(reading.thread, next);
                self.reading = Some(reading);
            } else {
                self.ledger.end_page(reading.thread, reading.gap, reading.last);
            }
            return true;
        }
        match self.ledger.next_job() {
            None => return false,
            Some(Job::Standings(threads)) => {
                let there = threads.iter().filter(|thread| self.stored.contains_key(thread));
                let standings: Vec<_> = there.map(|&thread| self.standing(thread)).collect();
                self.ledger.stand(&threads, &standings);
            }
            Some(Job::Waiting(after)) => {
                let later = self.stored.keys().filter(|&&thread| thread > after);
                let standings: Vec<_> = later.map(|&thread| self.standing(thread)).collect();
                let waiting: Vec<_> =
                    standings.into_iter().filter(|standing| standing.head > standing.delivered).collect();
                self.ledger.wait(&waiting);
            }
            Some(Job::Texts(thread, answered)) => {
                self.answer_until(answered);
                let (next, gap) = self.ledger.release(thread);
                self.push(thread, next);
                let Some(gap) = gap else { return true };
                let all = self.stored.get(&thread).map_or(&[][..], Vec::as_slice);
                let page: Vec<_> = all.iter().filter(|text| text.seq > gap.after).take(PAGE).cloned().collect();
                let last = page.len() < PAGE;
                if let Some(answered) = self.ledger.may_be_answered(thread, &page) {
                    self.answer_until(answered);
                }
                let parts = page.chunks(2).map(<[_]>::to_vec).collect();
                self.reading = Some(Reading { thread, gap, parts, last });
            }
        }
        true
    }

    /// Everything that is under way arrives.
    fn settle(&mut self) {
        self.room = true;
        self.ledger.go_live();
        while !self.sent.is_empty() {
            self.answer();
        }
        while let Some((thread, texts)) = self.late.pop() {
            self.hint(thread, texts);
        }
        self.step(Step::Heads);
        let steps = (0..10_000).take_while(|_| self.fill()).count();
        assert!(steps < 10_000, "it should come to an end");
    }
}

fn steps() -> impl Strategy<Value = Vec<(Step, bool)>> {
    let hint =
        prop_oneof![4 => Just(Hint::AtOnce), 1 => Just(Hint::Twice), 1 => Just(Hint::Late), 1 => Just(Hint::Lost)];
    let step = prop_oneof![
        6 => (1..=3i64, 1..4usize, hint).prop_map(|(thread, texts, hint)| Step::Said { thread, texts, hint }),
        3 => (1..=3i64, any::<bool>()).prop_map(|(thread, here)| Step::Sent { thread, here }),
        3 => Just(Step::Answered),
        2 => any::<usize>().prop_map(Step::Arrived),
        1 => Just(Step::Heads),
        8 => Just(Step::Filled),
    ];
    prop::collection::vec((step, prop::bool::weighted(0.8)), 0..120)
}

fn check(client: Client, live_at: usize, steps: &[(Step, bool)]) -> Result<(), TestCaseError> {
    let mut world = World::new(client);
    for (number, &(step, room)) in steps.iter().enumerate() {
        if number == live_at {
            world.ledger.go_live();
        }
        world.room = room;
        world.step(step);
        prop_assert!(world.ledger.held_bytes <= Ledger::HELD_BYTES);
        prop_assert!(
            number >= live_at || world.pushed.values().all(Vec::is_empty),
            "nothing is told before the session is live"
        );
    }
    world.settle();
    for (thread, texts) in &world.stored {
        let is_told = |text: &&StoredText| match client {
            Client::Syncing => !world.acknowledged.contains(&(*thread, text.seq)),
            Client::Plain | Client::Coalescing | Client::Loading => text.sender != ME,
        };
        let expected: Vec<_> =
            texts.iter().skip(delivered(*thread) as usize).filter(is_told).map(|text| text.seq).collect();
        prop_assert_eq!(world.pushed.get(thread).cloned().unwrap_or_default(), expected);
        let told = world.ledger.conversations.get(thread).and_then(Conversation::told);
        prop_assert_eq!(told, Some(world.head(*thread)));
    }
    prop_assert_eq!(world.ledger.held_bytes, 0);
    Ok(())
}

proptest! {
    #[test]
    fn a_client_that_syncs_is_told_everything_once_and_in_order(live_at in 0..40usize, steps in steps()) {
        check(Client::Syncing, live_at, &steps)?;
    }

    #[test]
    fn other_clients_are_told_everything_but_their_own_once_and_in_order(live_at in 0..40usize, steps in steps()) {
        check(Client::Plain, live_at, &steps)?;
    }
}

fn text(seq: i64) -> StoredText {
    StoredText {
        key: MessageKey(seq),
        thread: ThreadId(1),
        seq,
        sender: FRIEND,
        client_id: None,
        content: String::new(),
        sent_at: 0,
    }
}

#[test]
fn a_loaded_conversation_goes_on_before_the_others() {
    let mut ledger = Ledger::default();
    ledger.open(ME, Client::Loading);
    assert!(ledger.hint(ThreadId(1), vec![text(3)], true).is_empty());
    ledger.serve(ThreadId(1), 2, false);
    assert!(!ledger.begin_filling(), "more is about to be loaded");
    ledger.serve(ThreadId(1), 2, true);
    assert!(ledger.begin_filling());
    assert_eq!(ledger.next_job(), Some(Job::Texts(ThreadId(1), 0)));
    assert_eq!(ledger.page(ThreadId(1), vec![text(3)]), [text(3)]);
    assert_eq!(ledger.hint(ThreadId(1), vec![text(4)], true), [text(4)]);
}

#[test]
fn a_claim_above_what_was_told_counts_once_it_is_told() {
    let mut ledger = Ledger::default();
    ledger.open(ME, Client::Syncing);
    ledger.begin_at(&Standing { thread: ThreadId(1), peer: FRIEND, head: 2, delivered: 2, read: 0 }, 2);
    ledger.go_live();
    ledger.report(ThreadId(1), 9, 9);
    assert_eq!(ledger.take_progress(), [(ThreadId(1), 2, 2)]);
    assert_eq!(ledger.take_progress(), []);
    assert_eq!(ledger.hint(ThreadId(1), vec![text(3)], true), [text(3)]);
    assert_eq!(ledger.take_progress(), [(ThreadId(1), 3, 3)]);
}

#[test]
fn a_conversation_that_is_not_the_users_is_forgotten() {
    let mut ledger = Ledger::default();
    ledger.open(ME, Client::Plain);
    ledger.go_live();
    ledger.hear(ThreadId(7), 5);
    assert_eq!(ledger.next_job(), Some(Job::Standings(vec![ThreadId(7)])));
    ledger.stand(&[ThreadId(7)], &[]);
    assert!(ledger.conversations.is_empty());
    assert_eq!(ledger.next_job(), Some(Job::Waiting(ThreadId(0))));
}

#[test]
fn a_number_that_does_not_exist_is_asked_for_once() {
    let mut ledger = Ledger::default();
    ledger.open(ME, Client::Plain);
    ledger.go_live();
    ledger.wait(&[Standing { thread: ThreadId(1), peer: FRIEND, head: 2, delivered: 2, read: 0 }]);
    ledger.hear(ThreadId(1), 1_000_000);
    assert_eq!(ledger.next_job(), Some(Job::Texts(ThreadId(1), 0)));
    let (_, gap) = ledger.release(ThreadId(1));
    ledger.end_page(ThreadId(1), gap.unwrap(), true);
    assert_eq!(ledger.next_job(), None);
}
