//! Short words for records, and a small talk that keeps the guarantee.

pub mod mutation;
pub mod world;

use uschat_examples::oracle::{ContentHash, Evidence, Kind, Record, Rule, Verdict};
use uschat_proto::chat::{ThreadId, UserId};

pub const ADA: UserId = UserId(1001);
pub const BEN: UserId = UserId(1002);
pub const CY: UserId = UserId(1003);
pub const THREAD: ThreadId = ThreadId(7);

pub fn connect(user: UserId) -> Record {
    Record::Connect { user }
}

/// The content of a text is its id, unless a test alters it.
pub fn send(user: UserId, msgid: &str) -> Record {
    Record::Send { user, msgid: msgid.into(), conversation: Some(THREAD), hash: hash(msgid), at_us: 0 }
}

pub fn ack(user: UserId, msgid: &str, seq: i64) -> Record {
    Record::Ack { user, msgid: msgid.into(), conversation: None, seq, at_us: 0 }
}

pub fn refused(user: UserId, msgid: &str) -> Record {
    Record::Refused { user, msgid: msgid.into(), code: 3101 }
}

pub fn recv(user: UserId, seq: i64, msgid: &str, sender: UserId) -> Record {
    Record::Recv { user, conversation: THREAD, seq, msgid: msgid.into(), sender, hash: hash(msgid) }
}

pub fn stored(seq: i64, msgid: &str, sender: UserId) -> Record {
    Record::Stored { conversation: THREAD, seq, msgid: msgid.into(), sender, hash: hash(msgid) }
}

pub fn members(users: &[UserId]) -> Record {
    Record::Members { conversation: THREAD, users: users.to_vec(), after: 0 }
}

pub fn hash(content: &str) -> ContentHash {
    ContentHash::of(content.as_bytes())
}

/// Three members, five texts, all acknowledged, stored and seen. Two texts each of Ada and Ben, one of Cy.
pub fn talk() -> Vec<Record> {
    let texts = [("a-1", ADA), ("a-2", ADA), ("b-1", BEN), ("c-1", CY), ("b-2", BEN)];
    let mut records: Vec<_> = [ADA, BEN, CY].map(connect).into();
    records.push(members(&[ADA, BEN, CY]));
    for (seq, (msgid, sender)) in (1..).zip(texts) {
        records.push(send(sender, msgid));
        records.push(stored(seq, msgid, sender));
        for user in [ADA, BEN, CY] {
            records.push(if user == sender { ack(user, msgid, seq) } else { recv(user, seq, msgid, sender) });
        }
    }
    records
}

pub fn evidence(records: Vec<Record>) -> Evidence {
    let mut evidence = Evidence::default();
    evidence.add("run", records).unwrap();
    evidence
}

pub fn judge(records: Vec<Record>) -> Verdict {
    evidence(records).judge(1000).unwrap()
}

/// The rules that are broken and how, in the order of the rules.
pub fn broken(verdict: &Verdict) -> Vec<(Rule, Kind)> {
    let mut broken: Vec<_> = verdict.violations.iter().map(|violation| (violation.rule, violation.kind)).collect();
    broken.sort_unstable();
    broken
}

/// That just this is wrong, and that it is counted where it is described.
#[track_caller]
pub fn assert_broken(records: Vec<Record>, expected: &[(Rule, Kind)]) -> Verdict {
    let verdict = judge(records);
    assert_eq!(broken(&verdict), expected, "{verdict}");
    assert_eq!(verdict.holds(), expected.is_empty(), "{verdict}");
    for (rule, kind) in expected {
        assert!(verdict.broken(*rule) > 0 && verdict.count(*kind) > 0, "{verdict}");
    }
    verdict
}

/// Replaces the one record that equals `old`.
#[track_caller]
pub fn replace(records: &mut Vec<Record>, old: &Record, new: impl IntoIterator<Item = Record>) {
    let index = position(records, old);
    records.splice(index..=index, new);
}

#[track_caller]
pub fn position(records: &[Record], record: &Record) -> usize {
    let found: Vec<_> = (0..records.len()).filter(|index| records[*index] == *record).collect();
    assert_eq!(found.len(), 1, "{record:?}");
    found[0]
}

/// The same text with another content.
pub fn altered(mut record: Record) -> Record {
    if let Record::Send { hash, .. } | Record::Recv { hash, .. } | Record::Stored { hash, .. } = &mut record {
        hash.0 ^= 1;
    }
    record
}

/// The same text in another conversation.
pub fn moved(mut record: Record, to: ThreadId) -> Record {
    match &mut record {
        Record::Recv { conversation, .. }
        | Record::Stored { conversation, .. }
        | Record::Members { conversation, .. } => {
            *conversation = to;
        }
        Record::Send { conversation, .. } | Record::Ack { conversation, .. } => *conversation = Some(to),
        _ => {}
    }
    record
}
