use super::*;

fn sent(count: u64) -> Ledger {
    let mut ledger = Ledger::default();
    for number in 0..count {
        assert_eq!(ledger.send(Instant::now()), number);
    }
    ledger
}

#[test]
fn a_good_run_counts_nothing_bad() {
    let mut ledger = sent(3);
    // A notice may come before the answer, and after it.
    assert!(ledger.delivered(0, 5).is_some());
    assert!(!ledger.is_settled());
    for number in 0..3 {
        assert!(ledger.acknowledged(number).is_some());
    }
    assert_eq!(ledger.under_way(), 0);
    assert!(ledger.delivered(1, 6).is_some() && ledger.delivered(2, 9).is_some());
    assert!(ledger.is_settled());
    let counts = ledger.close();
    assert_eq!(counts, Counts { sent: 3, acknowledged: 3, delivered: 3, ..Counts::default() });
    assert!(counts.are_sound());
}

#[test]
fn acknowledged_and_not_delivered_is_lost() {
    let mut ledger = sent(3);
    ledger.acknowledged(0);
    ledger.acknowledged(1);
    ledger.delivered(1, 2);
    let counts = ledger.close();
    assert_eq!((counts.lost, counts.unanswered, counts.doubled), (1, 1, 0));
    assert!(!counts.are_sound());
}

#[test]
fn twice_is_doubled_whether_it_is_forgotten_or_not() {
    let mut ledger = sent(2);
    ledger.delivered(0, 1);
    assert_eq!(ledger.delivered(0, 1), None);
    ledger.acknowledged(0);
    assert_eq!(ledger.delivered(0, 1), None);
    assert_eq!(ledger.acknowledged(0), None);
    assert_eq!(ledger.under_way(), 1, "the answer was no answer to the other one");
    let counts = ledger.close();
    assert_eq!((counts.doubled, counts.delivered, counts.acknowledged), (3, 1, 1));
}

#[test]
fn a_text_nobody_sent_is_doubled() {
    let mut ledger = sent(1);
    assert_eq!(ledger.delivered(7, 1), None);
    assert_eq!(ledger.close().doubled, 1);
}

#[test]
fn order_is_that_of_sending_and_of_the_conversation() {
    let mut ledger = sent(4);
    ledger.delivered(1, 2);
    ledger.delivered(0, 1);
    ledger.delivered(2, 3);
    ledger.delivered(3, 3);
    assert_eq!(ledger.counts.reordered, 2);

    let mut ledger = sent(2);
    assert!(ledger.acknowledged(1).is_some());
    assert_eq!(ledger.under_way(), 2);
    ledger.acknowledged(0);
    assert_eq!(ledger.under_way(), 0);
    assert_eq!(ledger.close().reordered, 1);
}

#[test]
fn a_refusal_is_an_answer_and_is_not_lost() {
    let mut ledger = sent(2);
    ledger.acknowledged(0);
    ledger.refused(3103);
    ledger.delivered(0, 1);
    assert_eq!(ledger.under_way(), 0);
    assert!(ledger.is_settled());
    assert_eq!(ledger.delivered(1, 2), None, "it was refused");
    let counts = ledger.close();
    assert_eq!((counts.refused, counts.lost, counts.doubled), (BTreeMap::from([(3103, 1)]), 0, 1));
}

#[test]
fn an_answer_too_many_harms_nothing() {
    let mut ledger = sent(0);
    ledger.refused(3101);
    assert_eq!(ledger.acknowledged(0), None);
    assert!(ledger.is_settled());
}
