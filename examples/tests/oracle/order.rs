//! A5 and A7: what a sender may rely on when answers are missing.

use uschat_examples::oracle::{Kind, Record, Rule, Verdict};

use crate::harness::*;

/// What Ada did, and the ids of her texts in the order in which they are stored.
fn run(ada: Vec<Record>, rows: &[&str]) -> Vec<Record> {
    let mut records = vec![members(&[ADA]), connect(ADA)];
    records.extend(ada);
    records.extend((1..).zip(rows).map(|(seq, msgid)| stored(seq, msgid, ADA)));
    records
}

#[track_caller]
fn assert_order_broken(records: Vec<Record>) -> Verdict {
    assert_broken(records, &[(Rule::A5, Kind::OrderBroken)])
}

#[test]
fn pipelined_texts_keep_their_order() {
    let sent = |first, second| vec![send(ADA, "a"), send(ADA, "b"), ack(ADA, "a", first), ack(ADA, "b", second)];
    assert_broken(run(sent(1, 2), &["a", "b"]), &[]);
    let verdict = assert_order_broken(run(sent(2, 1), &["b", "a"]));
    let violation = &verdict.violations[0];
    assert_eq!((violation.client, violation.msgid.as_deref(), violation.seq), (Some(ADA), Some("a"), Some(2)));
    assert_eq!((violation.place.as_ref().unwrap().line, violation.against.as_ref().unwrap().line), (3, 4));
    assert_eq!(verdict.counts.reordered, 1);
}

#[test]
fn across_a_reconnect_too() {
    let sent = |first, second| {
        let resent = [connect(ADA), send(ADA, "a"), send(ADA, "b"), ack(ADA, "a", first), ack(ADA, "b", second)];
        [vec![send(ADA, "a"), send(ADA, "b")], resent.into()].concat()
    };
    let verdict = assert_broken(run(sent(1, 2), &["a", "b"]), &[]);
    assert_eq!((verdict.counts.reconnects, verdict.counts.sent), (1, 2));
    assert_order_broken(run(sent(2, 1), &["b", "a"]));
    // Sent on the old connection, acknowledged after a retry that was not written down; the other on the new one.
    let sent = vec![send(ADA, "a"), connect(ADA), send(ADA, "b"), ack(ADA, "b", 1), ack(ADA, "a", 2)];
    assert_order_broken(run(sent, &["b", "a"]));
}

#[test]
fn only_within_a_conversation() {
    let elsewhere = uschat_proto::chat::ThreadId(8);
    let mut records =
        run(vec![send(ADA, "a"), send(ADA, "b"), moved(send(ADA, "c"), elsewhere), send(ADA, "d")], &["a", "b", "d"]);
    records.extend([moved(members(&[ADA]), elsewhere), moved(stored(1, "c", ADA), elsewhere)]);
    assert_broken(records, &[]);
}

#[test]
fn the_conversation_need_not_be_known_when_sending() {
    let blind =
        |msgid: &str| Record::Send { user: ADA, msgid: msgid.into(), conversation: None, hash: hash(msgid), at_us: 0 };
    let sent = |first, second| vec![blind("a"), blind("b"), ack(ADA, "a", first), ack(ADA, "b", second)];
    assert_broken(run(sent(1, 2), &["a", "b"]), &[]);
    assert_order_broken(run(sent(2, 1), &["b", "a"]));
}

#[test]
fn a_refused_text_may_take_its_old_place_or_a_new_one() {
    let sent = |first, second| {
        vec![
            send(ADA, "a"),
            send(ADA, "b"),
            refused(ADA, "a"),
            ack(ADA, "b", second),
            send(ADA, "a"),
            ack(ADA, "a", first),
        ]
    };
    assert_broken(run(sent(2, 1), &["b", "a"]), &[]);
    // The refusal may have followed a commit.
    assert_broken(run(sent(1, 2), &["a", "b"]), &[]);
    // But not one behind the new place.
    let later = vec![send(ADA, "c"), ack(ADA, "c", 2)];
    assert_order_broken(run([sent(3, 1), later].concat(), &["b", "c", "a"]));
}

