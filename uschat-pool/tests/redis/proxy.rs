//! A way to the server that can turn into a black hole: connections stay open, and nothing comes through any more.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    task::JoinSet,
};

pub(crate) struct Proxy {
    port: u16,
    accepted: Arc<AtomicUsize>,
    /// So many connections, counted from the first, are black holes.
    swallowed: Arc<AtomicUsize>,
    _task: JoinSet<()>,
}

impl Proxy {
    pub(crate) async fn start(to: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (accepted, swallowed) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let mut task = JoinSet::new();
        task.spawn(accept(listener, to, Arc::clone(&accepted), Arc::clone(&swallowed)));
        Self { port, accepted, swallowed, _task: task }
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    pub(crate) fn accepted(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }

    /// From now on nothing comes through the connections that are open. New ones work.
    pub(crate) fn swallow_open(&self) {
        self.swallowed.store(self.accepted(), Ordering::SeqCst);
    }

    /// Nothing comes through at all.
    pub(crate) fn swallow_all(&self) {
        self.swallowed.store(usize::MAX, Ordering::SeqCst);
    }

    /// New connections work again; those that were open never do.
    pub(crate) fn forward_new(&self) {
        self.swallow_open();
    }
}

async fn accept(listener: TcpListener, to: u16, accepted: Arc<AtomicUsize>, swallowed: Arc<AtomicUsize>) {
    let mut copies = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        let number = accepted.fetch_add(1, Ordering::SeqCst) + 1;
        let server = TcpStream::connect(("127.0.0.1", to)).await.unwrap();
        let (from_client, to_client) = client.into_split();
        let (from_server, to_server) = server.into_split();
        copies.spawn(copy(from_client, to_server, number, Arc::clone(&swallowed)));
        copies.spawn(copy(from_server, to_client, number, Arc::clone(&swallowed)));
    }
}

async fn copy(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, number: usize, swallowed: Arc<AtomicUsize>) {
    let mut buffer = vec![0; 16 * 1024];
    while let Ok(length) = from.read(&mut buffer).await
        && length > 0
    {
        if swallowed.load(Ordering::SeqCst) < number && to.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
    if swallowed.load(Ordering::SeqCst) >= number {
        // Not even an end comes through.
        std::future::pending().await
    }
}
