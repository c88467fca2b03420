//! A proxy that does to TCP connections what bad networks do, for tests of any protocol on loopback.
//!
//! Put [`Chaos`] between clients and a server, and tell it what goes wrong: [`Fault`]s of either direction, set and taken
//! away at any time, also for connections that are under way; [`Chaos::drop_all`], [`Chaos::half_open`] and
//! [`Chaos::refuse`] for whole connections. The binary `chaos` is the same for anything that is not a test of ours.
//!
//! ```
//! use std::time::Duration;
//! use tokio::{io::{AsyncReadExt, AsyncWriteExt}, net::{TcpListener, TcpStream}};
//! use tokio_util::sync::CancellationToken;
//! use uschat_examples::chaos::{Chaos, ChaosConfig, Direction, End, Fault};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> std::io::Result<()> {
//! let server = TcpListener::bind("127.0.0.1:0").await?;
//! let config = ChaosConfig::to(server.local_addr()?).seed(7);
//! let chaos = Chaos::start(config, CancellationToken::new()).await?;
//!
//! let late = Fault::Delay { base: Duration::from_millis(20), jitter: Duration::from_millis(10) };
//! let cut = Fault::Cut { after: 5, end: End::Fin };
//! chaos.set(Direction::ToServer, [late, cut]);
//!
//! let mut client = TcpStream::connect(chaos.address()).await?;
//! client.write_all(b"hello, world").await?;
//! let (mut accepted, _) = server.accept().await?;
//! let mut read = Vec::new();
//! accepted.read_to_end(&mut read).await?;
//! assert_eq!(read, b"hello");
//! assert_eq!(chaos.stop().await.cuts, 1);
//! # Ok(())
//! # }
//! ```
//!
//! # What repeats
//!
//! All random choices come from one seed, which [`Chaos::seed`], the log and every [`Snapshot`] tell. Each direction of each
//! connection has generators of its own, made from the seed and the number of the connection in the order in which they were
//! accepted. So the same seed corrupts the same bits at the same offsets, and draws the same delays for the same sequence
//! of reads; how bytes fall into reads is up to the kernel. A seed means the same as long as `rand` stays the same version.
//!
//! # Bounds
//!
//! A direction of a connection holds at most [`ChaosConfig::buffer`] bytes and 1,024 reads; then it reads no further,
//! and the sender feels that after its kernel's and the proxy's kernel's buffers are full too. So a delay also limits what
//! passes: the buffer divided by the delay. An idle connection holds no buffer. At most [`ChaosConfig::connections`] are
//! served at a time, others wait in the kernel's backlog; each takes two open files.
//!
//! # What it is not
//!
//! It is a program, not a network: kernels acknowledge what it has not passed on, keep-alive probes included, and a client
//! is accepted before the server is asked, so a server that is not there shows as a reset. Only loopback is addressed.

mod connection;
mod fault;
mod line;
mod pipe;
mod port;
mod seed;
mod shared;
mod snapshot;

use std::{io, net::SocketAddr, sync::Arc};

use tokio::{
    sync::{mpsc, oneshot},
    task::JoinHandle,
};
use tokio_util::sync::{CancellationToken, DropGuard};
use tracing::info;

use self::{
    fault::Faults,
    port::{Order, Port},
    shared::Shared,
};
pub use self::{
    fault::{Direction, End, Fault},
    snapshot::{Snapshot, Traffic},
};

/// Where a proxy stands, and its bounds.
#[derive(Debug, Clone, Copy)]
pub struct ChaosConfig {
    listen: SocketAddr,
    server: SocketAddr,
    seed: Option<u64>,
    buffer: usize,
    connections: usize,
}

impl ChaosConfig {
    /// A proxy on a free port of 127.0.0.1 in front of `server`, with a seed from the system.
    pub fn to(server: SocketAddr) -> Self {
        let listen = SocketAddr::from(([127, 0, 0, 1], 0));
        Self { listen, server, seed: None, buffer: 64 * 1024, connections: 8_192 }
    }

    /// Listens here; port 0 takes a free one.
    #[must_use]
    pub fn listen(self, listen: SocketAddr) -> Self {
        Self { listen, ..self }
    }

    /// Makes the random choices of an earlier run.
    #[must_use]
    pub fn seed(self, seed: u64) -> Self {
        Self { seed: Some(seed), ..self }
    }

    /// The most bytes held in one direction of a connection, at least 1; 64 KiB if not set.
    #[must_use]
    pub fn buffer(self, bytes: usize) -> Self {
        Self { buffer: bytes.max(1), ..self }
    }

    /// The most connections at a time, at least 1; 8,192 if not set.
    #[must_use]
    pub fn connections(self, connections: usize) -> Self {
        Self { connections: connections.max(1), ..self }
    }
}

