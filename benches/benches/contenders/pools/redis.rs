//! Clients of a Redis server, each of them many tasks' only one.

use std::process::{Command, Stdio};

use deadpool_redis::Runtime;
use redis::AsyncCommands;
use redis::aio::{ConnectionLike, ConnectionManager};
use uschat_pool::redis::{RedisConfig, RedisManager};
use uschat_pool::{Pool, PoolConfig, Shared, SharedConfig};

use super::load::Work;

#[path = "../../../../uschat-server/tests/real_servers/redis.rs"]
mod server;

pub(crate) use server::RedisServer;

const KEY: &str = "utoken_1001";
const VALUE: [u8; 64] = [b'7'; 64];
/// Of the pools that lend.
const SIZE: usize = 8;

/// A server that holds what the clients ask for; nothing, and a line on the standard error, if none is installed.
pub(crate) async fn start() -> Option<RedisServer> {
    let version = Command::new("redis-server").arg("--version").stdout(Stdio::null()).status();
    if let Err(error) = version {
        eprintln!("redis-server cannot be started, so Redis is left out (Debian package: redis-server): {error}");
        return None;
    }
    let server = RedisServer::start().await;
    let mut connection = connection_manager(&server).await.0;
    let () = connection.set(KEY, &VALUE).await.expect("the server stores a value");
    Some(server)
}

/// What each task does.
async fn get(connection: &mut (impl ConnectionLike + Send)) {
    let value: Vec<u8> = redis::cmd("GET").arg(KEY).query_async(connection).await.expect("an answer");
    assert_eq!(value.len(), VALUE.len());
}

/// Ours, as one uses it for plain commands: one connection that all share.
#[derive(Clone)]
pub(crate) struct UsChatShared(Shared<RedisManager>);

pub(crate) fn uschat_shared(server: &RedisServer) -> UsChatShared {
    let config = SharedConfig::pipelined();
    UsChatShared(Shared::new("redis", manager(server), config).expect("a valid configuration"))
}

impl Work for UsChatShared {
    type Held = ();

    async fn begin(&self) {
        let mut handle = self.0.handle().await.expect("a connection");
        get(&mut *handle).await;
    }
}

/// Ours, as one uses it for commands that need a connection of their own.
#[derive(Clone)]
pub(crate) struct UsChatPool(Pool<RedisManager>);

pub(crate) fn uschat_pool(server: &RedisServer) -> UsChatPool {
    let config = PoolConfig { size: SIZE, ..PoolConfig::default() };
    UsChatPool(Pool::new("redis", manager(server), config).expect("a valid configuration"))
}

impl Work for UsChatPool {
    type Held = ();

    async fn begin(&self) {
        let mut lease = self.0.get().await.expect("a connection");
        get(&mut *lease).await;
    }
}

fn manager(server: &RedisServer) -> RedisManager {
    RedisManager::new(&server.url(), &RedisConfig::default()).expect("a URL of a server")
}

/// The driver's own: one connection, of which every task has a clone.
#[derive(Clone)]
pub(crate) struct Manager(ConnectionManager);

pub(crate) async fn connection_manager(server: &RedisServer) -> Manager {
    let client = redis::Client::open(server.url()).expect("a URL of a server");
    Manager(ConnectionManager::new(client).await.expect("a connection"))
}

impl Work for Manager {
    type Held = ();

    async fn begin(&self) {
        get(&mut self.0.clone()).await;
    }
}

/// deadpool's, as its defaults are.
#[derive(Clone)]
pub(crate) struct Deadpool(deadpool_redis::Pool);

pub(crate) fn deadpool_redis(server: &RedisServer) -> Deadpool {
    let config = deadpool_redis::Manager::new(server.url()).expect("a URL of a server");
    let pool = deadpool_redis::Pool::builder(config).max_size(SIZE).runtime(Runtime::Tokio1).build();
    Deadpool(pool.expect("a valid configuration"))
}

impl Work for Deadpool {
    type Held = ();

    async fn begin(&self) {
        let mut connection = self.0.get().await.expect("a connection");
        get(&mut *connection).await;
    }
}
