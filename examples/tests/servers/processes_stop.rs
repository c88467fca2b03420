//! `topology --processes` ends in good order, and wholly, whoever is told to end and however often.

use std::{
    collections::BTreeSet,
    process::Stdio,
    time::{Duration, Instant},
};

use serde_json::json;
use tokio::{io::AsyncWriteExt, net::TcpStream, task::JoinHandle, time::sleep};

use crate::support::{Backends, RawClient, Topology, in_time, processes, topology_program, until};

/// `--drain-deadline`, in seconds.
const DRAIN: u64 = 3;
const DEADLINE: Duration = Duration::from_secs(3 * DRAIN);

mod real_server {
    use super::*;

    #[tokio::test]
    async fn told_to_end_it_drains_and_starts_nothing_again() {
        ends_in_good_order(async |topology| topology.signal("TERM").await).await;
    }

    #[tokio::test]
    async fn signals_to_the_group_and_twice_change_nothing() {
        ends_in_good_order(async |topology| {
            topology.signal_group("TERM").await;
            topology.signal_group("TERM").await;
            topology.signal_group("INT").await;
        })
        .await;
        ends_in_good_order(async |topology| {
            topology.signal_group("INT").await;
            topology.signal_group("INT").await;
        })
        .await;
    }

    #[tokio::test]
    async fn told_to_end_while_it_starts_it_leaves_nothing() {
        let backends = Backends::shared().await;
        let directory = tempfile::tempdir().unwrap();
        let ready_file = directory.path().join("ready.json");
        let mut command = topology_program();
        command.args(backends.processes()).args(["--ephemeral-ports", "--ready-file"]).arg(&ready_file);
        let mut topology = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let parent = topology.id().unwrap();
        let mut servers = BTreeSet::new();
        until("it has begun to start servers", async || {
            servers = processes::children_of(parent);
            !servers.is_empty()
        })
        .await;
        processes::signal(parent, "TERM").await;
        servers.extend(processes::children_of(parent));
        let status = in_time("it ends", topology.wait()).await.unwrap();
        assert_eq!(status.code(), Some(0));
        until("no server is left", async || processes::living_of(&servers).is_empty()).await;
        assert!(!ready_file.exists());
        // What it left undone, the next one does.
        Topology::start(&backends.processes()).await.sign_up("ada").await;
    }

    #[tokio::test]
    async fn the_servers_of_a_killed_parent_drain_and_end() {
        let backends = Backends::shared().await;
        let mut topology = start(&backends).await;
        let servers = processes::children_of(topology.pid());
        assert_eq!(servers.len(), 5);
        let (mut one, mut other) = sessions(&topology).await;
        topology.signal("KILL").await;
        let begin = Instant::now();
        assert_eq!(topology.wait().await, None);
        tokio::join!(good_bye(&mut one), good_bye(&mut other));
        until("all servers have ended", async || processes::living_of(&servers).is_empty()).await;
        assert!(begin.elapsed() < DEADLINE, "{:?}", begin.elapsed());
        assert_eq!(backends.redis::<usize>(&["EXISTS", "logincount", "uip_1001", "uip_1002"]).await, 0);
        topology.assert_no_panic();
    }
}

async fn start(backends: &Backends) -> Topology {
    let drain = DRAIN.to_string();
    let mut arguments = backends.processes().to_vec();
    arguments.extend(["--drain-deadline", &drain]);
    Topology::start(&arguments).await
}

/// A user on each chat server.
async fn sessions(topology: &Topology) -> (RawClient, RawClient) {
    let (ada, ben) = topology.sign_up_friends("ada", "ben").await;
    let [first, second] = &topology.ready.chats[..] else { panic!("two") };
    let (mut one, _) = RawClient::log_in_at(&first.tcp, &ada, &[]).await;
    let (mut other, _) = RawClient::log_in_at(&second.tcp, &ben, &[]).await;
    one.say(&ben, "hello", "hello").await;
    other.skip_to(1019).await;
    (one, other)
}

async fn good_bye(client: &mut RawClient) {
    assert_eq!(client.expect(3002).await, json!({ "error": 0 }));
    client.expect_clean_end().await;
}

/// Both sessions hear good-bye, everything ends with status 0 within the deadline, and no process appears meanwhile.
async fn ends_in_good_order(telling: impl AsyncFnOnce(&Topology)) {
    let backends = Backends::shared().await;
    let mut topology = start(&backends).await;
    let (mut one, mut other) = sessions(&topology).await;
    // Half a request keeps the gate from having ended before the last signal.
    let mut stream = TcpStream::connect(topology.ready.gate.strip_prefix("http://").unwrap()).await.unwrap();
    stream.write_all(b"POST /user_login HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\n{").await.unwrap();
    let servers = processes::children_of(topology.pid());
    assert_eq!(servers.len(), 5);
    let watching = Watching::begin(topology.pid());

    let begin = Instant::now();
    telling(&topology).await;
    tokio::join!(good_bye(&mut one), good_bye(&mut other));
    assert_eq!(topology.wait().await, Some(0), "{}", topology.log());
    println!("ended after {} ms", begin.elapsed().as_millis());
    assert!(begin.elapsed() < DEADLINE, "{:?}", begin.elapsed());
    assert_eq!(watching.end().await, servers, "nothing was started: {}", topology.log());
    assert_eq!(processes::living_of(&servers), BTreeSet::new());
    assert!(!topology.ready_file().exists());
    assert!(!topology.log().contains("starting it again"), "{}", topology.log());
    assert_eq!(backends.redis::<usize>(&["EXISTS", "logincount", "uip_1001", "uip_1002"]).await, 0);
    topology.assert_no_panic();
}

/// Collects the children that a process has at any time.
struct Watching(JoinHandle<BTreeSet<u32>>);

impl Watching {
    fn begin(parent: u32) -> Self {
        let mut seen = processes::children_of(parent);
        Self(tokio::spawn(async move {
            loop {
                let children = processes::children_of(parent);
                if children.is_empty() {
                    return seen;
                }
                seen.extend(children);
                sleep(Duration::from_millis(2)).await;
            }
        }))
    }

    /// All it saw until there was none left.
    async fn end(self) -> BTreeSet<u32> {
        in_time("all children end", self.0).await.unwrap()
    }
}
