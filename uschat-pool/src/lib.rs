//! Connection pools that keep every wait bounded and say which step failed.
//!
//! Two ways to share connections, one [`Manager`] to make them, one [`PoolError`] for both:
//!
//! - [`Pool`] lends a connection to **one** user at a time (SQL, blocking commands), the one used last
//!   first, to the caller that waited longest. Idle connections are verified before they are lent only
//!   if they were idle for a while, broken ones are replaced, and what a user left open is cleaned up
//!   before the next one gets it.
//! - [`Shared`] hands out **clones** of a few connections that multiplex (gRPC, Redis), the least loaded first.
//!   Broken ones are replaced. [`PeerPools`] keeps one such set for every member of a cluster.
//!
//! Both ask a peer that cannot be connected to at growing intervals, with one attempt each; callers in
//! between who need a new connection fail at once.
//!
//! It stands alone in the UsChat family: it knows nothing of chat, and the server uses it.
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
//! running. A [`Shared`] has none: a connection that has died is noticed when it is about to be handed out.
//!
//! Both pools need a tokio runtime with its timer enabled.
//!
//! # Features
//!
//! None by default.
//!
//! - `grpc`: `grpc::GrpcManager` for gRPC channels that every tonic client takes; re-exports tonic.
//! - `metrics`: what happens in the pools, through the `metrics` facade. Install the recorder before the pools are built.
//!   The histogram `uschat_pool_step_seconds` (labels `pool`; `step`: `wait`, `connect`, `verify`; `outcome`: `ok`,
//!   `failed`) counts only what took time; the gauge `uschat_pool_connections` (labels `pool`; `state`: `idle`, `in_use`,
//!   `waiting`, of a [`Shared`] `live`, `in_flight`, `waiting`) is set whenever a snapshot is taken.
//! - `redis`: `redis::RedisManager` for connections to Redis and Redis Cluster, TLS included; re-exports redis.
//! - `sql`: `sql::SqlManager` for every sqlx database; re-exports sqlx. The application picks the
//!   database by sqlx' own features.

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
mod slot;
#[cfg(feature = "sql")]
pub mod sql;
mod upkeep;
mod waiters;

pub use call::Loan;
pub use config::{ConfigError, PoolConfig, SharedConfig};
pub use error::{FailedStep, PoolError};
pub use lease::Lease;
pub use manager::Manager;
pub use peers::{MembersError, PeerChanges, PeerError, PeerPools, PeersConfig};
pub use pool::{Pool, Snapshot};
pub use retry::{CallError, CallFailure, Repeat, Retry};
pub use shared::{Handle, Shared, SharedSnapshot};
