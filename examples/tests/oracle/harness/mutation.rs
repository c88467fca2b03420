//! One thing goes wrong in a run that kept the guarantee.

use std::collections::{HashMap, HashSet};

use uschat_examples::oracle::{Kind, Record, Rule};
use uschat_proto::chat::{ThreadId, UserId};

use crate::harness::altered;

/// Somebody who is in no conversation.
const OUTSIDER: UserId = UserId(98);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mutation {
    DropRow,
    DoubleRow,
    AlterRow,
    ForgeRow,
    InventRow,
    SwapRows,
    SkipNumbers,
    DropSighting,
    DoubleSighting,
    AlterSighting,
    ForgeSighting,
    SwapSightings,
    RenumberSighting,
    InventSighting,
    ShowOutsider,
    AcknowledgeOtherNumber,
    AcknowledgeUnsent,
}

impl Mutation {
    pub const ALL: [Self; 17] = [
        Self::DropRow,
        Self::DoubleRow,
        Self::AlterRow,
        Self::ForgeRow,
        Self::InventRow,
        Self::SwapRows,
        Self::SkipNumbers,
        Self::DropSighting,
        Self::DoubleSighting,
        Self::AlterSighting,
        Self::ForgeSighting,
        Self::SwapSightings,
        Self::RenumberSighting,
        Self::InventSighting,
        Self::ShowOutsider,
        Self::AcknowledgeOtherNumber,
        Self::AcknowledgeUnsent,
    ];

    /// Does this to the run, at the place that `choice` chooses; says what must be found, in the order of the rules. `None`
    /// if the run has no place for it.
    pub fn apply(self, records: &mut Vec<Record>, choice: usize) -> Option<Vec<(Rule, Kind)>> {
        let scene = Scene::of(records);
        let choose = |wanted: &dyn Fn(&Record) -> bool| {
            let found: Vec<_> = (0..records.len()).filter(|index| wanted(&records[*index])).collect();
            (!found.is_empty()).then(|| found[choice % found.len()])
        };
        let is_row = |record: &Record| matches!(record, Record::Stored { .. });
        let is_sighting = |record: &Record| matches!(record, Record::Recv { .. });
        let is_new = |record: &Record| scene.is_new(record);
        let has_id = |record: &Record| scene.key(record).is_some_and(|(_, msgid)| !msgid.is_empty());
        let is_sent = |record: &Record| scene.key(record).is_some_and(|key| scene.sent.contains(&key));
        let is_acknowledged = |record: &Record| scene.key(record).is_some_and(|key| scene.acknowledged.contains(&key));
        let rule = |record: &Record, rule| if is_acknowledged(record) { rule } else { Rule::A7 };
        Some(match self {
            Self::DropRow => {
                let row =
                    records.remove(choose(&|record| is_row(record) && is_new(record) && is_acknowledged(record))?);
                let (conversation, seq) = scene.place(&row)?;
                let lost = (Rule::A1, Kind::Lost);
                // The last number leaves no gap.
                if seq == scene.last[&conversation] { vec![lost] } else { vec![lost, (Rule::A3, Kind::Gap)] }
            }
            Self::DoubleRow => {
                let mut row = records[choose(&|record| is_row(record) && is_new(record) && has_id(record))?].clone();
                let found = (rule(&row, Rule::A1), Kind::StoredTwice);
                scene.put_last(&mut row)?;
                records.push(row);
                vec![found]
            }
            Self::AlterRow => {
                let row = records[choose(&|record| is_row(record) && is_new(record) && is_sent(record))?].clone();
                let found = (rule(&row, Rule::A1), Kind::StoredAltered);
                scene.for_each_copy(records, &row, |copy| *copy = altered(copy.clone()));
                vec![found]
            }
            Self::ForgeRow => {
                let row = records[choose(&|record| is_row(record) && is_new(record) && is_sent(record))?].clone();
                scene.for_each_copy(records, &row, |copy| scene.forge(copy));
                vec![(Rule::A6, Kind::StoredForged)]
            }
            Self::InventRow => {
                let mut row = records[choose(&|record| is_row(record) && is_new(record) && is_sent(record))?].clone();
                scene.put_last(&mut row)?;
                rename(&mut row, "invented");
                records.push(row);
                vec![(Rule::A6, Kind::StoredForged)]
            }
            Self::SwapRows => {
                let (first, second) = scene.neighbours(records, choice)?;
                scene.swap_contents(records, &first, &second);
                vec![(Rule::A5, Kind::OrderBroken)]
            }
            Self::SkipNumbers => {
                let (conversation, from) =
                    scene.place(&records[choose(&|record| is_row(record) && is_new(record))?])?;
                for record in records.iter_mut() {
                    match scene.place(record) {
                        Some((place, seq)) if place == conversation && seq >= from => renumber(record, seq + 3),
                        _ => {}
                    }
                }
                vec![(Rule::A3, Kind::Gap)]
            }
            Self::DropSighting => {
                let others = |record: &Record| is_sighting(record) && scene.is_of_other(record);
                records.remove(choose(&|record| others(record) && is_new(record) && is_acknowledged(record))?);
                vec![(Rule::A2, Kind::Unseen)]
            }
            Self::DoubleSighting => {
                let again = records[choose(&|record| is_sighting(record) && is_new(record))?].clone();
                let found = (rule(&again, Rule::A2), Kind::SeenTwice);
                records.push(again);
                vec![found]
            }
            Self::AlterSighting => {
                let index = choose(&|record| is_sighting(record) && is_new(record))?;
                records[index] = altered(records[index].clone());
                vec![(rule(&records[index], Rule::A2), Kind::SeenAltered)]
            }
            Self::ForgeSighting => {
                let index = choose(&|record| is_sighting(record) && is_new(record))?;
                scene.forge(&mut records[index]);
                vec![(Rule::A6, Kind::SeenForged)]
            }
            Self::SwapSightings => {
                let (earlier, later) = scene.adjacent_sightings(records, choice)?;
                records.swap(earlier, later);
                vec![(Rule::A4, Kind::Reordered)]
            }
            Self::RenumberSighting => {
                let index = choose(&|record| is_sighting(record) && is_new(record) && has_id(record))?;
                scene.put_last(&mut records[index])?;
                vec![(Rule::A4, Kind::SeenUnderOtherNumber)]
            }
            Self::InventSighting => {
                let mut sighting = records[choose(&|record| is_sighting(record) && is_new(record))?].clone();
                scene.put_last(&mut sighting)?;
                rename(&mut sighting, "invented");
                records.push(sighting);
                vec![(Rule::A7, Kind::SeenUnstored)]
            }
            Self::ShowOutsider => {
                let mut sighting = records[choose(&|record| is_sighting(record) && is_new(record))?].clone();
                let Record::Recv { user, .. } = &mut sighting else { return None };
                *user = OUTSIDER;
                records.push(sighting);
                vec![(Rule::A2, Kind::SeenByOutsider)]
            }
            Self::AcknowledgeOtherNumber => {
                let index = choose(&|record| matches!(record, Record::Ack { .. }))?;
                let (_, seq) = scene.place(&records[index])?;
                renumber(&mut records[index], seq + 1);
                vec![(Rule::A1, Kind::FalselyAcknowledged)]
            }
            Self::AcknowledgeUnsent => {
                let mut ack = records[choose(&|record| matches!(record, Record::Ack { .. }))?].clone();
                rename(&mut ack, "invented");
                records.push(ack);
                vec![(Rule::A1, Kind::FalselyAcknowledged)]
            }
        })
    }
}

