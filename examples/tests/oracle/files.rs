//! Histories on disk: what their lines look like, what is refused, and that a journal in a file says what one in memory says.

use std::{fs, thread};

use uschat_examples::oracle::{ContentHash, Evidence, Journal, Kind, Record, read_file};
use uschat_proto::chat::UserId;

use crate::harness::*;

/// One line of each kind, as the documentation shows them.
const LINES: &str = r#"{"connect":{"user":1001}}
{"connect":{"user":1002}}

{"send":{"user":1001,"msgid":"a-1","conversation":1,"hash":"08ba5f07b55ec3da","at_us":1763719200000000}}
{"ack":{"user":1001,"msgid":"a-1","conversation":1,"seq":4,"at_us":1763719200000813}}
{"send":{"user":1001,"msgid":"a-2","hash":"08ba5f07b55ec3da","at_us":1763719200000900}}
{"refused":{"user":1001,"msgid":"a-2","code":3101}}
{"recv":{"user":1002,"conversation":1,"seq":4,"msgid":"a-1","sender":1001,"hash":"08ba5f07b55ec3da"}}
{"recv":{"user":1002,"conversation":1,"seq":5,"sender":1001,"hash":"08ba5f07b55ec3da"}}
{"members":{"conversation":1,"users":[1001,1002,1003],"after":3}}
{"stored":{"conversation":1,"seq":4,"msgid":"a-1","sender":1001,"hash":"08ba5f07b55ec3da"}}
{"stored":{"conversation":1,"seq":5,"msgid":"","sender":1001,"hash":"08ba5f07b55ec3da"}}
{"healed":{"fault":"K1","at_us":1763719200000313}}
"#;

#[test]
fn every_line_is_understood() {
    let mut evidence = Evidence::default();
    evidence.read("run.jsonl", LINES.as_bytes()).unwrap();
    let verdict = evidence.judge(10).unwrap();
    assert!(verdict.holds(), "{verdict}");
    let counts = verdict.counts;
    assert_eq!((counts.clients, counts.members_without_history, counts.sent, counts.acknowledged), (2, 1, 2, 1));
    assert_eq!((counts.refused, counts.received, counts.stored, counts.reconnects), (1, 2, 2, 0));
    assert_eq!((verdict.recoveries[0].first_us, verdict.recoveries[0].clients), (Some(500), 1));
    assert_eq!(ContentHash::of(b"hi").to_string(), "08ba5f07b55ec3da");
}

#[test]
fn records_are_written_as_they_are_read() {
    for line in LINES.lines().filter(|line| !line.is_empty()) {
        let record: Record = serde_json::from_str(line).unwrap();
        let again: Record = serde_json::from_str(&serde_json::to_string(&record).unwrap()).unwrap();
        assert_eq!(again, record);
    }
}

