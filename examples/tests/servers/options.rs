//! The options of `topology`: what they are, which one wins, and how wrong ones are refused.

use std::{fs, sync::Arc};

use crate::support::{Topology, run, run_with};

/// The options of the run contract, and a port for each server.
const OPTIONS: [&str; 20] = [
    "--data-dir",
    "--chats",
    "--bind",
    "--advertise",
    "--gate-port",
    "--status-port",
    "--verify-port",
    "--chat-port",
    "--chat-grpc-port",
    "--metrics-port",
    "--ephemeral-ports",
    "--ready-file",
    "--sql",
    "--redis",
    "--smtp",
    "--processes",
    "--config",
    "--log",
    "--log-level",
    "--dev",
];

#[tokio::test]
async fn help_and_version_are_printed() {
    let help = run(&["--help"]).await;
    assert_eq!((help.status, help.stderr.as_str()), (Some(0), ""));
    assert!(help.stdout.starts_with("Runs a whole UsChat installation"), "{}", help.stdout);
    for option in OPTIONS {
        assert!(help.stdout.contains(&format!("{option} ")) || help.stdout.contains(&format!("{option}[")), "{option}");
        let variable = option.replacen("--", "USCHAT_", 1).replace('-', "_").to_uppercase();
        assert!(help.stdout.contains(&format!("[env: {variable}]")), "{variable}");
    }
    let version = run(&["--version"]).await;
    assert_eq!((version.status, version.stdout.trim_end()), (Some(0), concat!("topology ", env!("CARGO_PKG_VERSION"))));
}

#[tokio::test]
async fn help_does_not_show_a_password_from_the_environment() {
    let help = run_with(&["--help"], &[("USCHAT_REDIS", "redis://:hunter2@localhost")]).await;
    assert!(help.status == Some(0) && !help.stdout.contains("hunter2"));
}

#[tokio::test]
async fn bad_values_are_refused_in_one_line() {
    for (arguments, key) in [
        (&["--chats", "0"][..], "--chats"),
        (&["--chats", "31"], "--chats"),
        (&["--chats", "two"], "--chats"),
        (&["--chats=-1"], "--chats"),
        (&["--chats"], "--chats"),
        (&["--chats", "1", "--chats", "2"], "--chats"),
        (&["--bind", "localhost"], "--bind"),
        (&["--bind", "203.0.113.7"], "--bind"),
        (&["--advertise", "http://here"], "--advertise"),
        (&["--gate-port", "65536"], "--gate-port"),
        (&["--chat-port", "65535"], "--chat-port"),
        (&["--ready-file", "/nowhere/ready.json", "--ephemeral-ports", "--sql", "memory:"], "--ready-file"),
        (&["--data-dir", "/dev/null/data", "--ephemeral-ports"], "--data-dir"),
        (&["--sql", "postgres://localhost/db"], "--sql"),
        (&["--sql", "sqlite:/nowhere/uschat.db", "--ephemeral-ports"], "--sql"),
        (&["--redis", "localhost:6379"], "--redis"),
        (&["--smtp", "smtp://localhost"], "--smtp"),
        (&["--config", "/nowhere/uschat.toml"], "--config"),
        (&["--log", "loud"], "--log"),
        (&["--log-level", "uschat=loud"], "--log-level"),
        (&["--dev=perhaps"], "--dev"),
        (&["--drain-deadline", "0"], "--drain-deadline"),
        (&["--chat", "2"], "--chat"),
        (&["start"], "arguments"),
    ] {
        run(arguments).await.assert_refused(&format!("{key}: "));
    }
}

#[tokio::test]
async fn processes_want_what_they_can_share() {
    let line = run(&["--processes"]).await;
    let line = line.assert_refused("--processes: ");
    assert!(line.contains("--redis") && line.contains("mysql://"), "{line}");
}

#[tokio::test]
async fn no_refusal_shows_a_password() {
    for arguments in [
        &["--sql", "mysql://root:hunter2@localhost/uschat"][..],
        &["--sql", "mysql://root:hunter2@localhost:port/uschat"],
        &["--sqll", "mysql://root:hunter2@localhost/uschat"],
        &["--redis=rediss://:hunter2@localhost"],
        &["--smtp", "smtp://me:hunter2@localhost"],
        &["mysql://root:hunter2@localhost/uschat"],
    ] {
        let outcome = run(arguments).await;
        outcome.assert_refused("");
        assert!(!outcome.stderr.contains("hunter2"), "{outcome:?}");
    }
}

#[tokio::test]
async fn unknown_variables_are_refused_and_bad_ones_named() {
    let outcome = run_with(&[], &[("USCHAT_CHAT_PROT", "1")]).await;
    assert!(outcome.assert_refused("USCHAT_CHAT_PROT: ").contains("did you mean USCHAT_CHAT_PORT?"));
    run_with(&[], &[("USCHAT_CHATS", "many")]).await.assert_refused("USCHAT_CHATS: ");
}

#[tokio::test]
async fn unknown_keys_and_foreign_files_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("uschat.conf");
    for (text, expected) in [
        ("chat = 2\n", "did you mean chats?"),
        ("colour = \"blue\"\n", "colour"),
        ("chats = \"two\"\n", "chats"),
        ("chats = 31\n", "--chats"),
        ("[gate]\nport = 1\n", "[chatservers]"),
        ("chats 2\n", "line 1"),
        ("[SelfServer]\nName = chatserver1\nPort = 8090\n", "RPCPort of [SelfServer]"),
    ] {
        fs::write(&file, text).unwrap();
        let outcome = run(&["--config", file.to_str().unwrap()]).await;
        let line = outcome.assert_refused("");
        assert!(line.contains(expected), "{line}");
    }
}

#[tokio::test]
async fn a_flag_goes_before_the_environment_before_the_file_before_the_default() {
    let directory = Arc::new(tempfile::tempdir().unwrap());
    let file = directory.path().join("uschat.toml");
    fs::write(&file, "chats = 4\nadvertise = \"file.example\"\nsql = \"memory:\"\n").unwrap();
    let config = ["--config", file.to_str().unwrap()];
    let environment = [("USCHAT_CHATS", "3"), ("USCHAT_PACING_GAP", "0")];
    for (arguments, environment, chats) in [
        (&["--sql", "memory:"][..], &[][..], 2),
        (&config, &[], 4),
        (&config, &environment, 3),
        (&[config[0], config[1], "--chats", "1"], &environment, 1),
    ] {
        let topology = Topology::start_in(directory.clone(), arguments, environment).await;
        assert_eq!(topology.ready.chats.len(), chats, "{arguments:?} {environment:?}");
        topology.stop().await;
    }
}

#[tokio::test]
async fn the_login_reply_names_the_advertised_host() {
    let topology = Topology::start(&["--advertise", "chat.example.org", "--chats", "1"]).await;
    let user = topology.sign_up("ada").await;
    assert_eq!(user.host, "chat.example.org");
    assert!(topology.ready.chats[0].tcp.ends_with(&format!(":{}", user.port)));
}
