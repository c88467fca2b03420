//! A peer in front of the server that passes bytes on, or swallows them and stays connected.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    task::JoinHandle,
};

/// Accepts as long as it exists.
pub struct Peer {
    port: u16,
    state: Arc<State>,
    task: JoinHandle<()>,
}

#[derive(Default)]
struct State {
    accepted: AtomicUsize,
    /// As many connections, the first ones, are silent for good.
    silent: AtomicUsize,
    /// So are new ones.
    swallows: AtomicBool,
}

impl Peer {
    /// Passes everything on to the server.
    pub async fn start(server: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::<State>::default();
        let task = tokio::spawn(accept(listener, server, Arc::clone(&state)));
        Self { port, state, task }
    }

    /// Accepts, and then nothing.
    pub async fn black_hole() -> Self {
        let peer = Self::start(0).await;
        peer.swallow();
        peer
    }

    pub fn url(&self, database: &str) -> String {
        format!("mysql://root@127.0.0.1:{}/{database}", self.port)
    }

    /// From now on what is sent in either direction is lost.
    pub fn swallow(&self) {
        self.state.swallows.store(true, SeqCst);
        self.state.silent.store(self.accepted(), SeqCst);
    }

    /// New connections reach the server; those there are stay silent.
    pub fn pass_new(&self) {
        self.state.silent.store(self.accepted(), SeqCst);
        self.state.swallows.store(false, SeqCst);
    }

    /// Connections so far.
    pub fn accepted(&self) -> usize {
        self.state.accepted.load(SeqCst)
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, server: u16, state: Arc<State>) {
    let mut silent = Vec::new();
    while let Ok((client, _)) = listener.accept().await {
        let number = state.accepted.fetch_add(1, SeqCst);
        if state.swallows.load(SeqCst) {
            silent.push(client);
            continue;
        }
        let Ok(server) = TcpStream::connect(("127.0.0.1", server)).await else {
            continue;
        };
        let (from_client, to_client) = client.into_split();
        let (from_server, to_server) = server.into_split();
        tokio::spawn(copy(from_client, to_server, number, Arc::clone(&state)));
        tokio::spawn(copy(from_server, to_client, number, Arc::clone(&state)));
    }
}

/// Copies until one side ends.
async fn copy(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, number: usize, state: Arc<State>) {
    let mut bytes = vec![0; 65_536];
    while let Ok(count @ 1..) = from.read(&mut bytes).await {
        let silent = number < state.silent.load(SeqCst);
        if !silent && to.write_all(&bytes[..count]).await.is_err() {
            return;
        }
    }
}
