//! Servers, states and plain commands for the tests of the Redis adapter.

use std::{
    any::Any,
    sync::{Arc, Mutex},
    time::Duration,
};

use uschat_pool::redis::redis::{Client, Cmd, FromRedisValue, aio::MultiplexedConnection, cmd};
use uschat_server::store::{
    redis::{RedisOptions, RedisState},
    state::Holder,
};

use crate::conformance::state::Subject;

pub(crate) use super::redis_server::RedisServer;

/// Deadlines that a busy machine keeps.
pub(crate) fn patient() -> RedisOptions {
    let deadline = Duration::from_secs(10);
    RedisOptions { connect_deadline: deadline, command_deadline: deadline, ..RedisOptions::default() }
}

pub(crate) async fn open(server: &RedisServer) -> RedisState {
    RedisState::open(&server.url(), patient()).await.unwrap()
}

pub(crate) async fn one_server() -> Subject {
    let server = RedisServer::start().await;
    let state = open(&server).await;
    subject(state, server)
}

/// Nodes need two seconds to agree, so a cluster is used again by the cases that follow.
pub(crate) async fn a_cluster() -> Subject {
    let rested = IDLE_CLUSTERS.lock().unwrap().pop();
    let nodes = match rested {
        Some(nodes) => nodes,
        None => cluster().await,
    };
    for node in &nodes {
        Plain::to(node).await.run::<()>(&cmd("FLUSHALL")).await;
    }
    let state = RedisState::open(&format!("{}/?cluster=true", nodes[0].url()), patient()).await.unwrap();
    subject(state, LentCluster(nodes))
}

static IDLE_CLUSTERS: Mutex<Vec<Vec<RedisServer>>> = Mutex::new(Vec::new());

struct LentCluster(Vec<RedisServer>);

impl Drop for LentCluster {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            IDLE_CLUSTERS.lock().unwrap().push(std::mem::take(&mut self.0));
        }
    }
}

/// What `keep` holds lives until the end of the case.
fn subject(state: RedisState, keep: impl Any + Send + Sync) -> Subject {
    Subject { state: Arc::new(state), elapse: |time| Box::pin(tokio::time::sleep(time)), keep: Box::new(keep) }
}

/// Three nodes that have met and know that all slots are served.
pub(crate) async fn cluster() -> Vec<RedisServer> {
    cluster_with(&[]).await
}

/// The same with further arguments for every node.
pub(crate) async fn cluster_with(arguments: &[&str]) -> Vec<RedisServer> {
    let arguments = [&["--cluster-enabled", "yes", "--cluster-node-timeout", "2000"], arguments].concat();
    let (a, b, c) = tokio::join!(
        RedisServer::start_with(&arguments),
        RedisServer::start_with(&arguments),
        RedisServer::start_with(&arguments)
    );
    let nodes = vec![a, b, c];
    let encrypted = arguments.contains(&"--tls-cluster");
    let first = Plain::to(&nodes[0]).await;
    let mut plain = Vec::new();
    for (index, node) in nodes.iter().enumerate() {
        let node = Plain::to(node).await;
        let (begin, end) = [(0, 5_461), (5_462, 10_922), (10_923, 16_383)][index];
        node.run::<()>(cmd("CLUSTER").arg("ADDSLOTSRANGE").arg(begin).arg(end)).await;
        node.run::<()>(cmd("CLUSTER").arg("SET-CONFIG-EPOCH").arg(index + 1)).await;
        plain.push(node);
    }
    for node in &nodes[1..] {
        let port = if encrypted { node.tls_port() } else { node.port() };
        first.run::<()>(cmd("CLUSTER").arg("MEET").arg("127.0.0.1").arg(port)).await;
    }
    for node in &plain {
        let ready = async || {
            let info: String = node.run(cmd("CLUSTER").arg("INFO")).await;
            let slots: String = node.run(cmd("CLUSTER").arg("NODES")).await;
            info.contains("cluster_state:ok") && slots.lines().filter(|line| line.contains("connected")).count() == 3
        };
        until("the cluster is complete", ready).await;
    }
    nodes
}

/// Redis does not announce what is waited for here, so it is asked again until it is true.
pub(crate) async fn until(what: &str, mut is_true: impl AsyncFnMut() -> bool) {
    let waiting = async {
        while !is_true().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), waiting).await.unwrap_or_else(|_| panic!("not in time: {what}"));
}

/// A connection of the driver alone, to look at keys as an original server does.
pub(crate) struct Plain(MultiplexedConnection);

impl Plain {
    pub(crate) async fn to(server: &RedisServer) -> Self {
        Self::url(&server.url()).await
    }

    pub(crate) async fn url(url: &str) -> Self {
        Self(Client::open(url).unwrap().get_multiplexed_async_connection().await.unwrap())
    }

    pub(crate) async fn run<T: FromRedisValue>(&self, command: &Cmd) -> T {
        command.query_async(&mut self.0.clone()).await.unwrap()
    }

    pub(crate) async fn get(&self, key: &str) -> Option<String> {
        self.run(cmd("GET").arg(key)).await
    }

    pub(crate) async fn set(&self, key: &str, value: &str) {
        self.run(cmd("SET").arg(key).arg(value)).await
    }

    pub(crate) async fn hget(&self, key: &str, field: &str) -> Option<String> {
        self.run(cmd("HGET").arg(key).arg(field)).await
    }

    /// Milliseconds; -1 without an expiry, -2 without the key.
    pub(crate) async fn pttl(&self, key: &str) -> i64 {
        self.run(cmd("PTTL").arg(key)).await
    }

    pub(crate) async fn keys(&self) -> Vec<String> {
        let mut keys: Vec<String> = self.run(cmd("KEYS").arg("*")).await;
        keys.sort();
        keys
    }
}

pub(crate) fn holder(server: &str, session: u64, fence: i64) -> Holder {
    Holder { server: server.into(), session, fence }
}
