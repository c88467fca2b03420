//! A server that keeps the guarantee, and clients whose connections break: steps in, records out.

use std::collections::{BTreeMap, HashMap, VecDeque};

use proptest::prelude::*;
use uschat_examples::oracle::{ContentHash, Counts, Record};
use uschat_proto::chat::{ThreadId, UserId};

use crate::harness::hash;

/// Has no history, but texts.
pub const STRANGER: UserId = UserId(99);

/// What happens next. Numbers choose among what there is.
#[derive(Debug, Clone)]
pub enum Step {
    /// A client hands a text to its connection; `blind` clients do not know the conversation's number.
    Send { user: usize, conversation: usize, blind: bool },
    /// The server takes up the oldest text of a connection.
    Acknowledge { user: usize },
    /// The same, but it has a reason to refuse, perhaps only after it has stored the text.
    Refuse { user: usize, stored: bool },
    /// A refused text is sent again.
    Retry { user: usize },
    /// A connection ends after the server has stored some of its texts; the client resends all of them or gives them up.
    Break { user: usize, stored: usize, resend: bool },
    /// A server stores a text of a connection that is long gone.
    Late { user: usize },
    /// A text that the server writes itself, or one of somebody without a history.
    Other { conversation: usize, with_id: bool },
    /// A client is given the next texts of a conversation.
    Deliver { user: usize, conversation: usize, texts: usize },
}

/// The size of a world and what happens in it.
#[derive(Debug, Clone)]
pub struct Plan {
    /// For each user, the conversations they are in, as bits, and whether they are shown their own texts.
    pub users: Vec<(u8, bool)>,
    /// For each conversation, how many texts it had before.
    pub before: Vec<i64>,
    pub steps: Vec<Step>,
    /// The dump lists the newest rows first.
    pub newest_first: bool,
}

pub fn plans() -> impl Strategy<Value = Plan> {
    let (user, conversation) = (0..4_usize, 0..3_usize);
    let step = prop_oneof![
        6 => (user.clone(), conversation.clone(), any::<bool>())
            .prop_map(|(user, conversation, blind)| Step::Send { user, conversation, blind }),
        6 => user.clone().prop_map(|user| Step::Acknowledge { user }),
        1 => (user.clone(), any::<bool>()).prop_map(|(user, stored)| Step::Refuse { user, stored }),
        1 => user.clone().prop_map(|user| Step::Retry { user }),
        1 => (user.clone(), 0..3_usize, any::<bool>())
            .prop_map(|(user, stored, resend)| Step::Break { user, stored, resend }),
        1 => user.clone().prop_map(|user| Step::Late { user }),
        1 => (conversation.clone(), any::<bool>())
            .prop_map(|(conversation, with_id)| Step::Other { conversation, with_id }),
        3 => (user, conversation, 1..4_usize)
            .prop_map(|(user, conversation, texts)| Step::Deliver { user, conversation, texts }),
    ];
    let users = prop::collection::vec((0_u8..8, any::<bool>()), 2..5);
    let (before, steps) = (prop::collection::vec(0_i64..3, 1..4), prop::collection::vec(step, 0..120));
    (users, before, steps, any::<bool>()).prop_map(|(users, before, steps, newest_first)| Plan {
        users,
        before,
        steps,
        newest_first,
    })
}

/// What came of a plan.
#[derive(Debug, Clone)]
pub struct Run {
    pub records: Vec<Record>,
    /// What the judge should count.
    pub counts: Counts,
}

pub fn user_id(user: usize) -> UserId {
    UserId(1 + i32::try_from(user).unwrap())
}

fn thread_id(conversation: usize) -> ThreadId {
    ThreadId(10 + i64::try_from(conversation).unwrap())
}

/// Plays a plan to its end.
pub fn play(plan: &Plan) -> Run {
    let mut world = World::new(plan);
    for step in &plan.steps {
        world.step(step);
    }
    for user in 0..plan.users.len() {
        for conversation in 0..plan.before.len() {
            world.deliver(user, conversation, usize::MAX);
        }
    }
    world.close()
}

#[derive(Debug, Clone)]
struct Text {
    msgid: String,
    conversation: usize,
    blind: bool,
}

#[derive(Debug, Clone)]
struct Row {
    sender: UserId,
    msgid: String,
    hash: ContentHash,
}

