//! One connection: two pipes between two sockets, and how it ends.

use std::{future::pending, sync::Arc, time::Duration};

use tokio::{io::AsyncWriteExt, join, net::TcpStream, select, sync::watch, time::timeout};

use super::{
    Direction, End,
    pipe::{Outcome, Pipe, read},
    shared::{Orders, Settings, Shared},
};

/// How long the server may take to accept. On loopback it does at once, or its backlog is full.
const CONNECT: Duration = Duration::from_secs(5);
/// How long after a FIN the other side may take to close too. Closing before that would turn the FIN into a reset for one
/// that still sends.
const LINGER: Duration = Duration::from_secs(2);

pub(super) struct Connection {
    number: u64,
    shared: Arc<Shared>,
    settings: watch::Receiver<Settings>,
    /// The orders that were given before it was accepted.
    before: Orders,
}

enum Ending {
    /// Both directions came to their ends.
    Over,
    Close(End),
    /// The client vanishes and the server is not told.
    HalfOpen,
}

impl Connection {
    /// The connection that was accepted as number `number`, from 0.
    pub(super) fn new(number: u64, shared: Arc<Shared>) -> Self {
        let settings = shared.settings.subscribe();
        let before = settings.borrow().orders;
        Self { number, shared, settings, before }
    }

    /// Serves it to its end.
    pub(super) async fn serve(self, mut client: TcpStream) {
        let _live = self.shared.counters.live.hold();
        // A client that is to vanish does so once there is a server that is not told.
        let connected = select! {
            biased;
            ending = self.ordered(self.only_ends()) => Err(ending),
            connected = self.connect(&mut client) => connected,
        };
        let mut server = match connected {
            Ok(server) => server,
            Err(Ending::Over) => return,
            Err(Ending::Close(end)) => return close(client, end).await,
            Err(Ending::HalfOpen) => return close(client, End::Reset).await,
        };
        let ending = select! {
            biased;
            ending = self.ordered(self.before) => ending,
            ending = self.relay(&mut client, &mut server) => ending,
        };
        match ending {
            Ending::Over => {}
            Ending::Close(end) => {
                join!(close(client, end), close(server, end));
            }
            Ending::HalfOpen => {
                close(client, End::Reset).await;
                self.leave_half_open(server).await;
            }
        }
    }

    /// The connection to the server, or how it ended without one.
    async fn connect(&self, client: &mut TcpStream) -> Result<TcpStream, Ending> {
        let settings = *self.settings.borrow();
        if settings.to_server.black_hole && settings.to_client.black_hole {
            return Err(select! {
                ending = self.ordered(self.before) => ending,
                () = self.swallow(Direction::ToServer, client, u64::MAX) => Ending::Over,
            });
        }
        match timeout(CONNECT, TcpStream::connect(self.shared.server)).await {
            Ok(Ok(server)) => Ok(server),
            Ok(Err(_)) | Err(_) => {
                self.shared.counters.unreachable.add(1);
                Err(Ending::Close(End::Reset))
            }
        }
    }

    async fn relay(&self, client: &mut TcpStream, server: &mut TcpStream) -> Ending {
        // What fails on a socket that is broken shows at the first read.
        let _ = client.set_nodelay(true).and(server.set_nodelay(true));
        let pipe = |direction| Pipe::new(direction, self.number, &self.shared, self.settings.clone());
        let (mut up, mut down) = (pipe(Direction::ToServer), pipe(Direction::ToClient));
        let ending = relay_both(client, server, &mut up, &mut down).await;
        if let Ending::Over = ending {
            // Where the end of the stream was swallowed, nobody may learn of it from the socket's end either.
            join!(
                async {
                    if up.is_lossy() {
                        self.swallow(Direction::ToClient, server, u64::MAX).await;
                    }
                },
                async {
                    if down.is_lossy() {
                        self.swallow(Direction::ToServer, client, u64::MAX).await;
                    }
                },
            );
        }
        ending
    }

    /// Returns when all connections are told to end, with what they are told.
    async fn ordered(&self, before: Orders) -> Ending {
        let mut settings = self.settings.clone();
        loop {
            let orders = settings.borrow_and_update().orders;
            if let Some(end) = orders.end_since(before) {
                self.shared.counters.dropped.add(1);
                return Ending::Close(end);
            }
            if orders.half_opens > before.half_opens {
                return Ending::HalfOpen;
            }
            if settings.changed().await.is_err() {
                // Never: `shared` has the sender.
                return Ending::Close(End::Reset);
            }
        }
    }

    /// To wait for no more than the orders that end connections.
    fn only_ends(&self) -> Orders {
        Orders { half_opens: u64::MAX, ..self.before }
    }

    /// Sends nothing, and takes no more than a kernel would, until the server gives the client up.
    async fn leave_half_open(&self, mut server: TcpStream) {
        let _half_open = self.shared.counters.half_open.hold();
        let ending = select! {
            () = self.swallow(Direction::ToClient, &mut server, self.shared.buffer as u64) => return,
            ending = self.ordered(self.only_ends()) => ending,
        };
        if let Ending::Close(end) = ending {
            close(server, end).await;
        }
    }

    /// Reads and throws away what goes in this direction, until the end of the stream. After `most` bytes it stops reading.
    async fn swallow(&self, direction: Direction, stream: &mut TcpStream, most: u64) {
        let counters = self.shared.counters.of(direction);
        let mut left = most;
        while let Ok(bytes) = read(stream, usize::try_from(left).unwrap_or(usize::MAX)).await {
            if bytes.is_empty() {
                return;
            }
            left -= bytes.len() as u64;
            counters.taken.add(bytes.len() as u64);
            counters.swallowed.add(bytes.len() as u64);
            if left == 0 {
                return pending().await;
            }
        }
    }
}

async fn relay_both(client: &mut TcpStream, server: &mut TcpStream, up: &mut Pipe, down: &mut Pipe) -> Ending {
    let (mut from_client, mut to_client) = client.split();
    let (mut from_server, mut to_server) = server.split();
    loop {
        let (outcome, other) = select! {
            outcome = up.run(&mut from_client, &mut to_server), if !up.is_over() => (outcome, &mut *down),
            outcome = down.run(&mut from_server, &mut to_client), if !down.is_over() => (outcome, &mut *up),
            else => return Ending::Over,
        };
        match outcome {
            Outcome::Over => {}
            Outcome::Close(end) => return Ending::Close(end),
            // That news travels back as everything does, late or never if so ordered.
            Outcome::SinkGone => {
                if !other.source_is_gone() {
                    return Ending::Close(End::Reset);
                }
            }
        }
    }
}

async fn close(mut stream: TcpStream, end: End) {
    // An error says that the connection has ended already.
    match end {
        End::Reset => drop(stream.set_zero_linger()),
        End::Fin => {
            if stream.shutdown().await.is_ok() {
                let rest = async { while read(&mut stream, usize::MAX).await.is_ok_and(|bytes| !bytes.is_empty()) {} };
                // Late ones get the reset.
                let _ = timeout(LINGER, rest).await;
            }
        }
    }
}
