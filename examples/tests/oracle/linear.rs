//! The judge's work and memory are proportional to the records, whatever they say. Counted in steps and bytes, not seconds.

use uschat_examples::oracle::{Evidence, Kind, Record, Verdict};
use uschat_proto::chat::{ThreadId, UserId};

use crate::harness::{ack, connect, hash, members, moved, recv, send, stored};

/// More than the judge takes for any record.
const STEPS_PER_RECORD: u64 = 8;
/// More than evidence and judge take for any record, with its share of ids and tables.
const BYTES_PER_RECORD: u64 = 350;

#[test]
fn a_million_events() {
    let records = 1_000_000;
    let verdict = measure(pairs(records / 4), records);
    assert!(verdict.holds(), "{verdict}");
    assert_eq!((verdict.counts.acknowledged, verdict.counts.received), (250_000, 250_000));
}

#[test]
fn eight_times_the_events_are_eight_times_the_work() {
    let steps = |texts| judge(pairs(texts)).steps();
    let (few, many) = (steps(4_000), steps(32_000));
    assert!(many <= 8 * few + few / 100, "{few} steps, {many} steps");
}

#[test]
fn members_that_saw_nothing() {
    let (users, texts) = (2_000, 20_000);
    let everybody: Vec<UserId> = (1..=users).map(UserId).collect();
    let records = everybody.iter().copied().map(connect).collect::<Vec<_>>().into_iter();
    let records = records.chain([members(&everybody)]).chain((1..=texts).flat_map(|number| {
        let msgid = number.to_string();
        [send(UserId(1), &msgid), ack(UserId(1), &msgid, number), stored(number, &msgid, UserId(1))]
    }));
    let verdict = measure(records, 22_000 + 2 * 20_000);
    assert_eq!(verdict.count(Kind::Unseen), (users as u64 - 1) * texts as u64);
    assert_eq!(verdict.violations.len(), 10);
}

#[test]
fn one_text_stored_and_shown_again_and_again() {
    let times = 50_000;
    let records = [members(&[UserId(1), UserId(2)]), send(UserId(1), "a"), ack(UserId(1), "a", 1)].into_iter();
    let records = records.chain((1..=times).flat_map(|number| {
        [stored(number, "a", UserId(1)), recv(UserId(2), number, "a", UserId(1)), ack(UserId(1), "a", number)]
    }));
    let verdict = measure(records, 3 * 50_000);
    assert_eq!(verdict.count(Kind::StoredTwice), times as u64 - 1);
    assert_eq!(verdict.count(Kind::SeenTwice), times as u64 - 1);
    assert_eq!(verdict.count(Kind::FalselyAcknowledged), 0);
}

#[test]
fn all_texts_under_one_number() {
    let texts = 50_000;
    let records = [members(&[UserId(1), UserId(2)])].into_iter().chain((0..texts).flat_map(|number| {
        let msgid = number.to_string();
        let sent = [send(UserId(1), &msgid), ack(UserId(1), &msgid, 1), stored(1, &msgid, UserId(1))];
        sent.into_iter().chain([recv(UserId(2), 1, &msgid, UserId(1))])
    }));
    let verdict = measure(records, 4 * 50_000);
    assert_eq!(verdict.count(Kind::NumberTwice), texts - 1);
    assert_eq!(verdict.counts.gaps, 0);
}

#[test]
fn everybody_uses_the_same_id_and_everything_is_forged() {
    let users = 20_000;
    let everybody: Vec<UserId> = (1..=users).map(UserId).collect();
    let records = [members(&everybody)].into_iter().chain((1..=users).flat_map(|user| {
        let number = i64::from(user);
        [send(UserId(user), "1"), ack(UserId(user), "1", number), stored(number, "1", UserId(-user))]
    }));
    // The ids and the contents are equal, so whose text a row holds is a guess, and most numbers do not match.
    let verdict = measure(records, 4 * 20_000);
    assert_eq!(verdict.count(Kind::StoredForged), users as u64);
}

#[test]
fn every_second_number_is_missing() {
    let texts = 50_000;
    let records = [members(&[UserId(1)])].into_iter().chain((1..=texts).flat_map(|number| {
        let msgid = number.to_string();
        [send(UserId(1), &msgid), ack(UserId(1), &msgid, 2 * number), stored(2 * number, &msgid, UserId(1))]
    }));
    let verdict = measure(records, 3 * 50_000);
    assert_eq!(verdict.counts.gaps, texts.unsigned_abs());
}

#[test]
fn many_faults_and_many_clients() {
    let (faults, clients) = (1_000, 1_000);
    let healed = (0..faults).map(|at_us| Record::Healed { fault: "x".into(), at_us });
    let acks = (0..100_000).flat_map(|number: i64| {
        let (user, msgid) = (UserId((number % clients) as i32), number.to_string());
        [send(user, &msgid), ack(user, &msgid, number + 1), stored(number + 1, &msgid, user)]
    });
    let records = healed.chain([members(&[])]).chain(acks);
    // Each fault has a time to recover for each client.
    let verdict = measure(records, 3 * 100_000 + faults * clients.unsigned_abs() / STEPS_PER_RECORD);
    assert_eq!(verdict.recoveries.len(), 1_000);
}

/// Pairs of users that write to each other, each in a conversation of their own.
fn pairs(texts: u64) -> impl Iterator<Item = Record> {
    let pairs = 100;
    let pair = move |number: u64| {
        let pair = i32::try_from(number % pairs).unwrap();
        (UserId(2 * pair), UserId(2 * pair + 1), ThreadId(i64::from(pair) + 1))
    };
    let beginning = (0..pairs).flat_map(move |number| {
        let (ada, ben, thread) = pair(number);
        [connect(ada), connect(ben), moved(members(&[ada, ben]), thread)]
    });
    let texts = (0..texts).flat_map(move |number| {
        let (ada, ben, thread) = pair(number);
        let (sender, receiver) = if number / pairs % 2 == 0 { (ada, ben) } else { (ben, ada) };
        let (msgid, seq) =
            (format!("a-client-s-id-of-usual-length-{number:07}"), i64::try_from(number / pairs).unwrap() + 1);
        let recv = Record::Recv {
            user: receiver,
            conversation: thread,
            seq,
            msgid: msgid.as_str().into(),
            sender,
            hash: hash(&msgid),
        };
        let sent = [send(sender, &msgid), ack(sender, &msgid, seq), recv, stored(seq, &msgid, sender)];
        sent.map(|record| moved(record, thread))
    });
    beginning.chain(texts)
}

fn judge(records: impl Iterator<Item = Record>) -> Verdict {
    let mut evidence = Evidence::default();
    evidence.add("run", records).unwrap();
    evidence.judge(10).unwrap()
}

/// Judges, and checks what that took.
#[track_caller]
fn measure(records: impl Iterator<Item = Record>, count: u64) -> Verdict {
    let mut verdict = Verdict::default();
    let taken = allocation_counter::measure(|| verdict = judge(records));
    assert!(verdict.steps() <= STEPS_PER_RECORD * count, "{} steps for {count} records", verdict.steps());
    assert!(taken.bytes_max <= BYTES_PER_RECORD * count, "{} bytes for {count} records", taken.bytes_max);
    verdict
}
