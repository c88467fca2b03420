//! The port of a proxy: it accepts on it, or keeps it while nobody listens there.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    net::{TcpListener, TcpSocket, TcpStream},
    select,
    sync::{mpsc, oneshot},
    task::JoinSet,
    time::sleep,
};
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

use super::{connection::Connection, shared::Shared};

/// What the process lacks (files, memory) is rarely back sooner.
const PAUSE_AFTER_ERROR: Duration = Duration::from_millis(100);
/// Connections that the kernel keeps for a proxy that has not accepted them yet.
const BACKLOG: u32 = 1_024;

/// What the handle wants of the port; the answer comes when it is so.
pub(super) enum Order {
    Refuse(oneshot::Sender<io::Result<()>>),
    Accept(oneshot::Sender<io::Result<()>>),
}

pub(super) struct Port {
    address: SocketAddr,
    state: State,
}

enum State {
    Listening(TcpListener),
    /// Bound and not listening: the kernel refuses connections and gives the port to nobody else.
    Reserved {
        _socket: TcpSocket,
    },
    /// Between the two, or when the step to either failed.
    Free,
}

impl Port {
    /// Listens; port 0 takes a free one.
    pub(super) fn listen_on(address: SocketAddr) -> io::Result<Self> {
        let mut port = Self { address, state: State::Free };
        port.listen()?;
        Ok(port)
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Accepts until the token is cancelled, at most `most` connections at a time, and leaves none behind.
    pub(super) async fn run(
        mut self,
        mut orders: mpsc::Receiver<Order>,
        shared: Arc<Shared>,
        most: usize,
        token: CancellationToken,
    ) {
        let mut connections = JoinSet::new();
        let mut number = 0;
        loop {
            select! {
                () = token.cancelled() => break,
                Some(order) = orders.recv() => self.carry_out(order),
                Some(ended) = connections.join_next() => if let Err(error) = ended {
                    error!(%error, "a connection of the chaos proxy failed");
                },
                client = self.accept(), if connections.len() < most => {
                    shared.counters.accepted.add(1);
                    connections.spawn(Connection::new(number, Arc::clone(&shared)).serve(client));
                    number += 1;
                }
            }
        }
        drop(self);
        connections.shutdown().await;
    }

    fn carry_out(&mut self, order: Order) {
        let (answer, result) = match order {
            Order::Refuse(answer) => (answer, self.refuse()),
            Order::Accept(answer) => (answer, self.listen()),
        };
        // Whoever asked may have stopped waiting.
        let _ = answer.send(result);
    }

    fn refuse(&mut self) -> io::Result<()> {
        if !matches!(self.state, State::Reserved { .. }) {
            self.state = State::Free;
            self.state = State::Reserved { _socket: bound(self.address)? };
        }
        Ok(())
    }

    fn listen(&mut self) -> io::Result<()> {
        if !matches!(self.state, State::Listening(_)) {
            self.state = State::Free;
            let listener = bound(self.address)?.listen(BACKLOG)?;
            self.address = listener.local_addr()?;
            self.state = State::Listening(listener);
        }
        Ok(())
    }

    /// The next connection; none while it refuses. Cancel safe.
    async fn accept(&self) -> TcpStream {
        let State::Listening(listener) = &self.state else { return std::future::pending().await };
        loop {
            match listener.accept().await {
                Ok((client, _)) => return client,
                Err(error) => {
                    warn!(%error, "the chaos proxy cannot accept a connection");
                    sleep(PAUSE_AFTER_ERROR).await;
                }
            }
        }
    }
}

fn bound(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // Connections of earlier listeners may still be on the port. On Windows the option means something else.
    #[cfg(not(windows))]
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}
