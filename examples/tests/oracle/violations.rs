//! An oracle that cannot fail proves nothing: each way to break the guarantee is reported as what it is, and nothing else.

use uschat_examples::oracle::{Kind, Record, Rule, Violation};
use uschat_proto::chat::{ThreadId, UserId};

use crate::harness::*;

#[test]
fn a_sound_talk_holds() {
    let verdict = assert_broken(talk(), &[]);
    let counts = verdict.counts;
    assert_eq!((counts.clients, counts.sent, counts.acknowledged, counts.stored, counts.received), (3, 5, 5, 5, 10));
    assert_eq!((counts.lost, counts.doubled, counts.gaps, counts.reordered, counts.forged), (0, 0, 0, 0, 0));
}

#[test]
fn lost_from_the_store() {
    let mut records = talk();
    // The last one, so that no gap is left.
    replace(&mut records, &stored(5, "b-2", BEN), []);
    records.retain(|record| !matches!(record, Record::Recv { seq: 5, .. }));
    let acknowledged = line_of(&records, &ack(BEN, "b-2", 5));
    let verdict = assert_broken(records, &[(Rule::A1, Kind::Lost)]);
    let Violation { client, sender, msgid, place, .. } = &verdict.violations[0];
    assert_eq!((*client, *sender, msgid.as_deref()), (Some(BEN), Some(BEN), Some("b-2")));
    assert_eq!(place.as_ref().unwrap().line, acknowledged);
    assert_eq!(verdict.counts.lost, 1);
}

#[test]
fn lost_after_others_saw_it_is_lost_once() {
    let mut records = talk();
    replace(&mut records, &stored(5, "b-2", BEN), []);
    assert_broken(records, &[(Rule::A1, Kind::Lost)]);
}

#[test]
fn lost_from_the_middle_leaves_a_gap_too() {
    let mut records = talk();
    replace(&mut records, &stored(3, "b-1", BEN), []);
    let verdict = assert_broken(records, &[(Rule::A1, Kind::Lost), (Rule::A3, Kind::Gap)]);
    assert_eq!((verdict.counts.lost, verdict.counts.gaps), (1, 1));
}

#[test]
fn lost_on_the_way_to_one_member() {
    let mut records = talk();
    replace(&mut records, &recv(CY, 3, "b-1", BEN), []);
    let verdict = assert_broken(records, &[(Rule::A2, Kind::Unseen)]);
    let Violation { client, conversation, seq, sender, msgid, .. } = &verdict.violations[0];
    assert_eq!((*client, *conversation, *seq, *sender), (Some(CY), Some(THREAD), Some(3), Some(BEN)));
    assert_eq!(msgid.as_deref(), Some("b-1"));
    assert_eq!(verdict.counts.lost, 1);
}

#[test]
fn a_member_that_saw_nothing_at_all() {
    let mut records = talk();
    records.retain(|record| !matches!(record, Record::Recv { user: CY, .. }));
    let verdict = assert_broken(records, &[(Rule::A2, Kind::Unseen); 4]);
    assert_eq!(verdict.count(Kind::Unseen), 4);
}

#[test]
fn stored_twice() {
    let mut records = talk();
    records.push(stored(6, "a-1", ADA));
    let verdict = assert_broken(records, &[(Rule::A1, Kind::StoredTwice)]);
    assert_eq!((verdict.violations[0].seq, verdict.counts.doubled), (Some(6), 1));
    assert_eq!(verdict.violations[0].against.as_ref().unwrap().line, line_of(&talk(), &stored(1, "a-1", ADA)));
}

#[test]
fn stored_twice_and_shown_twice_breaks_two_promises() {
    let mut records = talk();
    records.extend([stored(6, "a-1", ADA), recv(BEN, 6, "a-1", ADA)]);
    assert_broken(records, &[(Rule::A1, Kind::StoredTwice), (Rule::A2, Kind::SeenTwice)]);
}

#[test]
fn shown_twice() {
    let mut records = talk();
    records.push(recv(CY, 2, "a-2", ADA));
    let (first, again) = (line_of(&talk(), &recv(CY, 2, "a-2", ADA)), records.len());
    let verdict = assert_broken(records, &[(Rule::A2, Kind::SeenTwice)]);
    let violation = &verdict.violations[0];
    assert_eq!(violation.place.as_ref().unwrap().line as usize, again);
    assert_eq!(violation.against.as_ref().unwrap().line, first);
    assert_eq!((violation.client, verdict.counts.doubled), (Some(CY), 1));
}

#[test]
fn an_own_text_may_be_shown_once_and_no_more() {
    let mut records = talk();
    records.push(recv(BEN, 5, "b-2", BEN));
    assert_broken(records.clone(), &[]);
    records.push(recv(BEN, 5, "b-2", BEN));
    assert_broken(records, &[(Rule::A2, Kind::SeenTwice)]);
}

