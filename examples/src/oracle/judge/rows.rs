//! The store's rows, found by number and by text, and whether their numbers are right (A3).

use std::collections::{BTreeMap, HashMap, HashSet};

use uschat_proto::chat::{ThreadId, UserId};

use super::{Findings, NO_MESSAGE};
use crate::oracle::{
    BadEvidence, Kind, Rule,
    evidence::{Evidence, Members, MessageNo, Stored, Text},
};

/// An index into the evidence's rows.
pub(super) type RowNo = u32;
const NO_ROW: RowNo = RowNo::MAX;

/// The rows of the run.
pub(super) struct Rows<'a> {
    pub(super) tables: Vec<Table<'a>>,
    table_of: HashMap<ThreadId, usize>,
    /// Whose text each row holds. Differs from what the row says where the sender is forged.
    holds: Vec<MessageNo>,
    /// The row that holds a text; the first, if there are several.
    of_message: Vec<RowNo>,
    /// Those behind the first, which a sound store does not have.
    more: HashMap<(MessageNo, ThreadId, i64), RowNo>,
    repeated: HashSet<MessageNo>,
    /// Where acknowledged texts should be that are nowhere.
    pub(super) lost: HashSet<(ThreadId, i64)>,
}

/// The rows of one conversation.
pub(super) struct Table<'a> {
    pub(super) conversation: ThreadId,
    pub(super) members: &'a Members,
    /// In the order of the dump.
    pub(super) rows: Vec<RowNo>,
    /// Row of number `after + 1 + index`: as many places as there are rows, so a sound store fits exactly.
    numbered: Vec<RowNo>,
    /// Those with higher numbers.
    beyond: BTreeMap<i64, RowNo>,
}

impl<'a> Rows<'a> {
    pub(super) fn gather(evidence: &'a Evidence, findings: &mut Findings<'_>) -> Result<Self, BadEvidence> {
        let mut rows = Self {
            tables: Vec::new(),
            table_of: HashMap::new(),
            holds: vec![NO_MESSAGE; evidence.stored.len()],
            of_message: vec![NO_ROW; evidence.messages.len()],
            more: HashMap::new(),
            repeated: HashSet::new(),
            lost: HashSet::new(),
        };
        for (row, stored) in (0..).zip(&evidence.stored) {
            findings.step();
            rows.put(evidence, row, stored)?;
        }
        for table in &mut rows.tables {
            table.number(evidence, findings);
            table.find_gaps(findings);
            findings.verdict.counts.stored += table.rows.len() as u64;
        }
        findings.verdict.counts.members_without_history = strangers(evidence, findings);
        Ok(rows)
    }

    fn put(&mut self, evidence: &'a Evidence, row: RowNo, stored: &Stored) -> Result<(), BadEvidence> {
        let Text { conversation, seq, message, .. } = stored.text;
        let Some(members) = evidence.members.get(&conversation) else {
            let place = evidence.place(stored.at);
            let problem = format!("nothing says who the members of conversation {conversation} are");
            return Err(BadEvidence { file: place.file, line: Some(place.line), problem });
        };
        if (1..=members.after).contains(&seq) {
            return Ok(());
        }
        let table = *self.table_of.entry(conversation).or_insert_with(|| {
            let (rows, numbered, beyond) = Default::default();
            self.tables.push(Table { conversation, members, rows, numbered, beyond });
            self.tables.len() - 1
        });
        self.tables[table].rows.push(row);
        if message != NO_MESSAGE {
            self.assign(row, stored, message);
        }
        Ok(())
    }

    /// Says that a row holds this text.
    pub(super) fn assign(&mut self, row: RowNo, stored: &Stored, message: MessageNo) {
        self.holds[row as usize] = message;
        let first = &mut self.of_message[message as usize];
        if *first == NO_ROW {
            *first = row;
        } else {
            self.more.insert((message, stored.text.conversation, stored.text.seq), row);
            self.repeated.insert(message);
        }
    }

    /// The text that a row holds; [`NO_MESSAGE`] if it has no id.
    pub(super) fn message_in(&self, row: RowNo) -> MessageNo {
        self.holds[row as usize]
    }

    /// The row that holds a text; the first, if there are several.
    pub(super) fn first_of(&self, message: MessageNo) -> Option<RowNo> {
        self.of_message.get(message as usize).copied().filter(|row| *row != NO_ROW)
    }