#[derive(Default)]
struct Connection {
    in_flight: VecDeque<Text>,
    refused: VecDeque<Text>,
    given_up: VecDeque<Text>,
    sent: usize,
}

#[derive(Default, Clone, Copy)]
struct Outcome {
    acknowledged: bool,
    refused: bool,
}

struct World<'a> {
    plan: &'a Plan,
    records: Vec<Record>,
    connections: Vec<Connection>,
    tables: Vec<Vec<Row>>,
    stored: HashMap<(UserId, String), i64>,
    shown: HashMap<(usize, usize), usize>,
    outcomes: BTreeMap<(usize, String), Outcome>,
    others: usize,
    counts: Counts,
}

impl<'a> World<'a> {
    fn new(plan: &'a Plan) -> Self {
        let mut world = Self {
            plan,
            records: Vec::new(),
            connections: plan.users.iter().map(|_| Connection::default()).collect(),
            tables: vec![Vec::new(); plan.before.len()],
            stored: HashMap::new(),
            shown: HashMap::new(),
            outcomes: BTreeMap::new(),
            others: 0,
            counts: Counts { clients: plan.users.len() as u64, ..Counts::default() },
        };
        for user in 0..plan.users.len() {
            world.records.push(Record::Connect { user: user_id(user) });
            for (conversation, before) in plan.before.iter().enumerate() {
                // A client may read up on old texts as it likes.
                if world.is_member(user, conversation) {
                    let old = (1..=*before).rev().map(|seq| old_row(conversation, seq, Some(user_id(user))));
                    world.records.extend(old);
                }
            }
        }
        world
    }

    fn is_member(&self, user: usize, conversation: usize) -> bool {
        self.plan.users[user].0 & (1 << conversation) != 0
    }

    fn step(&mut self, step: &Step) {
        let users = self.plan.users.len();
        let conversations = self.plan.before.len();
        match *step {
            Step::Send { user, conversation, blind } => {
                let (user, conversation) = (user % users, conversation % conversations);
                if self.is_member(user, conversation) {
                    self.connections[user].sent += 1;
                    // Every client counts for itself: ids are unique for their sender only.
                    let msgid = format!("t-{}", self.connections[user].sent);
                    self.outcomes.insert((user, msgid.clone()), Outcome::default());
                    self.send(user, Text { msgid, conversation, blind });
                }
            }
            Step::Acknowledge { user } => self.acknowledge(user % users),
            Step::Refuse { user, stored } => self.refuse(user % users, stored),
            Step::Retry { user } => {
                if let Some(text) = self.connections[user % users].refused.pop_front() {
                    self.send(user % users, text);
                }
            }
            Step::Break { user, stored, resend } => self.break_off(user % users, stored, resend),
            Step::Late { user } => {
                if let Some(text) = self.connections[user % users].given_up.pop_front() {
                    self.store(user % users, &text);
                }
            }
            Step::Other { conversation, with_id } => {
                self.others += 1;
                let conversation = conversation % conversations;
                let (sender, msgid) = match with_id {
                    true => (STRANGER, format!("t-{}", self.others)),
                    false => (user_id(0), String::new()),
                };
                self.tables[conversation].push(Row { sender, msgid, hash: hash(&format!("other {}", self.others)) });
            }
            Step::Deliver { user, conversation, texts } => {
                self.deliver(user % users, conversation % conversations, texts);
            }
        }
    }

    fn send(&mut self, user: usize, text: Text) {
        self.records.push(Record::Send {
            user: user_id(user),
            msgid: text.msgid.as_str().into(),
            conversation: (!text.blind).then_some(thread_id(text.conversation)),
            hash: content(user, &text.msgid),
            at_us: self.records.len() as u64,
        });
        self.connections[user].in_flight.push_back(text);
    }

    fn acknowledge(&mut self, user: usize) {
        let Some(text) = self.connections[user].in_flight.pop_front() else { return };
        let seq = self.store(user, &text);
        self.records.push(Record::Ack {
            user: user_id(user),
            msgid: text.msgid.as_str().into(),
            conversation: (!text.blind).then_some(thread_id(text.conversation)),
            seq,
            at_us: self.records.len() as u64,
        });
        self.outcomes.get_mut(&(user, text.msgid)).unwrap().acknowledged = true;
    }

