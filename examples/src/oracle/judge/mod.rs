//! The rules, applied to packed records. Each file is one pass; none looks back further than a table reaches, so the work
//! is proportional to the records.

mod facts;
mod order;
mod rows;
mod showing;
mod storing;

use facts::Facts;
use rows::Rows;
use uschat_proto::chat::{ThreadId, UserId};

use super::{
    BadEvidence, Kind, Rule, Verdict, Violation,
    evidence::{At, Evidence, MessageNo, NO_MESSAGE},
    recovery,
};

pub(super) fn judge(evidence: &Evidence, examples: usize) -> Result<Verdict, BadEvidence> {
    let mut findings = Findings::new(evidence, examples);
    let facts = Facts::gather(evidence, &mut findings);
    let mut rows = Rows::gather(evidence, &mut findings)?;
    storing::judge(&facts, &mut rows, &mut findings);
    showing::judge(&facts, &rows, &mut findings);
    order::judge(&facts, &rows, &mut findings);
    Ok(findings.close())
}

/// Collects what the passes find.
struct Findings<'a> {
    evidence: &'a Evidence,
    examples: usize,
    described: [usize; Kind::ALL.len()],
    verdict: Verdict,
}

impl<'a> Findings<'a> {
    fn new(evidence: &'a Evidence, examples: usize) -> Self {
        Self { evidence, examples, described: [0; Kind::ALL.len()], verdict: Verdict::default() }
    }

    /// Notes a piece of work.
    fn step(&mut self) {
        self.verdict.steps += 1;
    }

    /// Counts a violation; describes it if there is room.
    fn report(&mut self, rule: Rule, kind: Kind, describe: impl FnOnce(Violation) -> Violation) {
        self.count(rule, kind, 1);
        self.describe(rule, kind, describe);
    }

    fn count(&mut self, rule: Rule, kind: Kind, times: u64) {
        self.verdict.broken.count(rule, kind, times);
    }

    fn has_room(&self, kind: Kind) -> bool {
        self.described[kind as usize] < self.examples
    }

    fn describe(&mut self, rule: Rule, kind: Kind, describe: impl FnOnce(Violation) -> Violation) {
        if self.has_room(kind) {
            self.described[kind as usize] += 1;
            self.verdict.violations.push(describe(Violation::bare(rule, kind)));
        }
    }

    fn close(self) -> Verdict {
        let mut verdict = self.verdict;
        let (recoveries, steps) = recovery::measure(self.evidence);
        verdict.recoveries = recoveries;
        verdict.steps += steps;
        verdict.sum_up();
        verdict
    }
}

impl Violation {
    fn bare(rule: Rule, kind: Kind) -> Self {
        Self {
            rule,
            kind,
            client: None,
            conversation: None,
            seq: None,
            sender: None,
            msgid: None,
            place: None,
            against: None,
            detail: String::new(),
        }
    }

    fn client(self, client: UserId) -> Self {
        Self { client: Some(client), ..self }
    }

    fn number(self, conversation: ThreadId, seq: i64) -> Self {
        Self { conversation: Some(conversation), seq: Some(seq), ..self }
    }

    fn message(self, evidence: &Evidence, message: MessageNo) -> Self {
        if message == NO_MESSAGE {
            return self;
        }
        let message = &evidence.messages[message as usize];
        Self { sender: Some(message.sender), msgid: Some((*message.msgid).into()), ..self }
    }

    fn at(self, evidence: &Evidence, at: At) -> Self {
        Self { place: Some(evidence.place(at)), ..self }
    }

    fn against(self, evidence: &Evidence, at: At) -> Self {
        Self { against: Some(evidence.place(at)), ..self }
    }

    fn because(self, detail: impl Into<String>) -> Self {
        Self { detail: detail.into(), ..self }
    }
}