    /// Whether several rows hold this text.
    pub(super) fn is_repeated(&self, message: MessageNo) -> bool {
        self.repeated.contains(&message)
    }

    /// The row that holds this text under this number.
    pub(super) fn of(&self, evidence: &Evidence, message: MessageNo, place: (ThreadId, i64)) -> Option<RowNo> {
        let first = self.first_of(message)?;
        let text = &evidence.stored[first as usize].text;
        let more = || self.more.get(&(message, place.0, place.1)).copied();
        if (text.conversation, text.seq) == place { Some(first) } else { more() }
    }

    /// The row under this number; the first, if there are several.
    pub(super) fn at(&self, conversation: ThreadId, seq: i64) -> Option<RowNo> {
        self.tables[*self.table_of.get(&conversation)?].at(seq)
    }

    /// The table of this conversation, if anything is stored in it.
    pub(super) fn table(&self, conversation: ThreadId) -> Option<&Table<'a>> {
        self.table_of.get(&conversation).map(|table| &self.tables[*table])
    }
}

impl Table<'_> {
    /// The rows by rising numbers. Of two with the same number the first; without those that have no number.
    pub(super) fn in_order(&self) -> impl Iterator<Item = RowNo> {
        self.numbered.iter().copied().filter(|row| *row != NO_ROW).chain(self.beyond.values().copied())
    }

    fn at(&self, seq: i64) -> Option<RowNo> {
        let slot = self.slot(seq).and_then(|slot| self.numbered.get(slot));
        slot.or_else(|| self.beyond.get(&seq)).copied().filter(|row| *row != NO_ROW)
    }

    fn slot(&self, seq: i64) -> Option<usize> {
        usize::try_from(seq.checked_sub(self.members.after)?.checked_sub(1)?).ok()
    }

    fn number(&mut self, evidence: &Evidence, findings: &mut Findings<'_>) {
        self.numbered = vec![NO_ROW; self.rows.len()];
        for row in self.rows.iter().copied() {
            findings.step();
            let Stored { text, at } = &evidence.stored[row as usize];
            if text.seq < 1 {
                findings.report(Rule::A3, Kind::NotNumbered, |violation| {
                    let violation = violation.message(evidence, text.message).at(evidence, *at);
                    violation.number(self.conversation, text.seq).because("numbers begin with 1")
                });
                continue;
            }
            let slot = self.slot(text.seq).and_then(|slot| self.numbered.get_mut(slot));
            let place = match slot {
                Some(place) => place,
                None => self.beyond.entry(text.seq).or_insert(NO_ROW),
            };
            if *place == NO_ROW {
                *place = row;
            } else {
                let holder = &evidence.stored[*place as usize];
                findings.report(Rule::A3, Kind::NumberTwice, |violation| {
                    let violation =
                        violation.message(evidence, text.message).at(evidence, *at).against(evidence, holder.at);
                    violation.number(self.conversation, text.seq).because("another text has this number")
                });
            }
        }
    }

    /// Reports each run of missing numbers as one violation that counts as many times as numbers are missing.
    fn find_gaps(&self, findings: &mut Findings<'_>) {
        let evidence = findings.evidence;
        let mut last = self.members.after.max(0);
        for row in self.in_order() {
            findings.step();
            let Stored { text, at } = &evidence.stored[row as usize];
            let missing = text.seq.saturating_sub(last).saturating_sub(1);
            if missing > 0 {
                findings.count(Rule::A3, Kind::Gap, missing.unsigned_abs());
                findings.describe(Rule::A3, Kind::Gap, |violation| {
                    let first = last.saturating_add(1);
                    let until = text.seq - 1;
                    let detail = match missing {
                        1 => "nothing is stored under it".into(),
                        _ => format!("nothing is stored under it and those up to {until}"),
                    };
                    violation.number(self.conversation, first).at(evidence, *at).because(detail)
                });
            }
            last = text.seq;
        }
    }
}

/// How many members have no history.
fn strangers(evidence: &Evidence, findings: &mut Findings<'_>) -> u64 {
    let mut strangers: HashSet<UserId> = HashSet::new();
    for user in evidence.members.values().flat_map(|members| &members.users) {
        findings.step();
        if evidence.client(*user).is_none() {
            strangers.insert(*user);
        }
    }
    strangers.len() as u64
}