/// A running proxy. It ends with this handle, with its token or by [`stop`](Self::stop).
#[derive(Debug)]
pub struct Chaos {
    address: SocketAddr,
    shared: Arc<Shared>,
    orders: mpsc::Sender<Order>,
    task: JoinHandle<()>,
    running: DropGuard,
}

impl Chaos {
    /// Starts to listen. Nothing goes wrong until [`set`](Self::set) says so.
    ///
    /// # Errors
    /// When the port cannot be had, or an address is not one of loopback (`InvalidInput`).
    pub async fn start(config: ChaosConfig, token: CancellationToken) -> io::Result<Self> {
        for address in [config.listen, config.server] {
            if !address.ip().is_loopback() {
                return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("{address} is not on loopback")));
            }
        }
        let port = Port::listen_on(config.listen)?;
        let address = port.address();
        let seed = config.seed.unwrap_or_else(rand::random);
        info!(%address, server = %config.server, seed, "chaos proxy");
        let shared = Arc::new(Shared::new(config.server, seed, config.buffer));
        // Each caller of `refuse` or `accept` waits for its answer, so few orders wait.
        let (orders, incoming) = mpsc::channel(1);
        let token = token.child_token();
        let task = tokio::spawn(port.run(incoming, Arc::clone(&shared), config.connections, token.clone()));
        Ok(Self { address, shared, orders, task, running: token.drop_guard() })
    }

    /// Where clients connect to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where all random choices come from.
    pub fn seed(&self) -> u64 {
        self.shared.seed
    }

    /// From now on exactly these faults are there in the direction, for live and for new connections. Of several of one
    /// kind the last one counts.
    ///
    /// Corruption is decided when bytes come in, everything else when they go out, so it concerns bytes under way too.
    pub fn set(&self, direction: Direction, faults: impl IntoIterator<Item = Fault>) {
        let faults: Vec<_> = faults.into_iter().collect();
        self.shared.settings.send_modify(|settings| {
            settings.calls += 1;
            let faults = Faults::new(faults, settings.calls);
            if direction != Direction::ToClient {
                settings.to_server = faults;
            }
            if direction != Direction::ToServer {
                settings.to_client = faults;
            }
        });
    }

    /// No faults any more, in both directions. A port that refuses goes on refusing.
    pub fn heal(&self) {
        self.set(Direction::Both, []);
    }

    /// Ends all connections, half-open ones included, at once. What they hold is lost.
    pub fn drop_all(&self, end: End) {
        self.shared.settings.send_modify(|settings| match end {
            End::Reset => settings.orders.resets += 1,
            End::Fin => settings.orders.fins += 1,
        });
    }

    /// The clients of all connections vanish: their own ends are reset, and the server is sent nothing more, not even the
    /// end of the stream. What was under way is lost. Connections accepted later are not concerned.
    ///
    /// Of what the server sends [`ChaosConfig::buffer`] bytes are still taken, and no more. [`Snapshot::half_open`] counts
    /// the connection until the server closes it; if it has sent more than that, until [`drop_all`](Self::drop_all).
    pub fn half_open(&self) {
        self.shared.settings.send_modify(|settings| settings.orders.half_opens += 1);
    }

    /// Closes the listener and keeps the port: connecting is refused. Returns when it is so. Live connections go on;
    /// clients in the backlog are reset.
    ///
    /// # Errors
    /// When somebody took the port in the moment between; when the proxy has ended (`NotConnected`).
    pub async fn refuse(&self) -> io::Result<()> {
        self.order(Order::Refuse).await
    }

    /// Listens again, on the same port. Returns when it does.
    ///
    /// # Errors
    /// As for [`refuse`](Self::refuse).
    pub async fn accept(&self) -> io::Result<()> {
        self.order(Order::Accept).await
    }

    /// What it has done so far.
    pub fn snapshot(&self) -> Snapshot {
        self.shared.snapshot()
    }

    /// Ends the proxy and all connections. When this returns, no task and no socket of it is left.
    pub async fn stop(self) -> Snapshot {
        drop(self.running);
        if let Err(error) = self.task.await {
            tracing::error!(%error, "the chaos proxy failed");
        }
        self.shared.snapshot()
    }

    async fn order(&self, order: impl FnOnce(oneshot::Sender<io::Result<()>>) -> Order) -> io::Result<()> {
        let ended = || io::Error::new(io::ErrorKind::NotConnected, "the proxy has ended");
        let (answer, answered) = oneshot::channel();
        self.orders.send(order(answer)).await.map_err(|_| ended())?;
        answered.await.map_err(|_| ended())?
    }
}
