//! The program `oracle`: its verdicts, its exit statuses, and how it refuses.

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use uschat_examples::oracle::Record;

use crate::harness::*;

fn oracle(directory: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_oracle")).current_dir(directory).args(arguments).output().unwrap()
}

fn save(path: &Path, records: &[Record]) {
    let lines: Vec<_> = records.iter().map(|record| serde_json::to_string(record).unwrap()).collect();
    fs::write(path, lines.join("\n")).unwrap();
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[test]
fn a_sound_run_is_0() {
    let directory = tempfile::tempdir().unwrap();
    // Histories and dump apart, as they are written.
    let (dump, histories): (Vec<_>, Vec<_>) =
        talk().into_iter().partition(|record| matches!(record, Record::Stored { .. } | Record::Members { .. }));
    save(&directory.path().join("dump.jsonl"), &dump);
    save(&directory.path().join("clients.jsonl"), &histories);
    let output = oracle(directory.path(), &["dump.jsonl", "clients.jsonl"]);
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), ""));
    let report = text(&output.stdout);
    assert!(report.contains("5 texts sent: 5 acknowledged, 0 refused, 0 unknown; 5 stored, 10 received\n"), "{report}");
    assert!(report.ends_with("\nThe guarantee holds.\n"), "{report}");
}

#[test]
fn a_violation_is_1_and_names_file_and_line() {
    let directory = tempfile::tempdir().unwrap();
    let mut records = talk();
    replace(&mut records, &stored(5, "b-2", BEN), []);
    let line = position(&records, &ack(BEN, "b-2", 5)) + 1;
    save(&directory.path().join("run.jsonl"), &records);
    let output = oracle(directory.path(), &["run.jsonl"]);
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(1), ""));
    let violation = format!(
        "A1 lost: client 1002 text \"b-2\" of 1002: acknowledged as number 5, and not stored (run.jsonl line {line})"
    );
    assert!(text(&output.stdout).lines().any(|line| line == violation), "{}", text(&output.stdout));

    let output = oracle(directory.path(), &["--json", "--show", "0", "run.jsonl"]);
    assert_eq!(output.status.code(), Some(1));
    let verdict: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(verdict["broken"], serde_json::json!({ "lost": 1 }));
    assert_eq!((&verdict["holds"], &verdict["counts"]["lost"]), (&false.into(), &1.into()));
}

#[test]
fn bad_input_is_2_and_one_line() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("bad.jsonl"), "{\"connect\":{\"user\":1}}\nhello\n").unwrap();
    fs::write(directory.path().join("empty.jsonl"), "").unwrap();
    for (arguments, line) in [
        (&["bad.jsonl"][..], "oracle: bad.jsonl line 2: is no record: expected value (column 1)\n"),
        (&["empty.jsonl"], "oracle: no text was acknowledged in these files, so they prove nothing\n"),
    ] {
        let output = oracle(directory.path(), arguments);
        assert_eq!((output.status.code(), text(&output.stdout), text(&output.stderr)), (Some(2), "", line));
    }
    let output = oracle(directory.path(), &["missing.jsonl"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).starts_with("oracle: missing.jsonl: cannot be used: "), "{}", text(&output.stderr));
    assert_eq!(oracle(directory.path(), &[]).status.code(), Some(2));
}

#[test]
fn help_tells_the_exit_statuses() {
    let output = oracle(Path::new("."), &["--help"]);
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), ""));
    let help = text(&output.stdout);
    assert!(help.starts_with("Judges whether a run kept the guarantee"), "{help}");
    for part in ["--show <N>", "--json", "Exit status: 0", "1 it is violated", "2 there is nothing to judge by"] {
        assert!(help.contains(part), "{part}: {help}");
    }
}
