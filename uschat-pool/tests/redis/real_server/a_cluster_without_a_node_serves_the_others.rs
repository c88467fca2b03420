//! One of three nodes is killed and comes back: the keys of the others are served all the time, its own afterwards, and no
//! call that may be repeated fails.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::{task::JoinSet, time::sleep};
use uschat_pool::{
    Retry, Shared, SharedConfig,
    redis::{
        RedisConfig, RedisManager,
        redis::{Client, Value},
    },
};

use crate::{
    redis_server::RedisServer,
    support::{MAX_BACKOFF, PATIENT, call_by_shared, command, eventually, shared},
};

const NODES: usize = 3;
const KILLS: usize = 2;
const OUTAGE: Duration = Duration::from_millis(1_000);
/// How long one of the others may take while a node is away.
const OTHERS: Duration = Duration::from_secs(2);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_call_fails() {
    let mut nodes = cluster().await;
    let url = format!("{}/?cluster=true", nodes[0].url());
    let config = SharedConfig { max_backoff: MAX_BACKOFF, ..SharedConfig::default() };
    let shared = shared(&url, &RedisConfig::default(), config);
    let done = Arc::new(AtomicBool::new(false));
    let mut users = JoinSet::new();
    for node in 0..NODES {
        // The last one is the one that is killed.
        let within = if node == NODES - 1 { PATIENT } else { OTHERS };
        users.spawn(keep_setting(shared.clone(), key_of(&nodes[0], node).await, within, Arc::clone(&done)));
    }
    for _ in 0..KILLS {
        sleep(OUTAGE / 4).await;
        nodes[NODES - 1].kill();
        sleep(OUTAGE).await;
        nodes[NODES - 1].restart().await;
        let back = Instant::now();
        let key = key_of(&nodes[0], NODES - 1).await;
        let retry = Retry::within(PATIENT).idempotent();
        call_by_shared(shared.clone(), retry, command(&format!("SET {key} 1"))).await.unwrap();
        // A node that comes back refuses commands for two seconds, until it knows of the others.
        println!("the node served its keys {:?} after it was back", back.elapsed());
    }
    done.store(true, Ordering::Relaxed);
    for (calls, slowest) in users.join_all().await {
        println!("{calls} calls for keys of one node, the slowest took {slowest:?}");
        assert!(calls > 10, "{calls}");
    }
}

/// Ends the test with the first error. Says how many calls it made, and how long the longest took.
async fn keep_setting(
    shared: Shared<RedisManager>,
    key: String,
    within: Duration,
    done: Arc<AtomicBool>,
) -> (usize, Duration) {
    let (mut calls, mut slowest) = (0, Duration::ZERO);
    while !done.load(Ordering::Relaxed) {
        let start = Instant::now();
        let retry = Retry::within(within).idempotent();
        call_by_shared(shared.clone(), retry, command(&format!("SET {key} 1")))
            .await
            .unwrap_or_else(|error| panic!("a key that may take {within:?}: {error:?}"));
        (calls, slowest) = (calls + 1, slowest.max(start.elapsed()));
    }
    (calls, slowest)
}

/// Three nodes that know each other. The slots of one that is away are refused, and only those.
async fn cluster() -> Vec<RedisServer> {
    let arguments =
        ["--cluster-enabled", "yes", "--cluster-node-timeout", "1000", "--cluster-require-full-coverage", "no"];
    let mut nodes = Vec::new();
    for _ in 0..NODES {
        nodes.push(RedisServer::start_with(&arguments).await);
    }
    for (index, node) in nodes.iter().enumerate() {
        let (first, last) = slots(index);
        ask(node, &format!("CLUSTER ADDSLOTSRANGE {first} {last}")).await;
        ask(node, &format!("CLUSTER SET-CONFIG-EPOCH {}", index + 1)).await;
    }
    for node in &nodes[1..] {
        ask(&nodes[0], &format!("CLUSTER MEET 127.0.0.1 {}", node.port())).await;
    }
    for node in &nodes {
        let is_complete = async || {
            ask(node, "CLUSTER INFO").await.contains("cluster_state:ok")
                && ask(node, "CLUSTER SLOTS").await.matches("127.0.0.1").count() >= NODES
        };
        eventually("the cluster is complete", is_complete).await;
    }
    nodes
}

fn slots(node: usize) -> (usize, usize) {
    [(0, 5_460), (5_461, 10_922), (10_923, 16_383)][node]
}

/// Asks one node, whoever has the key, and returns the answer as text.
async fn ask(node: &RedisServer, text: &str) -> String {
    let client = Client::open(node.url()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let answer: Value = command(text).query_async(&mut connection).await.unwrap();
    match answer {
        Value::BulkString(text) => String::from_utf8_lossy(&text).into_owned(),
        other => format!("{other:?}"),
    }
}

async fn key_of(any: &RedisServer, node: usize) -> String {
    let (first, last) = slots(node);
    for number in 0.. {
        let key = format!("key:{number}");
        let slot = ask(any, &format!("CLUSTER KEYSLOT {key}")).await;
        let slot: usize = slot.trim_matches(|c: char| !c.is_ascii_digit()).parse().unwrap();
        if (first..=last).contains(&slot) {
            return key;
        }
    }
    unreachable!("some key is in each slot");
}
