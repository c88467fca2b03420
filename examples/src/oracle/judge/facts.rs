//! What the senders' histories say about each text.

use std::collections::HashSet;

use uschat_proto::chat::ThreadId;

use super::Findings;
use crate::oracle::{
    ContentHash, Kind, Rule,
    evidence::{At, Event, Evidence, MessageNo},
};

/// One [`Fact`] for each text, and what few texts need besides.
pub(super) struct Facts {
    facts: Vec<Fact>,
    /// Contents and conversations of attempts that differ from the first.
    other_hashes: HashSet<(MessageNo, ContentHash)>,
    other_conversations: HashSet<(MessageNo, Option<ThreadId>)>,
}

/// What its sender knows about a text.
#[derive(Debug, Clone, Default)]
pub(super) struct Fact {
    pub(super) sent: Option<Sent>,
    pub(super) acknowledged: Option<Told>,
    pub(super) refused: bool,
}

/// The first acknowledgement of a text.
#[derive(Debug, Clone, Copy)]
pub(super) struct Told {
    pub(super) at: At,
    pub(super) conversation: Option<ThreadId>,
    pub(super) seq: i64,
}

/// How a text was sent. Positions count the events of its sender's history.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sent {
    pub(super) at: At,
    pub(super) conversation: Option<ThreadId>,
    pub(super) hash: ContentHash,
    /// Of the first attempt.
    pub(super) earliest: usize,
    /// Of the first attempt after the last refusal: a text that is sent again after a refusal may be stored in its old
    /// place or in its new one.
    pub(super) latest: usize,
    /// How many logins there had been at `latest`.
    pub(super) session: u32,
    refused_since: bool,
}

impl Facts {
    pub(super) fn gather(evidence: &Evidence, findings: &mut Findings<'_>) -> Self {
        let mut facts = Self {
            facts: vec![Fact::default(); evidence.messages.len()],
            other_hashes: HashSet::new(),
            other_conversations: HashSet::new(),
        };
        for client in &evidence.clients {
            let mut session = 0;
            for (position, (event, at)) in client.events.iter().enumerate() {
                findings.step();
                match *event {
                    Event::Connect => {
                        findings.verdict.counts.reconnects += u64::from(session > 0);
                        session += 1;
                    }
                    Event::Send { message, conversation, hash } => {
                        let now = Sent {
                            at: *at,
                            conversation,
                            hash,
                            earliest: position,
                            latest: position,
                            session,
                            refused_since: false,
                        };
                        facts.attempt(message, now);
                    }
                    Event::Ack { message, conversation, seq, .. } => {
                        let fact = &mut facts.facts[message as usize];
                        if fact.sent.is_none() {
                            findings.report(Rule::A1, Kind::FalselyAcknowledged, |violation| {
                                let violation = violation.client(client.user).message(evidence, message);
                                violation.at(evidence, *at).because("acknowledged before it was ever sent")
                            });
                        } else {
                            fact.acknowledged = fact.acknowledged.or(Some(Told { at: *at, conversation, seq }));
                        }
                    }
                    Event::Refused { message } => {
                        let fact = &mut facts.facts[message as usize];
                        fact.refused = true;
                        if let Some(sent) = &mut fact.sent {
                            sent.refused_since = true;
                        }
                    }
                    Event::Recv(_) => findings.verdict.counts.received += 1,
                }
            }
        }
        facts.count(findings);
        facts
    }

    pub(super) fn of(&self, message: MessageNo) -> &Fact {
        &self.facts[message as usize]
    }

    /// All texts, also those of which only their id was seen.
    pub(super) fn all(&self) -> impl Iterator<Item = (MessageNo, &Fact)> {
        (0..).zip(&self.facts)
    }

    /// Whether an attempt had this content.
    pub(super) fn was_sent_as(&self, message: MessageNo, sent: &Sent, hash: ContentHash) -> bool {
        sent.hash == hash || self.other_hashes.contains(&(message, hash))
    }

    /// Whether an attempt may have gone to this conversation.
    pub(super) fn was_sent_to(&self, message: MessageNo, sent: &Sent, conversation: ThreadId) -> bool {
        let others = &self.other_conversations;
        sent.conversation.is_none_or(|known| known == conversation)
            || others.contains(&(message, Some(conversation)))
            || others.contains(&(message, None))
    }

    fn attempt(&mut self, message: MessageNo, now: Sent) {
        let fact = &mut self.facts[message as usize];
        let Some(sent) = &mut fact.sent else {
            fact.sent = Some(now);
            return;
        };
        if sent.refused_since {
            (sent.latest, sent.session, sent.refused_since) = (now.latest, now.session, false);
        }
        if sent.hash != now.hash {
            self.other_hashes.insert((message, now.hash));
        }
        if sent.conversation != now.conversation {
            self.other_conversations.insert((message, now.conversation));
        }
    }

    fn count(&self, findings: &mut Findings<'_>) {
        let counts = &mut findings.verdict.counts;
        counts.clients = findings.evidence.clients.len() as u64;
        for fact in self.facts.iter().filter(|fact| fact.sent.is_some()) {
            counts.sent += 1;
            match (fact.acknowledged, fact.refused) {
                (Some(_), _) => counts.acknowledged += 1,
                (None, true) => counts.refused += 1,
                (None, false) => counts.unknown += 1,
            }
        }
    }
}

impl Fact {
    /// A text that was acknowledged is judged by the first of these rules, any other by A7.
    pub(super) fn rule(&self, if_acknowledged: Rule) -> Rule {
        if self.acknowledged.is_some() { if_acknowledged } else { Rule::A7 }
    }
}