/// A sender and an id of theirs.
type Key = (UserId, Box<str>);

/// What the run's records say together.
struct Scene {
    sent: HashSet<Key>,
    acknowledged: HashSet<Key>,
    refused: HashSet<Key>,
    stored: HashMap<Key, (ThreadId, i64)>,
    after: HashMap<ThreadId, i64>,
    last: HashMap<ThreadId, i64>,
}

impl Scene {
    fn of(records: &[Record]) -> Self {
        let (sent, acknowledged, refused, stored, after, last) = Default::default();
        let mut scene = Self { sent, acknowledged, refused, stored, after, last };
        for record in records {
            match record {
                Record::Send { user, msgid, .. } => _ = scene.sent.insert((*user, msgid.clone())),
                Record::Ack { user, msgid, .. } => _ = scene.acknowledged.insert((*user, msgid.clone())),
                Record::Refused { user, msgid, .. } => _ = scene.refused.insert((*user, msgid.clone())),
                Record::Members { conversation, after, .. } => _ = scene.after.insert(*conversation, *after),
                Record::Stored { conversation, seq, msgid, sender, .. } => {
                    scene.stored.insert((*sender, msgid.clone()), (*conversation, *seq));
                    let last = scene.last.entry(*conversation).or_default();
                    *last = (*last).max(*seq);
                }
                _ => {}
            }
        }
        scene
    }

    fn key(&self, record: &Record) -> Option<Key> {
        match record {
            Record::Stored { sender: user, msgid, .. }
            | Record::Recv { sender: user, msgid, .. }
            | Record::Ack { user, msgid, .. } => Some((*user, msgid.clone())),
            _ => None,
        }
    }

    /// Where a record says a text is. An acknowledgement need not name the conversation.
    fn place(&self, record: &Record) -> Option<(ThreadId, i64)> {
        match record {
            Record::Stored { conversation, seq, .. } | Record::Recv { conversation, seq, .. } => {
                Some((*conversation, *seq))
            }
            Record::Ack { .. } => self.stored.get(&self.key(record)?).copied(),
            _ => None,
        }
    }

