//! Is in the store what was sent, and only that? (A1, A6, A7)

use std::collections::HashMap;

use uschat_proto::chat::ThreadId;

use super::{
    Evidence, Findings, MessageNo, NO_MESSAGE, Violation,
    facts::{Facts, Sent, Told},
    rows::{RowNo, Rows},
};
use crate::oracle::{
    ContentHash, Kind, Rule,
    evidence::{Event, Stored},
};

pub(super) fn judge(facts: &Facts, rows: &mut Rows<'_>, findings: &mut Findings<'_>) {
    judge_senders(facts, rows, findings);
    judge_rows(facts, rows, findings);
    judge_acknowledgements(facts, rows, findings);
}

/// A row that its sender did not send is somebody else's, stored under a false name, or nobody's.
fn judge_senders(facts: &Facts, rows: &mut Rows<'_>, findings: &mut Findings<'_>) {
    let evidence = findings.evidence;
    let unsent = |row: &RowNo| {
        let message = rows.message_in(*row);
        message != NO_MESSAGE && facts.of(message).sent.is_none()
    };
    let orphans: Vec<RowNo> = rows.tables.iter().flat_map(|table| &table.rows).copied().filter(unsent).collect();
    if orphans.is_empty() {
        return;
    }
    let mut missing: HashMap<Likeness<'_>, Vec<(MessageNo, Sent)>> = HashMap::new();
    for (message, fact) in facts.all() {
        findings.step();
        if let (Some(sent), None) = (fact.sent, rows.first_of(message)) {
            let likeness = (evidence.msgid(message), sent.hash, sent.conversation);
            missing.entry(likeness).or_default().push((message, sent));
        }
    }
    for row in orphans {
        findings.step();
        let stored @ Stored { text, at } = &evidence.stored[row as usize];
        let mut find = |conversation| missing.get_mut(&(evidence.msgid(text.message), text.hash, conversation))?.pop();
        let owner = find(Some(text.conversation)).or_else(|| find(None));
        if let Some((message, sent)) = owner {
            rows.assign(row, stored, message);
            findings.report(Rule::A6, Kind::StoredForged, |violation| {
                let violation = violation.row(evidence, stored, message).against(evidence, sent.at);
                let user = evidence.messages[message as usize].sender;
                violation.client(user).because(format!("stored as if {} had sent it", text.sender))
            });
        } else if evidence.client(text.sender).is_some() {
            findings.report(Rule::A6, Kind::StoredForged, |violation| {
                let violation = violation.row(evidence, stored, text.message).at(evidence, *at);
                violation.because("stored, and its sender never sent it")
            });
        }
    }
}

/// What a text that was sent and its row under another name have in common. A sender need not know the conversation.
type Likeness<'a> = (Option<&'a str>, ContentHash, Option<ThreadId>);

fn judge_rows(facts: &Facts, rows: &Rows<'_>, findings: &mut Findings<'_>) {
    let evidence = findings.evidence;
    for row in rows.tables.iter().flat_map(|table| &table.rows).copied() {
        findings.step();
        let message = rows.message_in(row);
        let Some(first) = rows.first_of(message) else { continue };
        let stored @ Stored { text, .. } = &evidence.stored[row as usize];
        let fact = facts.of(message);
        let rule = fact.rule(Rule::A1);
        if first != row {
            let other = &evidence.stored[first as usize];
            findings.report(rule, Kind::StoredTwice, |violation| {
                let violation = violation.row(evidence, stored, message).against(evidence, other.at);
                violation.because(format!(
                    "stored as number {} of conversation {} too",
                    other.text.seq, other.text.conversation
                ))
            });
            continue;
        }
        let Some(sent) = &fact.sent else { continue };
        if !facts.was_sent_as(message, sent, text.hash) {
            findings.report(rule, Kind::StoredAltered, |violation| {
                let violation = violation.row(evidence, stored, message).against(evidence, sent.at);
                violation.because(format!("the stored content has hash {}, that sent {}", text.hash, sent.hash))
            });
        }
        if !facts.was_sent_to(message, sent, text.conversation) {
            findings.report(rule, Kind::StoredElsewhere, |violation| {
                let violation = violation.row(evidence, stored, message).against(evidence, sent.at);
                violation.because("it was sent to another conversation")
            });
        }
    }
}

fn judge_acknowledgements(facts: &Facts, rows: &mut Rows<'_>, findings: &mut Findings<'_>) {
    let evidence = findings.evidence;
    for (message, fact) in facts.all() {
        findings.step();
        if let (Some(Told { at, conversation, seq }), None) = (fact.acknowledged, rows.first_of(message)) {
            rows.lost.extend(conversation.map(|conversation| (conversation, seq)));
            findings.report(Rule::A1, Kind::Lost, |violation| {
                let violation = violation.message(evidence, message).at(evidence, at);
                let violation = Violation { client: violation.sender, ..violation };
                violation.because(format!("acknowledged as number {seq}, and not stored"))
            });
        }
    }
    for client in &evidence.clients {
        for (event, at) in &client.events {
            findings.step();
            let Event::Ack { message, conversation, seq, .. } = *event else { continue };
            let Some(first) = rows.first_of(message).filter(|_| facts.of(message).sent.is_some()) else { continue };
            let stored = &evidence.stored[first as usize];
            let place = (conversation.unwrap_or(stored.text.conversation), seq);
            if rows.of(evidence, message, place).is_none() {
                findings.report(Rule::A1, Kind::FalselyAcknowledged, |violation| {
                    let violation = violation.row(evidence, stored, message).client(client.user);
                    let violation = violation.against(evidence, stored.at).at(evidence, *at);
                    violation.because(format!("acknowledged as number {} of conversation {}", place.1, place.0))
                });
            }
        }
    }
}

impl Violation {
    /// Names a row, and as sender whoever sent the text that it holds.
    pub(super) fn row(self, evidence: &Evidence, stored: &Stored, message: MessageNo) -> Self {
        let text = &stored.text;
        let violation = self.number(text.conversation, text.seq).message(evidence, message).at(evidence, stored.at);
        Self { sender: violation.sender.or(Some(text.sender)), ..violation }
    }
}
