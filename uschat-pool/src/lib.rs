//! Connection pools that keep every wait bounded and say which step failed.
//!
//! Two ways to share connections, one [`Manager`] to make them, one [`PoolError`] for both:
//!
//! - [`Pool`] lends a connection to **one** user at a time (SQL, blocking commands). Idle connections
//!   are verified before they are lent only if they were idle for a while, broken ones are replaced,
//!   and what a user left open is cleaned up before the next one gets it.
//! - [`Shared`] hands out **clones** of a few connections that multiplex (gRPC, Redis), the least loaded first.
//!   Broken ones are replaced, and a peer that refuses is asked at growing intervals.
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
//! Nothing runs in the background except the cleaning of a connection given back dirty. So an idle
//! connection that has died or outlived its lifetime is noticed when it is about to be lent, not before.
//! Both pools need a tokio runtime with its timer enabled.
//!
//! # Features
//!
//! None by default.
//!
//! - `grpc`: `grpc::GrpcManager` for tonic channels; re-exports tonic.
//! - `redis`: `redis::RedisManager` for connections to Redis and Redis Cluster, TLS included; re-exports redis.
//! - `sql`: `sql::SqlManager` for every sqlx database; re-exports sqlx. The application picks the
//!   database by sqlx' own features.

mod config;
mod error;
#[cfg(feature = "grpc")]
pub mod grpc;
mod jitter;
mod lease;
mod manager;
mod pool;
mod recycle;
#[cfg(feature = "redis")]
pub mod redis;
mod shared;
mod slot;
#[cfg(feature = "sql")]
pub mod sql;
mod waiters;

pub use config::{ConfigError, PoolConfig, SharedConfig};
pub use error::{FailedStep, PoolError};
pub use lease::Lease;
pub use manager::Manager;
pub use pool::{Pool, Snapshot};
pub use shared::{Handle, Shared, SharedSnapshot};