#[test]
fn what_is_no_record_is_refused_with_its_line() {
    let good = r#"{"connect":{"user":1001}}"#;
    for (line, problem) in [
        ("hello", "is no record: expected value (column 1)"),
        (r#"{"connect":{"user":1001}"#, "is no record: EOF while parsing an object (column "),
        (r#"{"connect":{"user":1001,"at":1}}"#, "is no record: unknown field `at`, expected `user` (column 28)"),
        (
            r#"{"connect":{"user":3000000000}}"#,
            "is no record: invalid value: integer `3000000000`, expected i32 (column ",
        ),
        (r#"{"login":{"user":1001}}"#, "is no record: unknown variant `login`, expected one of `connect`, `send`, "),
        (r#"{"refused":{"user":1001,"msgid":"","code":1}}"#, "msgid has 0 bytes, 1 to 64 are allowed"),
        (
            r#"{"stored":{"conversation":1,"seq":1,"sender":1,"hash":"12"}}"#,
            "is no record: a hash is 16 hexadecimal digits",
        ),
        ("\u{1b}[31m\u{7f}", "is no record: expected value"),
    ] {
        let error = Evidence::default()
            .read("a.jsonl", format!("{good}\n\n{line}\n{good}\n").as_bytes())
            .unwrap_err()
            .to_string();
        let rest = error.strip_prefix("a.jsonl line 3: ").unwrap_or_else(|| panic!("{error}"));
        assert!(rest.starts_with(problem), "{error}");
        assert!(!error.contains(char::is_control), "{error}");
    }
    let invalid = [good.as_bytes(), b"\n\xff\n"].concat();
    let error = Evidence::default().read("a.jsonl", &*invalid).unwrap_err().to_string();
    assert!(error.starts_with("a.jsonl line 2: is no record: "), "{error}");
}

#[test]
fn a_line_that_was_cut_off_is_refused() {
    let error = Evidence::default().read("a.jsonl", &br#"{"connect":{"us"#[..]).unwrap_err();
    assert_eq!(error.to_string(), "a.jsonl line 1: was not finished by its writer");
    // A missing end of line does no harm.
    Evidence::default().read("a.jsonl", &br#"{"connect":{"user":1}}"#[..]).unwrap();
}

#[test]
fn a_line_without_end_is_refused() {
    let endless = std::io::BufReader::new(std::io::repeat(b' '));
    let error = Evidence::default().read("a.jsonl", endless).unwrap_err();
    assert_eq!(error.to_string(), format!("a.jsonl line 1: is longer than {} bytes", Evidence::MAX_LINE));
}

#[test]
fn ids_are_bounded_in_memory_too() {
    for len in [1, 64] {
        Evidence::default().add("run", [send(ADA, &"x".repeat(len))]).unwrap();
    }
    for record in [send(ADA, &"x".repeat(65)), recv(ADA, 1, &"x".repeat(65), BEN), ack(ADA, "", 1)] {
        let error = Evidence::default().add("run", [connect(ADA), record]).unwrap_err().to_string();
        assert!(error.starts_with("run line 2: msgid has "), "{error}");
    }
}

#[test]
fn members_are_told_once_and_for_every_conversation_with_texts() {
    let error = Evidence::default().add("run", [members(&[ADA]), members(&[ADA])]).unwrap_err();
    assert_eq!(error.to_string(), "run line 2: the members of conversation 7 were told before");
    let error = evidence(vec![connect(ADA), stored(1, "a", BEN)]).judge(10).unwrap_err();
    assert_eq!(error.to_string(), "run line 2: nothing says who the members of conversation 7 are");
}

#[test]
fn a_journal_in_a_file_says_what_one_in_memory_says() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("run.jsonl");
    let journals = [Journal::in_memory(), Journal::create(&path).unwrap()];
    let verdicts = journals.clone().map(|journal| {
        write(&journal);
        journal.evidence().unwrap().judge(10).unwrap()
    });
    for verdict in &verdicts {
        assert_eq!(
            (verdict.counts.acknowledged, verdict.counts.received, verdict.counts.reconnects),
            (2_000, 1_999, 1)
        );
        assert_eq!(broken(verdict), [(uschat_examples::oracle::Rule::A2, Kind::Unseen)]);
    }
    assert_eq!(verdicts[0].counts, verdicts[1].counts);
    assert_eq!(verdicts[0].violations[0].msgid, verdicts[1].violations[0].msgid);
    let place = verdicts[1].violations[0].place.as_ref().unwrap();
    let line = fs::read_to_string(&path).unwrap().lines().nth(place.line as usize - 1).unwrap().to_owned();
    assert!(line.starts_with(r#"{"stored":{"conversation":7,"seq":1000,"#), "{line}");
    assert_eq!(*place.file, *path.to_string_lossy());
}

/// Two clients, each in a thread of its own, as in a real run; Ben misses Ada's number 1,000.
fn write(journal: &Journal) {
    let (ada, ben) = (journal.history(ADA), journal.history(BEN));
    let texts = 2_000;
    thread::scope(|scope| {
        scope.spawn(|| {
            ada.connected();
            for number in 1..=texts {
                let msgid = number.to_string();
                ada.sent(&msgid, Some(THREAD), &msgid);
                ada.acknowledged(&msgid, None, number);
            }
        });
        scope.spawn(|| {
            ben.connected();
            for number in (1..=texts).filter(|number| *number != 1_000) {
                ben.received(THREAD, number, &number.to_string(), ADA, &number.to_string());
            }
            ben.connected();
        });
    });
    journal.write(members(&[ADA, BEN]));
    for number in 1..=texts {
        journal.write(stored(number, &number.to_string(), ADA));
    }
}

#[test]
fn a_journal_that_cannot_be_written_says_so() {
    let Ok(journal) = Journal::create("/dev/full") else { return };
    journal.write(connect(ADA));
    let error = journal.evidence().unwrap_err().to_string();
    assert!(error.starts_with("/dev/full: cannot be used: "), "{error}");
    let directory = tempfile::tempdir().unwrap();
    Journal::create(directory.path().join("missing/run.jsonl")).unwrap_err();
    let error = read_file(&mut Evidence::default(), &directory.path().join("missing")).unwrap_err().to_string();
    assert!(error.contains("missing: cannot be used: "), "{error}");
}

#[test]
fn times_to_recover_are_those_of_the_first_and_of_the_last_client() {
    let acked = |user: UserId, at_us| {
        let (msgid, seq) = (format!("{at_us}"), 0);
        [send(user, &msgid), Record::Ack { user, msgid: msgid.as_str().into(), conversation: None, seq, at_us }]
    };
    let healed = |fault: &str, at_us| Record::Healed { fault: fault.into(), at_us };
    let mut records = vec![healed("late", 5_000), healed("first", 1_000), healed("second", 2_000)];
    for (user, at_us) in [(ADA, 999), (ADA, 1_300), (BEN, 2_600), (BEN, 2_500), (ADA, 4_000)] {
        records.extend(acked(user, at_us));
    }
    let verdict = judge(records);
    let recoveries: Vec<_> = verdict
        .recoveries
        .iter()
        .map(|recovery| (&*recovery.fault, recovery.first_us, recovery.all_us, recovery.clients))
        .collect();
    let expected =
        [("first", Some(300), Some(1_500), 2), ("second", Some(500), Some(2_000), 2), ("late", None, None, 0)];
    assert_eq!(recoveries, expected);
    let report = verdict.to_string();
    assert!(report.contains("A9 first: acknowledged again after 300.000µs, all 2 clients after 1.500ms"), "{report}");
    assert!(report.contains("A9 late: nothing was acknowledged after it"), "{report}");
}

#[test]
fn the_report_is_bounded_and_its_counts_are_not() {
    let mut records = vec![members(&[ADA, BEN]), connect(BEN)];
    for number in 1..=100 {
        let msgid = number.to_string();
        records.extend([send(ADA, &msgid), ack(ADA, &msgid, number), stored(number, &msgid, ADA)]);
    }
    records.push(recv(BEN, 1, "1\u{1b}[2J\n", ADA));
    let verdict = evidence(records).judge(3).unwrap();
    let report = verdict.to_string();
    assert_eq!((verdict.count(Kind::Unseen), verdict.violations.len()), (100, 4));
    assert!(report.contains("\n… and 97 more unseen\n"), "{report}");
    assert!(report.contains("\nA2 BROKEN 100 times: members saw each acknowledged text once\n"), "{report}");
    assert!(report.contains("\nA1 holds: "), "{report}");
    assert!(report.ends_with("The guarantee is VIOLATED."), "{report}");
    assert!(!report.contains('\u{1b}'), "{report}");
    let unseen =
        "A2 unseen: client 1002 conversation 7 number 1 text \"1\" of 1001: never shown to this client (run line 5)";
    assert!(report.lines().any(|line| line == unseen), "{report}");
}
