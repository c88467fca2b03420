use std::time::Duration;

use async_trait::async_trait;

use crate::store::StoreError;

/// The chat servers that are alive, each with its load.
#[async_trait]
pub trait Servers: Send + Sync + 'static {
    /// Says that a server is alive for `time_to_live` from now, and how many sessions it has.
    async fn announce_server(&self, server: &ServerRecord, time_to_live: Duration) -> Result<(), StoreError>;

    /// The servers alive now, by name.
    async fn servers(&self) -> Result<Vec<ServerRecord>, StoreError>;

    /// Removes a server that ends, if it is still this start of it.
    async fn retire_server(&self, name: &str, boot_id: u64) -> Result<(), StoreError>;
}

/// A living chat server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerRecord {
    /// Its name in the cluster.
    pub name: String,
    /// A random number of this start of the process.
    pub boot_id: u64,
    /// The host clients connect to.
    pub client_host: String,
    /// The TCP port clients connect to.
    pub client_port: u16,
    /// `host:port` where its peers reach it over gRPC.
    pub peer_address: String,
    /// Logged-in sessions.
    pub sessions: u32,
    /// No new sessions, please: it is stopping.
    pub draining: bool,
}
