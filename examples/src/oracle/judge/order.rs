//! Is what one sender sent into a conversation stored in that order? (A5)
//!
//! A text stands where it was first sent: a retry after a lost connection does not move it. Two things loosen that:
//!
//! * A text that was refused and sent again may stand in its old or in its new place, for its sender decided anew.
//! * A text that was never answered is held to the order of its own connection only: the server may still have been busy
//!   with it when the client, somewhere else, went on. One that was refused and not sent again is held to none.

use std::collections::{HashMap, HashSet};

use uschat_proto::chat::UserId;

use super::{
    Findings, MessageNo, NO_MESSAGE,
    facts::{Fact, Facts, Sent},
    rows::Rows,
};
use crate::oracle::{Kind, Rule};

pub(super) fn judge(facts: &Facts, rows: &Rows<'_>, findings: &mut Findings<'_>) {
    let evidence = findings.evidence;
    // A text that is stored twice stands where it stands first.
    let mut placed = HashSet::new();
    for table in &rows.tables {
        let mut front = Front::default();
        for row in table.in_order() {
            findings.step();
            let message = rows.message_in(row);
            if message == NO_MESSAGE || (rows.is_repeated(message) && !placed.insert(message)) {
                continue;
            }
            let fact = facts.of(message);
            let Some(sent) = &fact.sent else { continue };
            let sender = evidence.messages[message as usize].sender;
            if let Some((position, later)) = front.bound(sender, sent, fact)
                && position > sent.latest
            {
                findings.report(Rule::A5, Kind::OrderBroken, |violation| {
                    let violation = violation.row(evidence, &evidence.stored[row as usize], message).client(sender);
                    let violation = violation.at(evidence, sent.at);
                    let violation = match facts.of(later).sent {
                        Some(later) => violation.against(evidence, later.at),
                        None => violation,
                    };
                    let later = evidence.msgid(later).unwrap_or_default();
                    violation.because(format!("stored behind text {later:?}, which was sent after it"))
                });
            }
            front.advance(sender, sent, message);
        }
    }
}

/// The last position that is stored so far, and the text that stands there.
type Last = (usize, MessageNo);

/// How far each sender's texts are stored.
#[derive(Default)]
struct Front {
    overall: HashMap<UserId, Last>,
    in_session: HashMap<(UserId, u32), Last>,
}

impl Front {
    /// What this text must not stand behind.
    fn bound(&self, sender: UserId, sent: &Sent, fact: &Fact) -> Option<Last> {
        match (fact.acknowledged, fact.refused) {
            (Some(_), _) => self.overall.get(&sender).copied(),
            (None, false) => self.in_session.get(&(sender, sent.session)).copied(),
            (None, true) => None,
        }
    }

    fn advance(&mut self, sender: UserId, sent: &Sent, message: MessageNo) {
        let here = (sent.earliest, message);
        let overall = self.overall.entry(sender).or_insert(here);
        *overall = here.max(*overall);
        let in_session = self.in_session.entry((sender, sent.session)).or_insert(here);
        *in_session = here.max(*in_session);
    }
}
