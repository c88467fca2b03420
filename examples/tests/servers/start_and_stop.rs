//! How `topology` starts, says that it is ready, keeps others off its data, and ends.

use std::{
    fs,
    net::TcpListener,
    time::{Duration, Instant},
};

use serde_json::json;
use tokio::{io::AsyncWriteExt, net::TcpStream};

use crate::support::{RawClient, Topology, in_time, run};

#[tokio::test]
async fn the_ready_file_tells_where_everything_accepts() {
    let topology = Topology::start(&["--chats", "3"]).await;
    let ready = &topology.ready;
    let names: Vec<_> = ready.chats.iter().map(|chat| chat.name.as_str()).collect();
    assert_eq!(names, ["chatserver1", "chatserver2", "chatserver3"]);
    assert!(ready.chats.iter().all(|chat| chat.pid == topology.pid()));
    let gate = ready.gate.strip_prefix("http://").unwrap();
    let mut addresses = vec![gate, &ready.status, &ready.verify];
    addresses.extend(ready.chats.iter().flat_map(|chat| [chat.tcp.as_str(), &chat.grpc]));
    for address in &addresses {
        assert!(address.starts_with("127.0.0.1:"), "{address}");
        in_time("connecting", TcpStream::connect(address)).await.unwrap();
    }
    addresses.sort_unstable();
    addresses.dedup();
    assert_eq!(addresses.len(), 9, "no address twice");
}

#[tokio::test]
async fn metrics_are_served_and_nothing_else_beside_them() {
    let topology = Topology::start(&["--chats", "1"]).await;
    RawClient::log_in(&topology.sign_up("ada").await).await;
    let metrics = &topology.ready.metrics;
    assert!(metrics.ends_with("/metrics"));
    let response = in_time("metrics", reqwest::get(metrics)).await.unwrap();
    assert_eq!(response.headers()["content-type"], "text/plain; version=0.0.4; charset=utf-8");
    let text = in_time("metrics", response.text()).await.unwrap();
    assert!(text.lines().any(|line| line.starts_with("uschat_")), "{text}");
    for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let (_, value) = line.rsplit_once(' ').unwrap();
        assert!(value.parse::<f64>().is_ok(), "{line}");
    }
    let elsewhere = in_time("no metrics", reqwest::get(metrics.replace("/metrics", "/"))).await.unwrap();
    assert_eq!(elsewhere.status(), 404);
}

#[tokio::test]
async fn a_stale_ready_file_is_replaced_and_ours_removed_at_the_end() {
    let topology = Topology::start(&["--chats", "1"]).await;
    topology.signal("KILL").await;
    let mut topology = topology;
    assert_eq!(topology.wait().await, None);
    let ready_file = topology.directory().join("ready.json");
    assert!(ready_file.exists(), "a killed process removes nothing");
    drop(topology);

    let topology = Topology::start(&["--chats", "1"]).await;
    let ready_file = topology.directory().join("ready.json");
    let directory = topology.stop().await;
    assert!(!ready_file.exists());
    // What another run left: were it read, nothing would accept there.
    fs::write(&ready_file, "{}").unwrap();
    let refused = ["--data-dir", "/dev/null/data", "--ephemeral-ports", "--ready-file", ready_file.to_str().unwrap()];
    let outcome = run(&refused).await;
    outcome.assert_refused("--data-dir: ");
    assert!(ready_file.exists(), "who is refused touches nothing");
    fs::remove_file(&ready_file).unwrap();
    Topology::start_in(directory, &["--chats", "1"], &[]).await.stop().await;
}

#[tokio::test]
async fn a_port_in_use_is_refused_by_its_option() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let others = ["--sql", "memory:", "--chats", "1"];
    let options =
        ["--gate-port", "--status-port", "--verify-port", "--chat-port", "--chat-grpc-port", "--metrics-port"];
    for taken in options {
        let mut arguments = others.to_vec();
        for option in options {
            arguments.extend([option, if option == taken { port.as_str() } else { "0" }]);
        }
        let outcome = run(&arguments).await;
        let line = outcome.assert_refused(&format!("{taken}: 127.0.0.1:{port} is in use; "));
        assert!(line.contains("--ephemeral-ports"), "{line}");
    }
}

