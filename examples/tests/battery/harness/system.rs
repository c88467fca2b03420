//! Servers as they run in production: a process each, on Redis and MariaDB of their own.

use std::{collections::BTreeSet, time::Instant};

use uschat_examples::oracle::{LogCheck, Usage};

use super::{Store, target};

use crate::support::{Backends, Chat, Topology, mariadb::MariaDb, processes, redis::RedisServer, until};

/// A topology of processes, a Redis and a MariaDB, each of which can be killed. All of it ends when dropped.
#[derive(Debug)]
pub struct System {
    pub topology: Topology,
    pub backends: Backends,
    own: Option<Own>,
}

struct Own {
    redis: RedisServer,
    /// None only while it is being started again.
    database: Option<MariaDb>,
}

impl std::fmt::Debug for Own {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Own").finish_non_exhaustive()
    }
}

impl System {
    /// Starts one on a Redis and a MariaDB that the tests of this program share, for faults of our servers only.
    pub async fn shared(arguments: &[&str]) -> Self {
        let backends = Backends::shared().await;
        let topology = Topology::start(&[&backends.processes()[..], arguments].concat()).await;
        Self { topology, backends, own: None }
    }

    /// Starts one on a Redis and a MariaDB of its own.
    pub async fn start(arguments: &[&str]) -> Self {
        let (redis, database) = tokio::join!(RedisServer::start(), MariaDb::start(&[]));
        let backends = Backends::on(&redis, &database).await;
        let topology = Topology::start(&[&backends.processes()[..], arguments].concat()).await;
        Self { topology, backends, own: Some(Own { redis, database: Some(database) }) }
    }

    /// Its database.
    pub fn store(&self) -> Store {
        Store::MariaDb(self.backends.processes()[4].to_owned())
    }

    /// The chat servers as they run now.
    pub fn chats(&self) -> Vec<Chat> {
        self.topology.ready_now().chats
    }

    /// Ends a chat server as a crash would; returns when.
    pub async fn kill_chat(&self, chat: &Chat) -> Instant {
        let killed = Instant::now();
        processes::signal(chat.pid, "KILL").await;
        killed
    }

    /// Waits until every chat server runs.
    pub async fn all_back(&self) {
        until("every chat server is back", async || {
            let chats: BTreeSet<_> = self.chats().iter().map(|chat| chat.pid).collect();
            processes::living_of(&chats) == chats
        })
        .await;
    }

    /// Ends the database as a crash would; returns when.
    pub async fn kill_database(&mut self) -> Instant {
        let killed = Instant::now();
        let mut database = self.own().database.take().unwrap();
        let database = tokio::task::spawn_blocking(move || {
            database.kill9();
            database
        });
        self.own().database = Some(database.await.unwrap());
        killed
    }

    /// Starts it again; returns when it accepted connections.
    pub async fn start_database(&mut self) -> Instant {
        let database = self.own().database.take().unwrap();
        self.own().database = Some(database.restart().await);
        Instant::now()
    }

    /// The Redis server.
    pub fn redis(&mut self) -> &mut RedisServer {
        &mut self.own().redis
    }

    /// What the chat servers hold together.
    pub fn usage(&self) -> Usage {
        let none = Usage { open_files: 0, threads: 0, memory_bytes: 0 };
        self.chats().iter().fold(none, |sum, chat| {
            let one = Usage::of(chat.pid).unwrap();
            Usage {
                open_files: sum.open_files + one.open_files,
                threads: sum.threads + one.threads,
                memory_bytes: sum.memory_bytes + one.memory_bytes,
            }
        })
    }

    /// Ends it as an operator does, and looks through its log: no panic, and what `check` expects.
    pub async fn stop(self, mut check: LogCheck) {
        check.read("log", self.topology.log().as_bytes()).unwrap();
        let faults: Vec<_> = check.faults().iter().map(ToString::to_string).collect();
        assert!(faults.is_empty(), "{faults:#?}");
        let Self { topology, .. } = &self;
        topology.signal("TERM").await;
        let mut this = self;
        let status = this.topology.wait().await;
        assert_eq!(status, Some(0), "{}", this.topology.log());
        this.topology.assert_no_panic();
    }

    fn own(&mut self) -> &mut Own {
        self.own.as_mut().expect("a system that shares its servers lets them live")
    }
}

/// A failure leaves the log behind.
impl Drop for System {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let kept = target("battery").join(format!("{}.log", self.topology.pid()));
            let _ = std::fs::write(&kept, self.topology.log());
            println!("the servers' log is {}", kept.display());
        }
    }
}
