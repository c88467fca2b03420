//! Was every member's application shown each text once, in order, as it is stored? (A2, A4, A6, A7)

use std::collections::HashMap;

use uschat_proto::chat::{ThreadId, UserId};

use super::{
    Evidence, Findings, MessageNo, NO_MESSAGE, Violation,
    facts::Facts,
    rows::{RowNo, Rows},
};
use crate::oracle::{
    Kind, Rule,
    evidence::{At, Client, Event, Members, Text},
};

pub(super) fn judge(facts: &Facts, rows: &Rows<'_>, findings: &mut Findings<'_>) {
    let evidence = findings.evidence;
    let owed = Owed::count(facts, rows, findings);
    let mut conversations_of: HashMap<UserId, Vec<(ThreadId, &Members)>> = HashMap::new();
    for (conversation, members) in &evidence.members {
        for user in &members.users {
            findings.step();
            conversations_of.entry(*user).or_default().push((*conversation, members));
        }
    }
    let mut seen = Seen { message: vec![None; evidence.messages.len()], row: vec![None; evidence.stored.len()] };
    for (number, client) in (0..).zip(&evidence.clients) {
        let mut conversations = conversations_of.remove(&client.user).unwrap_or_default();
        // A fixed order, so that the same evidence gives the same report.
        conversations.sort_unstable_by_key(|(conversation, _)| *conversation);
        let views = conversations.iter().map(|(conversation, _)| (*conversation, View::default())).collect();
        let mut viewer = Viewer { facts, rows, client, number, seen: &mut seen, views };
        for (event, at) in &client.events {
            findings.step();
            if let Event::Recv(text) = event {
                viewer.judge(text, *at, findings);
            }
        }
        for (conversation, _) in conversations {
            findings.step();
            viewer.find_unseen(conversation, &owed, findings);
        }
    }
}

/// How many acknowledged texts each conversation holds, and how many of these are of whom.
#[derive(Default)]
struct Owed {
    all: HashMap<ThreadId, u64>,
    own: HashMap<(ThreadId, UserId), u64>,
}

impl Owed {
    fn count(facts: &Facts, rows: &Rows<'_>, findings: &mut Findings<'_>) -> Self {
        let evidence = findings.evidence;
        let mut owed = Self::default();
        for (message, fact) in facts.all() {
            findings.step();
            if let (Some(_), Some(row)) = (fact.acknowledged, rows.first_of(message)) {
                let conversation = evidence.stored[row as usize].text.conversation;
                let sender = evidence.messages[message as usize].sender;
                *owed.all.entry(conversation).or_default() += 1;
                *owed.own.entry((conversation, sender)).or_default() += 1;
            }
        }
        owed
    }

    fn to(&self, user: UserId, conversation: ThreadId) -> u64 {
        let count = |of: Option<&u64>| of.copied().unwrap_or_default();
        count(self.all.get(&conversation)) - count(self.own.get(&(conversation, user)))
    }
}

/// Who saw each text last, and where: one table for all clients, because they are judged one after another.
struct Seen {
    message: Vec<Option<(u32, At)>>,
    /// For texts without an id.
    row: Vec<Option<(u32, At)>>,
}

/// What a client saw of a conversation that it is a member of.
#[derive(Default)]
struct View {
    highest: Option<i64>,
    /// Acknowledged texts of others.
    seen: u64,
}

struct Viewer<'a> {
    facts: &'a Facts,
    rows: &'a Rows<'a>,
    client: &'a Client,
    number: u32,
    seen: &'a mut Seen,
    views: HashMap<ThreadId, View>,
}