#[tokio::test]
async fn a_second_topology_on_the_same_data_is_refused() {
    let first = Topology::start(&["--chats", "1"]).await;
    let data = first.directory().join("data");
    let database = format!("sqlite:{}", data.join("../data/uschat.db").display());
    let arguments = ["--ephemeral-ports", "--data-dir", data.to_str().unwrap()];
    let line = run(&arguments).await;
    assert!(line.assert_refused("--data-dir: ").contains("another process uses these data"));
    run(&["--ephemeral-ports", "--sql", &database]).await.assert_refused("--sql: ");
    first.sign_up("ada").await;
}

#[tokio::test]
async fn a_lock_ends_with_its_process_however_that_ends() {
    let mut first = Topology::start(&["--chats", "1"]).await;
    let data = format!("sqlite:{}", first.directory().join("data/uschat.db").display());
    first.signal("KILL").await;
    first.wait().await;
    let second = Topology::start(&["--chats", "1", "--sql", &data]).await;
    second.sign_up("ada").await;
}

#[tokio::test]
async fn a_file_that_is_no_database_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("letters.db");
    fs::write(&file, "Dear Sir or Madam, ".repeat(100)).unwrap();
    let database = format!("sqlite:{}", file.display());
    run(&["--ephemeral-ports", "--sql", &database]).await.assert_refused("--sql: ");
    assert!(fs::read_to_string(&file).unwrap().starts_with("Dear"));
}

#[tokio::test]
async fn signals_end_it_with_status_0() {
    for signal in ["TERM", "INT"] {
        let mut topology = Topology::start(&["--chats", "1"]).await;
        topology.signal(signal).await;
        assert_eq!(topology.wait().await, Some(0), "{signal}: {}", topology.log());
    }
}

#[tokio::test]
async fn signals_to_the_group_and_twice_change_nothing() {
    let mut topology = Topology::start(&["--chats", "2", "--drain-deadline", "3"]).await;
    // Half a request keeps the gate from having ended before the second signal.
    let mut stream = TcpStream::connect(topology.ready.gate.strip_prefix("http://").unwrap()).await.unwrap();
    stream.write_all(b"POST /user_login HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\n{").await.unwrap();
    let begin = Instant::now();
    topology.signal_group("TERM").await;
    topology.signal_group("TERM").await;
    topology.signal_group("INT").await;
    assert_eq!(topology.wait().await, Some(0), "{}", topology.log());
    assert!(begin.elapsed() < 3 * Duration::from_secs(3), "{:?}", begin.elapsed());
}

#[tokio::test]
async fn sessions_are_closed_within_the_deadline_also_those_that_do_nothing() {
    let mut topology = Topology::start(&["--chats", "1", "--drain-deadline", "3"]).await;
    let (mut client, _) = RawClient::log_in(&topology.sign_up("ada").await).await;
    let _silent = RawClient::connect(&topology.ready.chats[0].tcp).await;
    let _silent_peer = RawClient::connect(&topology.ready.chats[0].grpc).await;
    let _silent_caller = RawClient::connect(&topology.ready.status).await;
    let begin = Instant::now();
    topology.signal("TERM").await;
    while client.recv().await.is_some() {}
    assert_eq!(topology.wait().await, Some(0), "{}", topology.log());
    assert!(begin.elapsed() < 3 * Duration::from_secs(3), "{:?}", begin.elapsed());
}

#[tokio::test]
async fn accounts_outlive_the_process_in_sqlite_and_not_in_memory() {
    for (database, kept) in [(&[][..], true), (&["--sql", "memory:"], false)] {
        let first = Topology::start(database).await;
        let mut user = first.sign_up("ada").await;
        let second = Topology::start_in(first.stop().await, database, &[]).await;
        if kept {
            let uid = user.uid;
            second.log_in_at_gate(&mut user).await;
            assert_eq!(user.uid, uid);
        } else {
            let reply = second.post("/user_login", &json!({ "email": user.email, "passwd": "x" })).await;
            assert_eq!(reply["error"], 1009);
            assert!(!second.directory().join("data").exists(), "memory leaves nothing behind");
        }
    }
}
