//! How `load` refuses options: exit status 2 and one line that names the option.

use crate::harness::load;

#[tokio::test]
async fn what_clap_finds_is_one_line() {
    for wrong in [
        &["--pairs", "many"][..],
        &["--window", "0"],
        &["--size", "0"],
        &["--size", "16385"],
        &["--duration", "0"],
        &["--rate", "fast"],
        &["--rate", "0%"],
        &["--placement", "here"],
        &["--unknown"],
        &["insert"],
        &["insert", "--sql", "sqlite:a", "--batch", "0"],
        &["ratio", "--sql", "sqlite:a", "--rounds", "0"],
    ] {
        let outcome = load(wrong).await;
        let line = outcome.assert_refused("options: ");
        assert!(line.ends_with("; see `load --help`"), "{line}");
    }
}

#[tokio::test]
async fn what_cannot_be_is_refused_before_anything_is_done() {
    load(&["--pairs", "0"]).await.assert_refused("--pairs: ");
    load(&["--gate", "127.0.0.1:8080"]).await.assert_refused("--gate: ");
    load(&["--ready-file", "missing.json"]).await.assert_refused("--ready-file: missing.json: ");
    load(&["--pid", "4294967295"]).await.assert_refused("--pid: process 4294967295: ");
    load(&["insert", "--sql", "memory:"]).await.assert_refused("--sql: ");
    load(&["ratio", "--sql", "postgres://h/db"]).await.assert_refused("--sql: ");
    let missing = load(&["insert", "--sql", "sqlite:missing/uschat.db"]).await;
    missing.assert_refused("--sql: the database cannot be used: ");
}

#[tokio::test]
async fn a_ready_file_that_is_none_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("ready.json");
    std::fs::write(&file, r#"{"gate":"http://127.0.0.1:1"}"#).unwrap();
    let outcome = load(&["--ready-file", file.to_str().unwrap()]).await;
    assert!(outcome.assert_refused("--ready-file: ").contains("missing field `chats`"), "{outcome:?}");
}

#[tokio::test]
async fn nobody_at_the_gate_is_one_line() {
    // Bound and not listened on by HTTP: the port is free again before load asks.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let outcome = load(&["--gate", &format!("http://{free}")]).await;
    outcome.assert_refused(&format!("--gate: http://{free}: "));
}

#[tokio::test]
async fn the_password_of_a_database_is_never_shown() {
    for command in ["insert", "ratio"] {
        for url in ["mysql://root:hunter2@127.0.0.1:port/db", "mysql://root:hunter2@127.0.0.1:1/db"] {
            let outcome = load(&[command, "--sql", url]).await;
            assert_eq!(outcome.status, Some(2), "{outcome:?}");
            assert!(!outcome.stderr.contains("hunter2"), "{outcome:?}");
        }
    }
}

#[tokio::test]
async fn help_says_what_the_exit_status_means() {
    let outcome = load(&["--help"]).await;
    assert_eq!((outcome.status, outcome.stderr.as_str()), (Some(0), ""));
    for word in ["Exit status", "--ready-file", "--placement", "insert", "ratio"] {
        assert!(outcome.stdout.contains(word), "{word}");
    }
}