#[test]
fn a_retry_after_the_one_that_followed_the_refusal_moves_it_no_further() {
    let sent = |first, second| {
        let again = [send(ADA, "a"), send(ADA, "b"), connect(ADA), send(ADA, "a"), send(ADA, "b")];
        let answers = [ack(ADA, "a", first), ack(ADA, "b", second)];
        [vec![send(ADA, "a"), refused(ADA, "a")], again.into(), answers.into()].concat()
    };
    assert_broken(run(sent(1, 2), &["a", "b"]), &[]);
    assert_order_broken(run(sent(2, 1), &["b", "a"]));
}

#[test]
fn a_refused_text_that_is_not_sent_again_has_no_place() {
    let sent = vec![send(ADA, "a"), refused(ADA, "a"), send(ADA, "b"), ack(ADA, "b", 1)];
    let verdict = assert_broken(run(sent, &["b", "a"]), &[]);
    assert_eq!((verdict.counts.refused, verdict.counts.acknowledged, verdict.counts.unknown), (1, 1, 0));
}

#[test]
fn an_unanswered_text_is_stored_once_or_never() {
    let sent = vec![send(ADA, "a"), ack(ADA, "a", 1), send(ADA, "b")];
    for rows in [&["a", "b"][..], &["a"]] {
        let verdict = assert_broken(run(sent.clone(), rows), &[]);
        assert_eq!(verdict.counts.unknown, 1);
    }
    assert_broken(run(sent.clone(), &["a", "b", "b"]), &[(Rule::A7, Kind::StoredTwice)]);
    let mut records = run(sent, &["a", "b"]);
    replace(&mut records, &stored(2, "b", ADA), [altered(stored(2, "b", ADA))]);
    assert_broken(records, &[(Rule::A7, Kind::StoredAltered)]);
}

#[test]
fn an_unanswered_text_is_shown_once_or_never() {
    let base = vec![members(&[ADA, BEN]), connect(ADA), connect(BEN), send(ADA, "a"), stored(1, "a", ADA)];
    let shown = |times| [base.clone(), vec![recv(BEN, 1, "a", ADA); times]].concat();
    assert_broken(shown(0), &[]);
    assert_broken(shown(1), &[]);
    assert_broken(shown(2), &[(Rule::A7, Kind::SeenTwice)]);
    let mut unstored = shown(1);
    unstored.retain(|record| !matches!(record, Record::Stored { .. }));
    assert_broken(unstored, &[(Rule::A7, Kind::SeenUnstored)]);
}

#[test]
fn a_text_that_is_shown_under_two_numbers_is_shown_twice() {
    let base = [members(&[ADA, BEN]), connect(ADA), connect(BEN), send(ADA, "a")];
    let shown = |more: &[Record]| [&base[..], &[recv(BEN, 2, "a", ADA), recv(BEN, 1, "a", ADA)], more].concat();
    assert_broken(shown(&[]), &[(Rule::A7, Kind::SeenTwice), (Rule::A7, Kind::SeenUnstored)]);
    let kept = [stored(1, "a", ADA), ack(ADA, "a", 1)];
    assert_broken(shown(&kept), &[(Rule::A2, Kind::SeenTwice), (Rule::A4, Kind::SeenUnderOtherNumber)]);
}

#[test]
fn an_unanswered_text_keeps_the_order_of_its_connection() {
    let sent = vec![send(ADA, "a"), send(ADA, "b"), ack(ADA, "b", 1)];
    assert_order_broken(run(sent, &["b", "a"]));
    // The server of the old connection may be late.
    let sent = vec![send(ADA, "a"), connect(ADA), send(ADA, "b"), ack(ADA, "b", 1)];
    assert_broken(run(sent, &["b", "a"]), &[]);
    // It cannot be early, though.
    let sent = vec![send(ADA, "b"), ack(ADA, "b", 2), connect(ADA), send(ADA, "a")];
    assert_order_broken(run(sent, &["a", "b"]));
}

