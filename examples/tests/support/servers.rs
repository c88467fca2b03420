//! The servers behind ours, and ours started one by one.

use std::{
    fs::File,
    net::TcpListener,
    path::Path,
    process::Stdio,
    sync::atomic::{AtomicU16, AtomicUsize, Ordering},
    time::Duration,
};

use serde::Deserialize;
use sqlx::{AssertSqlSafe, Connection, MySqlConnection, Row};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    process::Child,
    sync::OnceCell,
    time::sleep,
};

use super::{in_time, mariadb::MariaDb, program, redis::RedisServer, topology::kill};

#[path = "../../../uschat-server/tests/real_servers/smtp.rs"]
pub mod smtp;

/// The URL of a new, empty database on the MariaDB that the tests of one program share.
pub async fn new_database() -> String {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let server = MariaDb::shared().await;
    let name = format!("case{}", NEXT.fetch_add(1, Ordering::Relaxed));
    execute(&server.url(""), &format!("CREATE DATABASE {name}")).await;
    server.url(&name)
}

/// The URL of an empty database of the Redis that the tests of one program share.
pub async fn new_redis() -> String {
    static SHARED: OnceCell<RedisServer> = OnceCell::const_new();
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("{}/{number}", SHARED.get_or_init(|| RedisServer::start_with(&["--databases", "1000"])).await.url())
}

/// Runs Redis commands, in the form that people type; all answers as Redis writes them.
pub async fn redis_commands(url: &str, commands: &[&str]) -> String {
    let (address, database) = url.trim_start_matches("redis://").split_once('/').unwrap();
    let commands = format!("SELECT {database}\r\n{}\r\nQUIT\r\n", commands.join("\r\n"));
    let mut answers = String::new();
    let talk = async {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(commands.as_bytes()).await.unwrap();
        stream.read_to_string(&mut answers).await.unwrap();
    };
    in_time("Redis answers", talk).await;
    assert!(!answers.contains("-ERR"), "{answers}");
    answers
}

/// Runs statements.
pub async fn execute(url: &str, statements: &str) {
    let mut connection = MySqlConnection::connect(url).await.unwrap();
    sqlx::raw_sql(AssertSqlSafe(statements.to_owned())).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

/// The rows of the last of these queries, every value as text (`NULL` for none), joined by `|`.
pub async fn rows(url: &str, query: &str) -> Vec<String> {
    let mut connection = MySqlConnection::connect(url).await.unwrap();
    let rows = sqlx::raw_sql(AssertSqlSafe(query.to_owned())).fetch_all(&mut connection).await.unwrap();
    let text = |row: &sqlx::mysql::MySqlRow, at| {
        let bytes: Option<Vec<u8>> = row.try_get_unchecked(at).unwrap();
        bytes.map_or("NULL".to_owned(), |bytes| String::from_utf8_lossy(&bytes).into_owned())
    };
    rows.iter().map(|row| (0..row.len()).map(|at| text(row, at)).collect::<Vec<_>>().join("|")).collect()
}

/// A loopback port on which nobody listens, below those that the system gives to others: it stays free until it is used.
pub fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = u16::try_from(std::process::id() * 41 % 4_000).unwrap();
    loop {
        let port = 27_000 + (first + NEXT.fetch_add(1, Ordering::Relaxed)) % 4_000;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// One of our servers, started alone. Killed when dropped.
#[derive(Debug)]
pub struct Server {
    pub ready: ServerReady,
    child: Child,
    folder: TempDir,
}

/// The ready file of a server that is started alone, no key more and no key less.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServerReady {
    pub name: String,
    pub addresses: Vec<String>,
    pub metrics: Option<String>,
    pub pid: u32,
}

impl Server {
    /// Starts `gate`, `verify`, `status` or `chat`, and waits until it is ready.
    pub async fn start(name: &str, arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let ready_file = folder.path().join("ready.json");
        let log = File::create(folder.path().join("log")).unwrap();
        let mut command = program::server(name);
        command.args(arguments).arg("--ready-file").arg(&ready_file).stdout(Stdio::null()).stderr(log);
        let mut child = command.spawn().unwrap();
        let ready = in_time("the ready file", async {
            loop {
                if let Ok(text) = std::fs::read_to_string(&ready_file) {
                    return serde_json::from_str(&text).unwrap();
                }
                if let Some(status) = child.try_wait().unwrap() {
                    panic!("{name} ended with {status}: {}", read(&folder.path().join("log")));
                }
                // Between processes there is no event to await.
                sleep(Duration::from_millis(10)).await;
            }
        });
        let ready = ready.await;
        Self { ready, child, folder }
    }

    /// The process.
    pub fn pid(&self) -> u32 {
        self.child.id().unwrap()
    }

    /// All it logged so far.
    pub fn log(&self) -> String {
        read(&self.folder.path().join("log"))
    }

    /// Ends it as an operator does; returns all it logged. The ready file must be gone then.
    pub async fn stop(mut self) -> String {
        kill("TERM", &self.pid().to_string()).await;
        let status = in_time("the server ends", self.child.wait()).await.unwrap();
        assert_eq!(status.code(), Some(0), "{}", self.log());
        assert!(!self.folder.path().join("ready.json").exists(), "{} left its ready file", self.ready.name);
        self.log()
    }
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap()
}
