//! What the judge says.

use std::{collections::BTreeMap, fmt};

use serde::{Serialize, Serializer, ser::SerializeStruct};

use super::{Kind, Recovery, Rule, Violation};

/// What came out of a run: counts of everything, descriptions of the first violations of each kind.
///
/// Prints as a report of a few lines: the counts, each rule, the times to recover, the violations described. Serializes as
/// `holds`, `counts`, `broken` (how often, by kind), `violations` and `recoveries`.
#[derive(Debug, Clone, Default)]
pub struct Verdict {
    /// How much there was to judge.
    pub counts: Counts,
    /// The first violations of each kind, in the order in which they were found.
    pub violations: Vec<Violation>,
    /// How long each fault took to recover from, in the order in which they healed.
    pub recoveries: Vec<Recovery>,
    pub(super) broken: Broken,
    pub(super) steps: u64,
}

/// How much there was to judge. A text is a sender and an id: retries are not counted again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Clients with a history.
    pub clients: u64,
    /// Users that are members of a conversation and have no history: what they saw is not judged.
    pub members_without_history: u64,
    /// Texts sent: the sum of the next three.
    pub sent: u64,
    /// Of these acknowledged.
    pub acknowledged: u64,
    /// Refused at least once and never acknowledged.
    pub refused: u64,
    /// Neither acknowledged nor refused.
    pub unknown: u64,
    /// Texts handed to applications.
    pub received: u64,
    /// Rows of the store, those from before the run not included.
    pub stored: u64,
    /// Logins after each client's first.
    pub reconnects: u64,
    /// Acknowledged and not stored, or stored and not seen by a member (once for each member).
    pub lost: u64,
    /// Stored twice or seen twice.
    pub doubled: u64,
    /// Numbers without a text.
    pub gaps: u64,
    /// Shown after a higher number, or stored out of their sender's order.
    pub reordered: u64,
    /// Stored or shown under another sender.
    pub forged: u64,
}

/// Violations by rule and kind, counted without bound.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Broken([[u64; Kind::ALL.len()]; Rule::ALL.len()]);

impl Broken {
    pub(super) fn count(&mut self, rule: Rule, kind: Kind, times: u64) {
        let count = &mut self.0[rule as usize][kind as usize];
        *count = count.saturating_add(times);
    }
}

impl Serialize for Verdict {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let broken = Kind::ALL.into_iter().map(|kind| (kind.label(), self.count(kind))).filter(|(_, count)| *count > 0);
        let mut verdict = serializer.serialize_struct("Verdict", 5)?;
        verdict.serialize_field("holds", &self.holds())?;
        verdict.serialize_field("counts", &self.counts)?;
        verdict.serialize_field("broken", &broken.collect::<BTreeMap<_, _>>())?;
        verdict.serialize_field("violations", &self.violations)?;
        verdict.serialize_field("recoveries", &self.recoveries)?;
        verdict.end()
    }
}

impl Verdict {
    /// Whether every rule holds.
    #[must_use]
    pub fn holds(&self) -> bool {
        Rule::ALL.into_iter().all(|rule| self.broken(rule) == 0)
    }

    /// How often a rule is broken.
    #[must_use]
    pub fn broken(&self, rule: Rule) -> u64 {
        self.broken.0[rule as usize].iter().fold(0, |sum, count| sum.saturating_add(*count))
    }

    /// How many violations there are of a kind, described or not.
    #[must_use]
    pub fn count(&self, kind: Kind) -> u64 {
        self.broken.0.iter().fold(0, |sum, kinds| sum.saturating_add(kinds[kind as usize]))
    }

    /// Records and table entries that the judge looked at: its work, without a clock. Grows with the number of records and
    /// nothing else.
    #[must_use]
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// Fills in the counts that follow from those of the kinds.
    pub(super) fn sum_up(&mut self) {
        let sum = |kinds: &[Kind]| kinds.iter().fold(0_u64, |sum, kind| sum.saturating_add(self.count(*kind)));
        self.counts = Counts {
            lost: sum(&[Kind::Lost, Kind::Unseen]),
            doubled: sum(&[Kind::StoredTwice, Kind::SeenTwice]),
            gaps: sum(&[Kind::Gap]),
            reordered: sum(&[Kind::Reordered, Kind::OrderBroken]),
            forged: sum(&[Kind::StoredForged, Kind::SeenForged]),
            ..self.counts
        };
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let c = &self.counts;
        writeln!(f, "{} clients, {} reconnects", c.clients, c.reconnects)?;
        writeln!(
            f,
            "{} texts sent: {} acknowledged, {} refused, {} unknown; {} stored, {} received",
            c.sent, c.acknowledged, c.refused, c.unknown, c.stored, c.received
        )?;
        writeln!(
            f,
            "lost {}, doubled {}, gaps {}, reordered {}, forged {}",
            c.lost, c.doubled, c.gaps, c.reordered, c.forged
        )?;
        if c.members_without_history > 0 {
            writeln!(f, "{} members have no history: what they saw is not judged", c.members_without_history)?;
        }
        for rule in Rule::ALL {
            match self.broken(rule) {
                0 => writeln!(f, "{rule:?} holds: {}", rule.words())?,
                times => writeln!(f, "{rule:?} BROKEN {times} times: {}", rule.words())?,
            }
        }
        for recovery in &self.recoveries {
            writeln!(f, "A9 {recovery}")?;
        }
        for violation in &self.violations {
            writeln!(f, "{violation}")?;
        }
        for kind in Kind::ALL {
            let described = self.violations.iter().filter(|violation| violation.kind == kind).count() as u64;
            // One description of a gap may stand for many numbers.
            if kind != Kind::Gap && self.count(kind) > described {
                writeln!(f, "… and {} more {}", self.count(kind) - described, kind.label())?;
            }
        }
        f.write_str(if self.holds() { "The guarantee holds." } else { "The guarantee is VIOLATED." })
    }
}