#[test]
fn an_id_that_was_used_for_two_contents() {
    // The second is refused, so either may be stored, and nothing else.
    let sent = vec![send(ADA, "a"), ack(ADA, "a", 1), altered(send(ADA, "a")), refused(ADA, "a")];
    assert_broken(run(sent.clone(), &["a"]), &[]);
    let mut records = run(sent, &["a"]);
    let Record::Stored { hash, .. } = records.last_mut().unwrap() else { unreachable!() };
    hash.0 ^= 2;
    assert_broken(records, &[(Rule::A1, Kind::StoredAltered)]);
}

#[test]
fn texts_without_an_id_are_judged_where_they_are_numbered_and_shown() {
    let base = || {
        let mut records = vec![members(&[ADA, BEN]), connect(ADA), connect(BEN), send(ADA, "a"), ack(ADA, "a", 2)];
        records.extend([stored(1, "", BEN), stored(2, "a", ADA), recv(BEN, 2, "a", ADA)]);
        records
    };
    let with = |record| [base(), vec![record]].concat();
    assert_broken(base(), &[]);
    assert_broken(with(recv(ADA, 1, "", BEN)), &[]);
    assert_broken([with(recv(ADA, 1, "", BEN)), vec![recv(ADA, 1, "", BEN)]].concat(), &[(Rule::A7, Kind::SeenTwice)]);
    assert_broken(with(altered(recv(ADA, 1, "", BEN))), &[(Rule::A7, Kind::SeenAltered)]);
    assert_broken(with(recv(ADA, 1, "", ADA)), &[(Rule::A6, Kind::SeenForged)]);
    assert_broken(with(recv(ADA, 3, "", BEN)), &[(Rule::A7, Kind::SeenUnstored)]);
    assert_broken(with(recv(BEN, 1, "", BEN)), &[(Rule::A4, Kind::Reordered)]);
    assert_broken(with(stored(3, "", BEN)), &[]);
}

#[test]
fn an_application_that_is_shown_no_ids_is_judged_by_numbers() {
    let blind = |record: Record| match record {
        Record::Recv { user, conversation, seq, msgid: _, sender, hash } => {
            Record::Recv { user, conversation, seq, msgid: "".into(), sender, hash }
        }
        record => record,
    };
    let talk = || talk().into_iter().map(blind).collect::<Vec<_>>();
    let sighting = blind(recv(CY, 2, "a-2", ADA));
    let with = |new: &[Record]| {
        let mut records = talk();
        replace(&mut records, &sighting, new.to_vec());
        records
    };
    assert_broken(talk(), &[]);
    assert_broken(with(&[]), &[(Rule::A2, Kind::Unseen)]);
    assert_broken(with(&[sighting.clone(), sighting.clone()]), &[(Rule::A2, Kind::SeenTwice)]);
    assert_broken(with(&[altered(sighting.clone())]), &[(Rule::A2, Kind::SeenAltered)]);
    let at_the_end = [with(&[]), vec![sighting.clone()]].concat();
    assert_broken(at_the_end, &[(Rule::A4, Kind::Reordered)]);
}

#[test]
fn what_was_there_before_the_run_is_not_judged() {
    let mut records = talk();
    let old = [stored(1, "old-1", ADA), stored(4, "old-4", BEN), recv(CY, 4, "old-4", BEN), recv(CY, 4, "old-4", BEN)];
    for record in &mut records {
        match record {
            Record::Stored { seq, .. } | Record::Recv { seq, .. } | Record::Ack { seq, .. } => *seq += 4,
            Record::Members { after, .. } => *after = 4,
            _ => {}
        }
    }
    let first_sighting = records.iter().position(|record| matches!(record, Record::Recv { .. })).unwrap();
    records.splice(first_sighting..first_sighting, old);
    assert_broken(records.clone(), &[]);
    replace(&mut records, &stored(5, "a-1", ADA), []);
    assert_broken(records, &[(Rule::A1, Kind::Lost), (Rule::A3, Kind::Gap)]);
}