#[test]
fn shown_in_another_order() {
    let mut records = talk();
    let (second, third) = (recv(CY, 2, "a-2", ADA), recv(CY, 3, "b-1", BEN));
    let (i, j) = (position(&records, &second), position(&records, &third));
    records.swap(i, j);
    let verdict = assert_broken(records, &[(Rule::A4, Kind::Reordered)]);
    let violation = &verdict.violations[0];
    assert_eq!((violation.client, violation.seq, verdict.counts.reordered), (Some(CY), Some(2), 1));
}

#[test]
fn shown_under_another_number() {
    let mut records = talk();
    replace(&mut records, &recv(CY, 5, "b-2", BEN), [recv(CY, 6, "b-2", BEN)]);
    assert_broken(records, &[(Rule::A4, Kind::SeenUnderOtherNumber)]);
}

#[test]
fn a_number_that_was_shown_and_given_again() {
    let mut records = talk();
    // Ben's second text was shown to Cy as number 5; then the server crashed and gave that number to a text of Ada.
    replace(&mut records, &ack(BEN, "b-2", 5), []);
    replace(&mut records, &stored(5, "b-2", BEN), [stored(5, "a-3", ADA)]);
    replace(&mut records, &recv(ADA, 5, "b-2", BEN), [send(ADA, "a-3"), ack(ADA, "a-3", 5), recv(BEN, 5, "a-3", ADA)]);
    records.push(recv(CY, 5, "a-3", ADA));
    assert_broken(records, &[(Rule::A7, Kind::SeenUnstored)]);
}

#[test]
fn altered_in_the_store() {
    let mut records = talk();
    replace(&mut records, &stored(2, "a-2", ADA), [altered(stored(2, "a-2", ADA))]);
    for user in [BEN, CY] {
        // They were shown what is stored.
        replace(&mut records, &recv(user, 2, "a-2", ADA), [altered(recv(user, 2, "a-2", ADA))]);
    }
    let sent = line_of(&records, &send(ADA, "a-2"));
    let verdict = assert_broken(records, &[(Rule::A1, Kind::StoredAltered)]);
    assert_eq!(verdict.violations[0].against.as_ref().unwrap().line, sent);
}

#[test]
fn altered_on_the_way() {
    let mut records = talk();
    replace(&mut records, &recv(CY, 2, "a-2", ADA), [altered(recv(CY, 2, "a-2", ADA))]);
    let verdict = assert_broken(records, &[(Rule::A2, Kind::SeenAltered)]);
    assert_eq!(verdict.violations[0].client, Some(CY));
}

#[test]
fn forged_in_the_store() {
    let mut records = talk();
    // Ben sent it; it is stored and shown as Ada's.
    replace(&mut records, &stored(5, "b-2", BEN), [stored(5, "b-2", ADA)]);
    for user in [ADA, CY] {
        replace(&mut records, &recv(user, 5, "b-2", BEN), [recv(user, 5, "b-2", ADA)]);
    }
    let verdict = assert_broken(records, &[(Rule::A6, Kind::StoredForged)]);
    let violation = &verdict.violations[0];
    assert_eq!((violation.client, violation.seq, verdict.counts.forged), (Some(BEN), Some(5), 1));
    assert!(violation.detail.contains("as if 1001 had sent it"), "{violation}");
}

#[test]
fn forged_under_the_name_of_a_stranger() {
    let mut records = talk();
    replace(&mut records, &stored(5, "b-2", BEN), [stored(5, "b-2", UserId(9))]);
    for user in [ADA, CY] {
        replace(&mut records, &recv(user, 5, "b-2", BEN), [recv(user, 5, "b-2", UserId(9))]);
    }
    assert_broken(records, &[(Rule::A6, Kind::StoredForged)]);
}

#[test]
fn a_text_that_nobody_sent() {
    let mut records = talk();
    records.push(stored(6, "x-1", ADA));
    assert_broken(records, &[(Rule::A6, Kind::StoredForged)]);
}

#[test]
fn a_text_of_a_user_without_history_is_not_judged() {
    let mut records = talk();
    records.push(stored(6, "x-1", UserId(9)));
    assert_broken(records, &[]);
}

#[test]
fn a_stranger_may_use_the_same_id() {
    let mut records = talk();
    // Ada's text is not stored, that of somebody else is.
    records.extend([send(ADA, "x-1"), altered(stored(6, "x-1", UserId(9)))]);
    assert_broken(records, &[]);
}

#[test]
fn forged_on_the_way() {
    let mut records = talk();
    replace(&mut records, &recv(CY, 2, "a-2", ADA), [recv(CY, 2, "a-2", BEN)]);
    let verdict = assert_broken(records, &[(Rule::A6, Kind::SeenForged)]);
    assert_eq!((verdict.violations[0].client, verdict.counts.forged), (Some(CY), 1));
}

