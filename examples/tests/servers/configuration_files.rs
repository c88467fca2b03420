//! The configuration files of the single servers and of the topology: the examples are good, and what is wrong in one is
//! named in one line.

use std::{fs, path::Path};

use tempfile::TempDir;

use crate::support::{self, run, run_server};

fn example(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("config").join(name);
    path.to_str().unwrap().to_owned()
}

fn write(folder: &TempDir, name: &str, text: &str) -> String {
    let path = folder.path().join(name);
    fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

#[tokio::test]
async fn every_example_is_good() {
    for (server, file, says) in [
        ("gate", "gate.ini", "gate on 127.0.0.1:8080 (verify 127.0.0.1:50051, status 127.0.0.1:50052)"),
        ("verify", "verify.ini", "verify on 127.0.0.1:50051"),
        ("status", "status.ini", "status on 127.0.0.1:50052"),
        ("chat", "chat1.ini", "chatserver1 on 127.0.0.1:8090 for clients, 127.0.0.1:50055 for peers"),
        ("chat", "chat2.ini", "chatserver2 on 127.0.0.1:8091 for clients, 127.0.0.1:50056 for peers"),
        ("chat", "chat.toml", "chatserver1 on 127.0.0.1:8090 for clients, 127.0.0.1:50055 for peers"),
    ] {
        let outcome = run_server(server, &["--config", &example(file), "--check-config"], &[]).await;
        assert_eq!((outcome.status, outcome.stderr.as_str()), (Some(0), ""), "{file}");
        assert!(
            outcome.stdout.contains("The configuration is good.\n") && outcome.stdout.contains(says),
            "{outcome:?}"
        );
        assert!(
            outcome.stdout.contains("Redis at 127.0.0.1:6380") && !outcome.stdout.contains(":uschat"),
            "{outcome:?}"
        );
    }
    for file in ["topology.toml", "topology.ini"] {
        let outcome = run(&["--config", &example(file), "--check-config"]).await;
        assert_eq!((outcome.status, outcome.stderr.as_str()), (Some(0), ""), "{file}");
        assert!(outcome.stdout.contains("chatserver2 on 127.0.0.1:8091 for clients"), "{outcome:?}");
    }
    let folder = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("config")).unwrap();
    assert_eq!(folder.count(), 8, "another example is to be checked here, too");
}

#[tokio::test]
async fn the_verification_server_reads_the_original_config_json() {
    let folder = tempfile::tempdir().unwrap();
    let json = r#"{"email":{"user":"a@163.com","pass":"hunter2"},"mysql":{"host":"h","port":3308,"passwd":"hunter2"},"redis":{"host":"10.0.0.1","port":6380,"passwd":"hunter2"}}"#;
    let file = write(&folder, "config.json", json);
    let outcome = run_server("verify", &["--config", &file, "--check-config"], &[]).await;
    assert_eq!(outcome.status, Some(0), "{outcome:?}");
    assert!(outcome.stdout.contains("SMTP at smtp.163.com:465") && outcome.stdout.contains("Redis at 10.0.0.1:6380"));
    assert!(!outcome.stdout.contains("hunter2"));
}