    fn is_new(&self, record: &Record) -> bool {
        self.place(record).is_some_and(|(conversation, seq)| seq > self.after[&conversation])
    }

    fn is_of_other(&self, record: &Record) -> bool {
        matches!(record, Record::Recv { user, sender, .. } if user != sender)
    }

    /// Gives a record the number behind all others of its conversation.
    fn put_last(&self, record: &mut Record) -> Option<()> {
        let (conversation, _) = self.place(record)?;
        renumber(record, self.last[&conversation] + 1);
        Some(())
    }

    /// The row and all sightings of it.
    fn for_each_copy(&self, records: &mut [Record], row: &Record, mut change: impl FnMut(&mut Record)) {
        let place = self.place(row);
        for record in records.iter_mut().filter(|record| !matches!(record, Record::Ack { .. })) {
            if self.place(record) == place {
                change(record);
            }
        }
    }

    /// Names another sender: a client that has no text of this id, or somebody else.
    fn forge(&self, record: &mut Record) {
        let (Record::Stored { sender, msgid, .. } | Record::Recv { sender, msgid, .. }) = record else { return };
        let clients = self.sent.iter().map(|(user, _)| *user);
        let free = clients.filter(|user| user != sender && !self.sent.contains(&(*user, msgid.clone()))).min();
        *sender = free.unwrap_or(UserId(97));
    }

    /// Two texts of a sender that stand one behind the other among this sender's in a conversation, with certain places.
    fn neighbours(&self, records: &[Record], choice: usize) -> Option<(Record, Record)> {
        let mut rows: Vec<_> = records.iter().filter(|record| matches!(record, Record::Stored { .. })).collect();
        rows.retain(|row| self.is_new(row) && self.key(row).is_some_and(|key| self.sent.contains(&key)));
        rows.sort_by_key(|row| (self.key(row).map(|key| key.0), self.place(row)));
        let certain = |row: &Record| {
            self.key(row).is_some_and(|key| self.acknowledged.contains(&key) && !self.refused.contains(&key))
        };
        let together = |a: &Record, b: &Record| {
            let sender = |row: &Record| self.key(row).map(|key| key.0);
            sender(a) == sender(b) && self.place(a).map(|place| place.0) == self.place(b).map(|place| place.0)
        };
        let pairs: Vec<_> = rows.windows(2).filter(|pair| together(pair[0], pair[1])).collect();
        let pairs: Vec<_> = pairs.into_iter().filter(|pair| certain(pair[0]) && certain(pair[1])).collect();
        (!pairs.is_empty()).then(|| pairs[choice % pairs.len()]).map(|pair| (pair[0].clone(), pair[1].clone()))
    }

    /// Stores, acknowledges and shows either text where the other one is.
    fn swap_contents(&self, records: &mut [Record], first: &Record, second: &Record) {
        let Some((a, b)) = self.place(first).zip(self.place(second)) else { return };
        for record in records {
            let other = match self.place(record) {
                Some(place) if place == a => (second, b.1),
                Some(place) if place == b => (first, a.1),
                _ => continue,
            };
            match (record, other) {
                (Record::Ack { seq, .. }, (_, number)) => *seq = number,
                (
                    Record::Stored { msgid, hash, .. } | Record::Recv { msgid, hash, .. },
                    (Record::Stored { msgid: other_msgid, hash: other_hash, .. }, _),
                ) => {
                    msgid.clone_from(other_msgid);
                    *hash = *other_hash;
                }
                _ => {}
            }
        }
    }

    /// Two texts that a client was shown one after the other in a conversation.
    fn adjacent_sightings(&self, records: &[Record], choice: usize) -> Option<(usize, usize)> {
        let mut last: HashMap<(UserId, ThreadId), usize> = HashMap::new();
        let mut pairs = Vec::new();
        for (index, record) in records.iter().enumerate() {
            if let (Record::Recv { user, conversation, .. }, true) = (record, self.is_new(record)) {
                pairs.extend(last.insert((*user, *conversation), index).map(|before| (before, index)));
            }
        }
        (!pairs.is_empty()).then(|| pairs[choice % pairs.len()])
    }
}

fn renumber(record: &mut Record, number: i64) {
    if let Record::Stored { seq, .. } | Record::Recv { seq, .. } | Record::Ack { seq, .. } = record {
        *seq = number;
    }
}

fn rename(record: &mut Record, name: &str) {
    if let Record::Stored { msgid, .. } | Record::Recv { msgid, .. } | Record::Ack { msgid, .. } = record {
        *msgid = name.into();
    }
}