    fn refuse(&mut self, user: usize, stored: bool) {
        let Some(text) = self.connections[user].in_flight.pop_front() else { return };
        if stored {
            self.store(user, &text);
        }
        self.records.push(Record::Refused { user: user_id(user), msgid: text.msgid.as_str().into(), code: 3101 });
        self.outcomes.get_mut(&(user, text.msgid.clone())).unwrap().refused = true;
        self.connections[user].refused.push_back(text);
    }

    fn break_off(&mut self, user: usize, stored: usize, resend: bool) {
        let texts = std::mem::take(&mut self.connections[user].in_flight);
        for text in texts.iter().take(stored) {
            self.store(user, text);
        }
        self.records.push(Record::Connect { user: user_id(user) });
        self.counts.reconnects += 1;
        for text in texts {
            if resend {
                self.send(user, text);
            } else {
                self.connections[user].given_up.push_back(text);
            }
        }
    }

    /// Stores a text at most once; says its number.
    fn store(&mut self, user: usize, text: &Text) -> i64 {
        let key = (user_id(user), text.msgid.clone());
        if let Some(seq) = self.stored.get(&key) {
            return *seq;
        }
        let row = Row { sender: key.0, msgid: text.msgid.clone(), hash: content(user, &text.msgid) };
        self.tables[text.conversation].push(row);
        let seq = self.plan.before[text.conversation] + i64::try_from(self.tables[text.conversation].len()).unwrap();
        self.stored.insert(key, seq);
        seq
    }

    fn deliver(&mut self, user: usize, conversation: usize, texts: usize) {
        if !self.is_member(user, conversation) {
            return;
        }
        let shown = self.shown.entry((user, conversation)).or_default();
        let from = *shown;
        *shown = self.tables[conversation].len().min(from.saturating_add(texts));
        for (index, row) in self.tables[conversation][from..*shown].iter().enumerate() {
            if row.sender == user_id(user) && !self.plan.users[user].1 {
                continue;
            }
            self.counts.received += 1;
            let seq = self.plan.before[conversation] + i64::try_from(from + index).unwrap() + 1;
            self.records.push(record(conversation, seq, row, Some(user_id(user))));
        }
    }

    fn close(mut self) -> Run {
        let mut dump = Vec::new();
        for (conversation, before) in self.plan.before.iter().enumerate() {
            let users: Vec<_> = (0..self.plan.users.len()).filter(|user| self.is_member(*user, conversation)).collect();
            self.counts.received += *before as u64 * users.len() as u64;
            let users = users.into_iter().map(user_id).collect();
            self.records.push(Record::Members { conversation: thread_id(conversation), users, after: *before });
            dump.extend((1..=*before).map(|seq| old_row(conversation, seq, None)));
            dump.extend(
                (before + 1..).zip(&self.tables[conversation]).map(|(seq, row)| record(conversation, seq, row, None)),
            );
            self.counts.stored += self.tables[conversation].len() as u64;
        }
        if self.plan.newest_first {
            dump.reverse();
        }
        self.records.extend(dump);
        for outcome in self.outcomes.values() {
            self.counts.sent += 1;
            match outcome {
                Outcome { acknowledged: true, .. } => self.counts.acknowledged += 1,
                Outcome { refused: true, .. } => self.counts.refused += 1,
                Outcome { .. } => self.counts.unknown += 1,
            }
        }
        Run { records: self.records, counts: self.counts }
    }
}

fn content(user: usize, msgid: &str) -> ContentHash {
    hash(&format!("{msgid} of {user}"))
}

/// A text from before the run, as stored or as shown to somebody. Its id says nothing now.
fn old_row(conversation: usize, seq: i64, to: Option<UserId>) -> Record {
    record(conversation, seq, &Row { sender: user_id(0), msgid: format!("old-{seq}"), hash: hash("old") }, to)
}

fn record(conversation: usize, seq: i64, row: &Row, to: Option<UserId>) -> Record {
    let (conversation, msgid, sender, hash) =
        (thread_id(conversation), row.msgid.as_str().into(), row.sender, row.hash);
    match to {
        Some(user) => Record::Recv { user, conversation, seq, msgid, sender, hash },
        None => Record::Stored { conversation, seq, msgid, sender, hash },
    }
}
