//! What the tests of the chaos proxy share: an echo server, a proxy in front of a server, and a bound for every wait.

use std::{io, net::SocketAddr, time::Duration};

use tokio::{
    io::AsyncReadExt,
    net::{TcpListener, TcpStream},
    time::timeout,
};
use tokio_util::sync::CancellationToken;
use uschat_examples::chaos::{Chaos, ChaosConfig, Snapshot};

/// Longer than anything here takes on a busy machine.
pub const DEADLINE: Duration = Duration::from_secs(20);

/// The result, or a panic that says what did not happen. By a real clock: the tests' own may be paused.
#[track_caller]
pub fn in_time<T>(what: &str, future: impl Future<Output = T>) -> impl Future<Output = T> {
    let caller = std::panic::Location::caller();
    let (expired, expires) = tokio::sync::oneshot::channel::<()>();
    let (done, is_done) = std::sync::mpsc::channel::<()>();
    std::thread::spawn(move || {
        if is_done.recv_timeout(DEADLINE) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
            let _ = expired.send(());
        }
    });
    async move {
        let _done = done;
        tokio::select! {
            biased;
            value = future => value,
            Ok(()) = expires => panic!("not within {DEADLINE:?}: {what} ({caller})"),
        }
    }
}

/// A server that sends back what it gets, until the test ends.
pub async fn echo_server() -> SocketAddr {
    let listener = listener().await;
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut from, mut to) = stream.split();
                let _ = tokio::io::copy(&mut from, &mut to).await;
            });
        }
    });
    address
}

pub async fn listener() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.unwrap()
}

/// A proxy with seed 7 in front of `server`.
pub async fn chaos_to(server: SocketAddr) -> Chaos {
    Chaos::start(ChaosConfig::to(server).seed(7), CancellationToken::new()).await.unwrap()
}

/// A proxy in front of a listener of the test, and the two ends of a connection through it.
pub struct Link {
    pub chaos: Chaos,
    pub listener: TcpListener,
    pub client: TcpStream,
    pub server: TcpStream,
}

impl Link {
    pub async fn new() -> Self {
        let listener = listener().await;
        let chaos = chaos_to(listener.local_addr().unwrap()).await;
        let (client, server) = pair(&chaos, &listener).await;
        Self { chaos, listener, client, server }
    }

    /// Waits until a snapshot is like this.
    #[track_caller]
    pub fn until(&self, what: &str, like_this: impl Fn(&Snapshot) -> bool) -> impl Future<Output = Snapshot> {
        until(&self.chaos, what, like_this)
    }
}

/// The ends of a new connection through the proxy.
pub async fn pair(chaos: &Chaos, listener: &TcpListener) -> (TcpStream, TcpStream) {
    let client = TcpStream::connect(chaos.address()).await.unwrap();
    let (server, _) = in_time("the proxy connects", listener.accept()).await.unwrap();
    client.set_nodelay(true).unwrap();
    server.set_nodelay(true).unwrap();
    (client, server)
}

/// Waits until a snapshot is like this.
#[track_caller]
pub fn until(chaos: &Chaos, what: &str, like_this: impl Fn(&Snapshot) -> bool) -> impl Future<Output = Snapshot> {
    in_time(what, async move {
        loop {
            let snapshot = chaos.snapshot();
            if like_this(&snapshot) {
                return snapshot;
            }
            tokio::task::yield_now().await;
        }
    })
}

/// What Linux lets the sockets between a writer and the proxy grow to, and more.
pub const KERNEL: usize = 48 * 1024 * 1024;

/// Writes a pattern until nothing more fits, even after a while; returns how much that was.
pub async fn fill(stream: &TcpStream) -> usize {
    let source = pattern(KERNEL);
    let mut written = 0;
    while written < KERNEL {
        match stream.try_write(&source[written..]) {
            Ok(count) => written += count,
            Err(_) if timeout(Duration::from_millis(500), stream.writable()).await.is_err() => break,
            Err(error) => assert_eq!(error.kind(), io::ErrorKind::WouldBlock),
        }
    }
    written
}

/// So many bytes, or a panic.
#[track_caller]
pub fn read_exactly(stream: &mut TcpStream, count: usize) -> impl Future<Output = Vec<u8>> {
    in_time("the bytes come", async move {
        let mut bytes = vec![0; count];
        stream.read_exact(&mut bytes).await.unwrap();
        bytes
    })
}

/// Everything up to the end of the stream, and the error if it did not end in order.
pub async fn read_all(stream: &mut TcpStream) -> (Vec<u8>, Option<io::ErrorKind>) {
    let mut bytes = Vec::new();
    let result = in_time("the stream ends", stream.read_to_end(&mut bytes)).await;
    (bytes, result.err().map(|error| error.kind()))
}

/// Bytes of which none is like its neighbours.
pub fn pattern(count: usize) -> Vec<u8> {
    let period: Vec<u8> = (0..251).collect();
    let mut bytes = period.repeat(count / period.len() + 1);
    bytes.truncate(count);
    bytes
}
