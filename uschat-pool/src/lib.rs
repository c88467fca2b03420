//! Connection pools that keep every wait bounded and say which step failed.
//!
//! Two ways to share connections, one [`Manager`] to make them, one [`PoolError`] for both:
//!
//! - [`Pool`] lends a connection to **one** user at a time (SQL, blocking commands), the one used last
//!   first, to the caller that waited longest. Idle connections are verified before they are lent only
//!   if they were idle for a while, broken ones are replaced, and what a user left open is cleaned up
//!   before the next one gets it.
//! - [`Shared`] hands out **clones** of a few connections that multiplex (gRPC, Redis), the least loaded first.
//!   Broken and stalled ones are replaced while callers use the others. [`PeerPools`] keeps one such set for every member of a
//!   cluster.
//!
//! Both ask a peer that cannot be connected to at growing intervals, with one attempt each; callers in
//! between who need a new connection fail at once.
//!
//! [`Pool::call`] and [`Shared::call`] make a call again if that is safe, within a deadline, over a connection that is in order.
//!
//! It stands alone in the UsChat family: it knows nothing of chat, and the server uses it.
//!
//! # SQL
//!
//! Any sqlx database, with the feature `sql`:
//!
//! ```
//! # #[cfg(not(feature = "sql"))] fn main() {}
//! # #[cfg(feature = "sql")]
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use std::time::Duration;
//! use uschat_pool::{Pool, PoolConfig, Retry, sql::{SqlManager, commit, sqlx}};
//! use sqlx::sqlite::{Sqlite, SqliteConnectOptions};
//!
//! # let folder = tempfile::tempdir()?;
//! # let file = folder.path().join("shop.db");
//! let options = SqliteConnectOptions::new().filename(file).create_if_missing(true);
//! let manager = SqlManager::<Sqlite>::new(options)
//!     .setup("CREATE TABLE IF NOT EXISTS stock (thing TEXT PRIMARY KEY, pieces INTEGER)")
//!     .slow_after(Duration::from_millis(200)); // logged as a warning
//! let shop = Pool::new("shop", manager, PoolConfig::default())?;
//!
//! let mut lease = shop.get().await?; // a connection of our own
//! sqlx::query("INSERT INTO stock VALUES (?, 1)").bind("book").execute(&mut *lease).await?;
//! drop(lease); // goes back
//!
//! // All of it or nothing; made again if a deadlock or a lost connection undid it.
//! let sell = Retry::within(Duration::from_secs(3));
//! shop.call(sell, async |mut lease| {
//!     let mut sale = lease.begin().await?;
//!     sqlx::query("UPDATE stock SET pieces = pieces - 1 WHERE thing = ?").bind("book").execute(&mut *sale).await?;
//!     commit(sale).await
//! })
//! .await?;
//! # Ok(()) }
//! ```
//!
//! # Redis
//!
//! One server, or a cluster, with the feature `redis`:
//!
//! ```
//! # #[cfg(not(feature = "redis"))] fn main() {}
//! # #[cfg(feature = "redis")]
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use std::time::Duration;
//! use uschat_pool::{Pool, PoolConfig, Retry, Shared, SharedConfig};
//! use uschat_pool::redis::{RedisConfig, RedisManager, redis::cmd};
//!
//! # struct Server(std::process::Child);
//! # impl Drop for Server { fn drop(&mut self) { let _ = self.0.kill(); let _ = self.0.wait(); } }
//! # let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
//! # let arguments = ["--bind", "127.0.0.1", "--save", "", "--port", &port.to_string()];
//! # let started = std::process::Command::new("redis-server").args(arguments).stdout(std::process::Stdio::null()).spawn();
//! # let Ok(_server) = started.map(Server) else { return Ok(()) };
//! # let url = &format!("redis://127.0.0.1:{port}/0");
//! let manager = RedisManager::new(url, &RedisConfig::default())?; // "redis://127.0.0.1:6379/0"
//! let state = Shared::new("state", manager, SharedConfig::pipelined())?;
//!
//! // Both may be done twice, so they are made again while Redis is away, for 10 s at most.
//! let retry = Retry::within(Duration::from_secs(10)).idempotent();
//! state.call(retry, async |mut redis| cmd("SET").arg("word").arg("hello").exec_async(&mut redis).await).await?;
//! let word: String = state.call(retry, async |mut redis| cmd("GET").arg("word").query_async(&mut redis).await).await?;
//! assert_eq!(word, "hello");
//!
//! // Commands that wait, and WATCH, need a connection of their own.
//! let workers = Pool::new("workers", RedisManager::dedicated(url, &RedisConfig::default())?, PoolConfig::default())?;
//! let mut lease = workers.get().await?;
//! let job: Option<(String, String)> = cmd("BLPOP").arg("jobs").arg(0.05).query_async(&mut *lease).await?;
//! assert_eq!(job, None);
//! # Ok(()) }
//! ```
//!
//! # gRPC
//!
//! The stubs of any tonic client, with the feature `grpc`; here those of `tonic-health`:
//!
//! ```
//! # #[cfg(not(feature = "grpc"))] fn main() {}
//! # #[cfg(feature = "grpc")]
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use std::time::Duration;
//! use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
//! use uschat_pool::{Pool, PoolConfig, Retry, Shared, SharedConfig, grpc::{GrpcConfig, GrpcManager, tonic}};
//! # let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
//! # let server = listener.local_addr()?;
//! # let service = tonic_health::server::health_reporter().1;
//! # let served = tonic::transport::Server::builder().add_service(service);
//! # tokio::spawn(served.serve_with_incoming(tonic::transport::server::TcpIncoming::from(listener)));
//!
//! let manager = GrpcManager::new(format!("http://{server}"), &GrpcConfig::default())?; // "http://10.0.0.5:50052"
//! let channels = Shared::new("status", manager.clone(), SharedConfig::default())?;
//!
//! let handle = channels.handle().await?; // keep it until the call is over: it counts
//! let request = tonic::Request::new(HealthCheckRequest::default());
//! let answer = HealthClient::new(handle.clone()).check(request).await?.into_inner();
//! assert_eq!(answer.status, 1); // serving
//!
//! // Over another channel if this one dies meanwhile.
//! let retry = Retry::within(Duration::from_secs(3)).idempotent();
//! channels.call(retry, async |channel| HealthClient::new(channel).check(HealthCheckRequest::default()).await).await?;
//!
//! // One call at a time on each connection.
//! let stubs = Pool::new("status", manager, PoolConfig { size: 2, ..PoolConfig::default() })?;
//! HealthClient::new(&mut *stubs.get().await?).check(HealthCheckRequest::default()).await?;
//! # Ok(()) }
//! ```
//!
//! # Connections of another kind
//!
//! ```
//! use std::{io, net::SocketAddr};
//! use tokio::{io::{AsyncReadExt, AsyncWriteExt}, net::TcpStream};
//! use uschat_pool::{Manager, Pool, PoolConfig};
//!
//! /// Connections to a server that answers `PING` with `+PONG`.
//! struct Peer(SocketAddr);
//!
//! impl Manager for Peer {
//!     type Connection = TcpStream;
//!     type Error = io::Error;
//!
//!     async fn connect(&self) -> io::Result<TcpStream> {
//!         TcpStream::connect(self.0).await
//!     }
//!     async fn verify(&self, connection: &mut TcpStream) -> io::Result<()> {
//!         connection.write_all(b"PING\r\n").await?;
//!         connection.read_exact(&mut [0; 7]).await.map(drop)
//!     }
//!     /// While it rests there is nothing to read: neither an end nor an answer nobody asked for.
//!     fn is_broken(&self, connection: &TcpStream) -> bool {
//!         !matches!(connection.try_read(&mut [0]), Err(error) if error.kind() == io::ErrorKind::WouldBlock)
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let peer = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
//! let config = PoolConfig { size: 2, ..PoolConfig::default() };
//! let pool = Pool::new("peer", Peer(peer.local_addr()?), config)?;
//!
//! let lease = pool.get().await?; // a connection of our own
//! assert_eq!(lease.peer_addr()?, peer.local_addr()?);
//! drop(lease); // goes back
//! assert_eq!(pool.snapshot().idle, 1);
//! # Ok(()) }
//! ```
//!
//! # Limits
//!
//! Every number and time is in [`PoolConfig`] and [`SharedConfig`], with its default: connections,
//! callers that wait, how long they wait, how long connecting and verifying may take.
//!
//! A [`Pool`] has one task in the background, which ends with the pool's last clone: it connects, cleans,
//! keeps as many connections idle as wanted and no longer than allowed, and turns away callers that
//! have waited long enough. It runs on the runtime on which the pool was built or first used; keep that one
//! running. So has a [`Shared`], from its first connect: it connects, and replaces what broke or stalled.
//!
//! Both pools need a tokio runtime with its timer enabled.
//!
//! # Features
//!
//! None by default.
//!
//! - `grpc`: `grpc::GrpcManager` for gRPC channels that every tonic client takes; re-exports tonic.
//! - `metrics`: what happens in the pools, through the `metrics` facade; see below.
//! - `redis`: `redis::RedisManager` for connections to Redis and Redis Cluster, TLS included; re-exports redis.
//! - `sql`: `sql::SqlManager` for every sqlx database; re-exports sqlx. The application picks the
//!   database by sqlx' own features.
//!
//! # What they show
//!
//! [`Pool::snapshot`] and [`Shared::snapshot`] show what there is at this moment, for a health page: they serialize to
//! JSON. In the log (`tracing`), connecting, verifying and cleaning run in spans of level debug, named `connect`, `verify` and
//! `clean`, whose field `pool` is the pool's name, so that whatever a driver logs meanwhile tells whose connection it was.
//!
//! With the feature `metrics`, and a recorder that is installed before the pools are built, each has these, all with the
//! label `pool`:
//!
//! | metric | further labels | counts |
//! |---|---|---|
//! | histogram `uschat_pool_step_seconds` | `step`: `wait`, `connect`, `verify`, `clean`; `outcome`: `ok`, `failed`, `timeout` | what took time; a caller that got a connection at once leaves no trace |
//! | counter `uschat_pool_refused_total` | `reason`: `exhausted` (too many wait), `backing_off`, `full` (`wait` is zero) | callers turned away, which took none |
//! | counter `uschat_pool_closed_total` | `reason`, see below | connections that left |
//! | gauge `uschat_pool_breaker` | | 0 closed, 1 half-open, 2 open, as in [`BreakerState`] |
//! | gauge `uschat_pool_connections` | `state`: `idle`, `in_use`, `waiting`; of a [`Shared`] `live`, `in_flight`, `waiting` | as of the last snapshot |
//! | gauge `uschat_pool_max_connections` | | as of the last snapshot |
//!
//! Connections leave because they are `broken`, at the end of their `lifetime`, after being `idle` for too long,
//! `unverified` (the verification failed or was given up), `unclean` (the cleaning was), `surplus` (after a resize),
//! `discarded` or `taken` by their user, or at the pool's `shutdown`.
//!
//! Waits that ended well are recorded in batches: when 32 are together, when a snapshot is taken, and at the latest as long
//! after their caller came as it would have waited.

#![forbid(unsafe_code)]

mod attempt;
mod breaker;
mod call;
mod config;
mod core;
mod error;
mod gate;
#[cfg(feature = "grpc")]
pub mod grpc;
mod jitter;
mod lease;
mod manager;
mod observe;
mod peers;
mod pool;
#[cfg(feature = "redis")]
pub mod redis;
mod retry;
mod shared;
mod snapshot;
#[cfg(feature = "sql")]
pub mod sql;
mod upkeep;

pub use call::Loan;
pub use config::{ConfigError, PoolConfig, SharedConfig};
pub use error::{FailedStep, PoolError};
pub use lease::Lease;
pub use manager::Manager;
pub use peers::{MembersError, PeerChanges, PeerError, PeerPools, PeersConfig};
pub use pool::Pool;
pub use retry::{CallError, CallFailure, Repeat, Retry};
pub use shared::{Handle, Shared};
pub use snapshot::{BreakerState, SharedSnapshot, Snapshot};