#[tokio::test]
async fn what_is_wrong_in_a_file_is_one_line_that_names_it() {
    const BACKENDS: &str = "[Redis]\nHost=127.0.0.1\n[Mysql]\nHost=127.0.0.1\nPasswd=hunter2\n";
    let folder = tempfile::tempdir().unwrap();
    for (server, text, key) in [
        ("gate", format!("[GateServer]\nProt=8080\n{BACKENDS}"), "Prot of [GateServer] in "),
        ("gate", format!("[GateServer]\nPort=hunter2\n{BACKENDS}"), "Port of [GateServer] in "),
        ("gate", format!("[GateServer]\nPort=8080\nPort=hunter2\n{BACKENDS}"), "Port of [GateServer] in "),
        ("gate", "[GateServer]\nPort=8080\n".to_owned(), "--redis or [Redis]: "),
        ("chat", format!("[SelfServer]\nPort=8090\n{BACKENDS}"), "Name of [SelfServer] in "),
        ("chat", format!("[SelfServer]\nName=a\n[PeerServer]\nServers=b\n{BACKENDS}"), "Host of [b] in "),
        (
            "chat",
            format!("[SelfServer]\nName=a\n[PeerServer]\nServers=b\n[b]\nHost=two words\nPort=1\n{BACKENDS}"),
            "[b] in ",
        ),
        ("status", format!("[chatservers]\nName=a\n[a]\nHost=two words\nPort=1\n{BACKENDS}"), "Host of [a] in "),
        ("verify", format!("[Smtp]\nUrl=hunter2\n{BACKENDS}"), "Url of [Smtp] in "),
        ("verify", format!("[VarifyServer]\nCodeLifetime=0\n{BACKENDS}"), "CodeLifetime of [VarifyServer] in "),
        ("status", "[StatusServer\nPort=hunter2\n".to_owned(), "--config: "),
        ("status", "Port=hunter2\n".to_owned(), "Port in "),
    ] {
        let file = write(&folder, "server.ini", &text);
        let outcome = run_server(server, &["--config", &file], &[]).await;
        let line = outcome.assert_refused(key);
        assert!(!line.contains("hunter2"), "{line}");
    }
    let missing = run_server("gate", &["--config", "/nowhere/gate.ini"], &[]).await;
    missing.assert_refused("--config: cannot read /nowhere/gate.ini");
    let unknown = run_server("chat", &["--prot", "1"], &[]).await;
    assert!(unknown.assert_refused("--prot: ").contains("`chat --help`"));
    let misspelt = run_server("chat", &[], &[("USCHAT_REDSI", "redis://:hunter2@h")]).await;
    assert!(misspelt.assert_refused("USCHAT_REDSI: ").contains("did you mean USCHAT_REDIS?"));
}

#[tokio::test]
async fn every_server_has_help_and_a_version() {
    for server in ["gate", "verify", "status", "chat"] {
        let help = run_server(server, &["--help"], &[("USCHAT_REDIS", "redis://:hunter2@h")]).await;
        assert_eq!((help.status, help.stderr.as_str()), (Some(0), ""));
        assert!(help.stdout.contains("--config") && !help.stdout.contains("hunter2"), "{}", help.stdout);
        let version = run_server(server, &["--version"], &[]).await;
        assert_eq!(version.stdout.trim_end(), format!("{server} {}", env!("CARGO_PKG_VERSION")));
    }
}

#[tokio::test]
async fn a_check_starts_nothing_and_touches_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let outcome = run(&["--check-config", "--data-dir", data.to_str().unwrap()]).await;
    assert_eq!(outcome.status, Some(0));
    assert!(outcome.stdout.contains("one process for all"), "{}", outcome.stdout);
    assert!(!data.exists());
    run(&["--check-config", "--chats", "0"]).await.assert_refused("--chats: ");
}

#[tokio::test]
async fn an_original_section_that_nobody_reads_is_told_and_ignored() {
    let folder = tempfile::tempdir().unwrap();
    let ini = "[Mystery]\nA=1\n[chatservers]\nName=one\n[one]\nPort=0\nRPCPort=0\n[GateServer]\nPort=0\n[StatusServer]\nPort=0\n[VarifyServer]\nPort=0\n[Metrics]\nPort=0\n";
    let file = write(&folder, "topology.ini", ini);
    let topology = support::Topology::start(&["--config", &file]).await;
    assert_eq!(topology.ready.chats.iter().map(|chat| chat.name.as_str()).collect::<Vec<_>>(), ["one"]);
    assert!(topology.log().contains("Mystery"), "{}", topology.log());
    topology.stop().await;
}