#[test]
fn a_gap() {
    let mut records = talk();
    for record in &mut records {
        match record {
            Record::Stored { seq, .. } | Record::Recv { seq, .. } | Record::Ack { seq, .. } if *seq > 2 => *seq += 3,
            _ => {}
        }
    }
    let verdict = assert_broken(records, &[(Rule::A3, Kind::Gap)]);
    let violation = &verdict.violations[0];
    assert_eq!((violation.conversation, violation.seq, verdict.counts.gaps), (Some(THREAD), Some(3), 3));
    assert!(violation.detail.contains("up to 5"), "{violation}");
}

#[test]
fn a_gap_before_the_first_and_one_as_wide_as_numbers_are() {
    for (number, missing) in [(2, 1), (i64::MAX, i64::MAX.unsigned_abs() - 1)] {
        let records = vec![members(&[ADA]), send(ADA, "a"), ack(ADA, "a", number), stored(number, "a", ADA)];
        let verdict = assert_broken(records, &[(Rule::A3, Kind::Gap)]);
        assert_eq!((verdict.violations[0].seq, verdict.counts.gaps), (Some(1), missing));
    }
}

#[test]
fn a_number_given_twice() {
    let mut records = talk();
    records.extend([
        send(ADA, "a-3"),
        ack(ADA, "a-3", 5),
        stored(5, "a-3", ADA),
        recv(BEN, 5, "a-3", ADA),
        recv(CY, 5, "a-3", ADA),
    ]);
    assert_broken(records, &[(Rule::A3, Kind::NumberTwice)]);
}

#[test]
fn a_text_without_a_number() {
    let mut records = talk();
    for record in &mut records {
        match record {
            Record::Stored { seq, .. } | Record::Recv { seq, .. } | Record::Ack { seq, .. } if *seq == 5 => *seq = 0,
            _ => {}
        }
    }
    let verdict = assert_broken(
        records,
        &[(Rule::A3, Kind::NotNumbered), (Rule::A4, Kind::Reordered), (Rule::A4, Kind::Reordered)],
    );
    assert_eq!(verdict.violations[0].seq, Some(0));
}

#[test]
fn acknowledged_under_a_number_of_another_text() {
    let mut records = talk();
    replace(&mut records, &ack(BEN, "b-2", 5), [ack(BEN, "b-2", 4)]);
    let verdict = assert_broken(records, &[(Rule::A1, Kind::FalselyAcknowledged)]);
    let violation = &verdict.violations[0];
    assert_eq!((violation.client, violation.seq), (Some(BEN), Some(5)));
    assert!(violation.detail.contains("number 4"), "{violation}");
}

#[test]
fn acknowledged_in_another_conversation() {
    let mut records = talk();
    replace(&mut records, &ack(BEN, "b-2", 5), [moved(ack(BEN, "b-2", 5), ThreadId(8))]);
    assert_broken(records, &[(Rule::A1, Kind::FalselyAcknowledged)]);
}

#[test]
fn acknowledged_again_with_another_number() {
    let mut records = talk();
    records.extend([send(BEN, "b-2"), ack(BEN, "b-2", 5)]);
    assert_broken(records.clone(), &[]);
    records.extend([send(BEN, "b-2"), ack(BEN, "b-2", 6)]);
    assert_broken(records, &[(Rule::A1, Kind::FalselyAcknowledged)]);
}

#[test]
fn acknowledged_and_never_sent() {
    let mut records = talk();
    records.push(ack(ADA, "a-3", 6));
    let verdict = assert_broken(records, &[(Rule::A1, Kind::FalselyAcknowledged)]);
    assert_eq!(verdict.counts.acknowledged, 5);
    // Nor does it become a promise by being stored under yet another number.
    let records = [talk(), vec![ack(ADA, "a-3", 7), stored(6, "a-3", ADA)]].concat();
    assert_broken(records, &[(Rule::A1, Kind::FalselyAcknowledged), (Rule::A6, Kind::StoredForged)]);
}

#[test]
fn stored_in_another_conversation() {
    let (mut records, elsewhere) = (talk(), ThreadId(8));
    records.push(moved(members(&[ADA, BEN, CY]), elsewhere));
    replace(&mut records, &stored(5, "b-2", BEN), [moved(stored(1, "b-2", BEN), elsewhere)]);
    replace(&mut records, &ack(BEN, "b-2", 5), [ack(BEN, "b-2", 1)]);
    for user in [ADA, CY] {
        replace(&mut records, &recv(user, 5, "b-2", BEN), [moved(recv(user, 1, "b-2", BEN), elsewhere)]);
    }
    assert_broken(records, &[(Rule::A1, Kind::StoredElsewhere)]);
}

#[test]
fn shown_to_somebody_who_is_no_member() {
    let mut records = talk();
    records.push(recv(UserId(9), 2, "a-2", ADA));
    let verdict = assert_broken(records, &[(Rule::A2, Kind::SeenByOutsider)]);
    assert_eq!(verdict.violations[0].client, Some(UserId(9)));
}

fn line_of(records: &[Record], record: &Record) -> u32 {
    u32::try_from(position(records, record)).unwrap() + 1
}