impl Viewer<'_> {
    fn judge(&mut self, text: &Text, at: At, findings: &mut Findings<'_>) {
        let evidence = findings.evidence;
        if let Some(members) = evidence.members.get(&text.conversation) {
            if (1..=members.after).contains(&text.seq) {
                return;
            }
            if !self.views.contains_key(&text.conversation) {
                findings.report(Rule::A2, Kind::SeenByOutsider, |violation| {
                    self.sighting(violation, text, at, evidence).because("the client is no member")
                });
                return;
            }
        }
        match self.row_of(text, evidence) {
            Some(row) => self.judge_stored(text, row, at, findings),
            None => self.judge_unstored(text, at, findings),
        }
    }

    /// The row that was shown: the one under this number, if it holds the text with this id. Who shows no id is believed.
    fn row_of(&self, text: &Text, evidence: &Evidence) -> Option<RowNo> {
        let place = (text.conversation, text.seq);
        self.rows.of(evidence, text.message, place).or_else(|| {
            let row = self.rows.at(text.conversation, text.seq)?;
            let stored = evidence.stored[row as usize].text.message;
            let shown = text.message;
            (shown == NO_MESSAGE || evidence.msgid(stored) == evidence.msgid(shown)).then_some(row)
        })
    }

    fn judge_stored(&mut self, text: &Text, row: RowNo, at: At, findings: &mut Findings<'_>) {
        let evidence = findings.evidence;
        let message = self.rows.message_in(row);
        let rule = self.rule_of(message);
        let seen = match message {
            NO_MESSAGE => &mut self.seen.row[row as usize],
            message => &mut self.seen.message[message as usize],
        };
        if let Some((_, before)) = seen.filter(|(number, _)| *number == self.number) {
            self.report_seen_twice(text, message, (at, before), findings);
            return;
        }
        *seen = Some((self.number, at));
        self.strike_off(message, evidence);
        let stored = &evidence.stored[row as usize];
        if text.sender != stored.text.sender {
            findings.report(Rule::A6, Kind::SeenForged, |violation| {
                let violation = self.sighting(violation, text, at, evidence).against(evidence, stored.at);
                violation
                    .because(format!("shown as if {} had sent it, stored as of {}", text.sender, stored.text.sender))
            });
        }
        if text.hash != stored.text.hash {
            findings.report(rule, Kind::SeenAltered, |violation| {
                let violation = self.sighting(violation, text, at, evidence).against(evidence, stored.at);
                violation
                    .because(format!("the content shown has hash {}, the stored one {}", text.hash, stored.text.hash))
            });
        }
        self.judge_number(text, at, findings);
    }

    fn judge_number(&mut self, text: &Text, at: At, findings: &mut Findings<'_>) {
        let evidence = findings.evidence;
        let Some(view) = self.views.get_mut(&text.conversation) else { return };
        match view.highest {
            Some(highest) if text.seq < highest => findings.report(Rule::A4, Kind::Reordered, |violation| {
                self.sighting(violation, text, at, evidence).because(format!("shown after number {highest}"))
            }),
            _ => view.highest = Some(text.seq),
        }
    }

    fn judge_unstored(&mut self, text: &Text, at: At, findings: &mut Findings<'_>) {
        let evidence = findings.evidence;
        let message = text.message;
        let mut stored = None;
        if message != NO_MESSAGE {
            let seen = &mut self.seen.message[message as usize];
            if let Some((_, before)) = seen.filter(|(number, _)| *number == self.number) {
                self.report_seen_twice(text, message, (at, before), findings);
                return;
            }
            *seen = Some((self.number, at));
            stored = self.rows.first_of(message).map(|row| &evidence.stored[row as usize]);
        }
        if let Some(stored) = stored {
            self.strike_off(message, evidence);
            findings.report(Rule::A4, Kind::SeenUnderOtherNumber, |violation| {
                let violation = self.sighting(violation, text, at, evidence).against(evidence, stored.at);
                let Text { conversation, seq, .. } = stored.text;
                violation.because(format!("stored as number {seq} of conversation {conversation}"))
            });
        } else if !self.is_lost(text) {
            findings.report(Rule::A7, Kind::SeenUnstored, |violation| {
                self.sighting(violation, text, at, evidence).because("shown, and not stored")
            });
        }
    }

    /// Whether the text shown was acknowledged, and is reported already.
    fn is_lost(&self, text: &Text) -> bool {
        match text.message {
            NO_MESSAGE => self.rows.lost.contains(&(text.conversation, text.seq)),
            message => self.facts.of(message).acknowledged.is_some(),
        }
    }

    fn report_seen_twice(&self, text: &Text, message: MessageNo, (at, before): (At, At), findings: &mut Findings<'_>) {
        let evidence = findings.evidence;
        findings.report(self.rule_of(message), Kind::SeenTwice, |violation| {
            self.sighting(violation, text, at, evidence).against(evidence, before).because("shown before")
        });
    }

    /// One text less that this client should have seen.
    fn strike_off(&mut self, message: MessageNo, evidence: &Evidence) {
        if self.must_see(message, evidence)
            && let Some(row) = self.rows.first_of(message)
            && let Some(view) = self.views.get_mut(&evidence.stored[row as usize].text.conversation)
        {
            view.seen += 1;
        }
    }

    /// Whether this is an acknowledged text of somebody else.
    fn must_see(&self, message: MessageNo, evidence: &Evidence) -> bool {
        message != NO_MESSAGE
            && self.facts.of(message).acknowledged.is_some()
            && evidence.messages[message as usize].sender != self.client.user
    }

    fn find_unseen(&mut self, conversation: ThreadId, owed: &Owed, findings: &mut Findings<'_>) {
        let evidence = findings.evidence;
        let seen = self.views.get(&conversation).map_or(0, |view| view.seen);
        let unseen = owed.to(self.client.user, conversation).saturating_sub(seen);
        let (Some(table), true) = (self.rows.table(conversation), unseen > 0) else { return };
        findings.count(Rule::A2, Kind::Unseen, unseen);
        for row in table.rows.iter().copied() {
            // Every search describes at least one, so there are few.
            if !findings.has_room(Kind::Unseen) {
                break;
            }
            findings.step();
            let message = self.rows.message_in(row);
            let is_first = self.rows.first_of(message) == Some(row);
            if is_first && self.must_see(message, evidence) && !self.has_seen(message) {
                let stored = &evidence.stored[row as usize];
                findings.describe(Rule::A2, Kind::Unseen, |violation| {
                    violation
                        .row(evidence, stored, message)
                        .client(self.client.user)
                        .because("never shown to this client")
                });
            }
        }
    }

    fn has_seen(&self, message: MessageNo) -> bool {
        self.seen.message[message as usize].is_some_and(|(number, _)| number == self.number)
    }

    fn rule_of(&self, message: MessageNo) -> Rule {
        if message == NO_MESSAGE { Rule::A7 } else { self.facts.of(message).rule(Rule::A2) }
    }

    fn sighting(&self, violation: Violation, text: &Text, at: At, evidence: &Evidence) -> Violation {
        let violation = violation.client(self.client.user).number(text.conversation, text.seq);
        let violation = violation.message(evidence, text.message).at(evidence, at);
        Violation { sender: Some(text.sender), ..violation }
    }
}
