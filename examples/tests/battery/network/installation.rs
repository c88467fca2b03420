//! Five servers of their own processes with a bad network between them: two chat servers whose clients, peers, Redis and
//! database are all behind chaos proxies, one for each; gate, status and verification server go straight to the backends.

use std::{net::SocketAddr, path::Path};

use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use url::Url;
use uschat_examples::chaos::{Chaos, ChaosConfig};

use super::counted::Counted;

use crate::support::{
    Gate, RawClient, User,
    redis::RedisServer,
    servers::{Server, free_port, new_database, rows},
};

/// The installation. Everything ends when it is dropped.
pub struct Installation {
    pub gate: Gate,
    pub redis: RedisServer,
    /// The database itself, behind nothing.
    pub sql: String,
    pub chats: [Node; 2],
    _others: [Server; 3],
    _folder: TempDir,
}

/// A chat server and the networks around it.
pub struct Node {
    pub server: Server,
    /// Between it and its clients.
    pub clients: Chaos,
    /// Where its peers reach it.
    pub peers: Chaos,
    /// Between it and Redis.
    pub redis: Chaos,
    /// Between it and the database.
    pub sql: Chaos,
}

impl Installation {
    /// Starts it, with a Redis of its own and an empty database. `seed` is that of all proxies.
    pub async fn start(seed: u64) -> Self {
        let redis = RedisServer::start_with(&["--enable-debug-command", "local"]).await;
        let sql = new_database().await;
        let folder = tempfile::tempdir().unwrap();
        let [verify_port, status_port] = [free_port(), free_port()];
        let behind = format!("[VarifyServer]\nPort = {verify_port}\n[StatusServer]\nPort = {status_port}\n");
        let url = redis.url();
        let first = Node::start(&folder, 1, seed, &url, &sql).await;
        let second = Node::start(&folder, 2, seed, &url, &sql).await;
        let told = |node: &Node| {
            let (name, address) = (&node.server.ready.name, node.clients.address());
            format!("[{name}]\nHost = {}\nPort = {}\n", address.ip(), address.port())
        };
        let names = format!("{},{}", first.server.ready.name, second.server.ready.name);
        let clients = format!("[chatservers]\nName = {names}\n{}{}", told(&first), told(&second));
        let verify = start("verify", &folder, &behind, &["--redis", &url]).await;
        let status = start("status", &folder, &format!("{behind}{clients}"), &["--redis", &url]).await;
        let gate = format!("{behind}[GateServer]\nPort = {}\n", free_port());
        let gate = start("gate", &folder, &gate, &["--redis", &url, "--sql", &sql]).await;
        Self {
            gate: Gate(format!("http://{}", gate.ready.addresses[0])),
            redis,
            sql,
            chats: [first, second],
            _others: [verify, status, gate],
            _folder: folder,
        }
    }

    /// Two friends, of whom the first belongs to the first chat server and the second to the second, as far as their tickets
    /// say; who said nothing yet.
    pub async fn friends(&self, one: &str, other: &str) -> (User, User) {
        let (mut one, mut other) = (self.gate.sign_up(one).await, self.gate.sign_up(other).await);
        self.chats[0].is_home_of(&mut one);
        self.chats[1].is_home_of(&mut other);
        self.befriend(&one, &other).await;
        (one, other)
    }

    /// The same, both on the same chat server.
    pub async fn friends_at(&self, chat: usize, one: &str, other: &str) -> (User, User) {
        let (mut one, mut other) = (self.gate.sign_up(one).await, self.gate.sign_up(other).await);
        self.chats[chat].is_home_of(&mut one);
        self.chats[chat].is_home_of(&mut other);
        self.befriend(&one, &other).await;
        (one, other)
    }

    async fn befriend(&self, one: &User, other: &User) {
        let (mut applicant, _) = RawClient::log_in(one).await;
        let (mut approver, _) = RawClient::log_in(other).await;
        let applied = applicant.ask(1009, &serde_json::json!({ "touid": other.uid })).await;
        assert_eq!(applied["error"], 0, "{applied}");
        let approved = approver.ask(1013, &serde_json::json!({ "touid": one.uid })).await;
        assert_eq!(approved["error"], 0, "{approved}");
    }

    /// The rows of a query on the database itself.
    pub async fn rows(&self, query: &str) -> Vec<String> {
        rows(&self.sql, query).await
    }

    /// That no server has panicked so far.
    #[track_caller]
    pub fn assert_no_panic(&self) {
        for server in self.chats.iter().map(|chat| &chat.server).chain(&self._others) {
            let log = server.log();
            assert!(!log.contains("panic"), "{}: {log}", server.ready.name);
        }
    }
}

impl Node {
    async fn start(folder: &TempDir, number: u8, seed: u64, redis: &str, sql: &str) -> Self {
        let (redis, redis_url) = in_front_of(redis, seed).await;
        let (sql, sql_url) = in_front_of(sql, seed).await;
        let [port, peer_port, metrics_port] = [free_port(), free_port(), free_port()];
        // Peers are told a host and the listener's own port: so the proxy has that port on another address of loopback.
        let peer_host = format!("127.0.0.{}", 10 + number);
        let config = format!(
            "[SelfServer]\nName = chatserver{number}\nPort = {port}\nRPCPort = {peer_port}\nPeerHost = {peer_host}\n\
             [Metrics]\nPort = {metrics_port}\n"
        );
        let clients = chaos(ChaosConfig::to(loopback(port)).seed(seed)).await;
        let peers = format!("{peer_host}:{peer_port}").parse().unwrap();
        let peers = chaos(ChaosConfig::to(loopback(peer_port)).listen(peers).seed(seed)).await;
        let backends = ["--redis", &redis_url, "--sql", &sql_url];
        let server = start("chat", folder, &config, &backends).await;
        Self { server, clients, peers, redis, sql }
    }

    /// How many lines of its log say this; there must be one at least.
    #[track_caller]
    pub fn logged(&self, words: &str) -> usize {
        let log = self.server.log();
        let lines = log.lines().filter(|line| line.contains(words)).count();
        assert!(lines > 0, "nothing in the log of {} says: {words}\n{log}", self.server.ready.name);
        lines
    }

    /// Changes a ticket to this server: a token is good on every one.
    pub fn is_home_of(&self, user: &mut User) {
        user.host = self.clients.address().ip().to_string();
        user.port = self.clients.address().port().to_string();
    }

    /// What it has counted so far.
    pub async fn counted(&self) -> Counted {
        Counted::at(self.server.ready.metrics.as_ref().unwrap()).await
    }
}

/// A proxy in front of the server of a URL, and the URL through it.
async fn in_front_of(url: &str, seed: u64) -> (Chaos, String) {
    let mut url = Url::parse(url).unwrap();
    let chaos = chaos(ChaosConfig::to(loopback(url.port().unwrap())).seed(seed)).await;
    url.set_port(Some(chaos.address().port())).unwrap();
    (chaos, url.into())
}

async fn chaos(config: ChaosConfig) -> Chaos {
    Chaos::start(config, CancellationToken::new()).await.unwrap()
}

async fn start(name: &str, folder: &TempDir, config: &str, backends: &[&str]) -> Server {
    let file = write(folder.path(), name, config);
    Server::start(name, &[&["--config", &file, "--bind", "127.0.0.1"], backends].concat()).await
}

fn write(folder: &Path, name: &str, config: &str) -> String {
    let file = folder.join(format!("{name}{}.ini", free_port()));
    std::fs::write(&file, config).unwrap();
    file.to_str().unwrap().to_owned()
}

fn loopback(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}
