//! A TCP proxy whose connections can be cut or made to swallow everything, one by one.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
    task::JoinHandle,
};

/// What a connection does with bytes, both ways.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Mode {
    Passes,
    /// Reads and drops what comes: to both sides the other has fallen silent.
    Swallows,
    Ends,
}

/// Ends with all of its connections when it is dropped.
pub struct Proxy {
    pub address: SocketAddr,
    modes: Arc<Modes>,
    task: JoinHandle<()>,
}

struct Modes {
    /// Of every connection so far, in the order in which they came.
    each: Mutex<Vec<watch::Sender<Mode>>>,
    /// What those to come begin with.
    next: Mutex<Mode>,
}

impl Proxy {
    pub async fn to(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let modes = Arc::new(Modes { each: Mutex::default(), next: Mutex::new(Mode::Passes) });
        let task = tokio::spawn(accept(listener, server, Arc::clone(&modes)));
        Self { address, modes, task }
    }

    /// How many connections there have been.
    pub fn connections(&self) -> usize {
        self.modes.each.lock().unwrap().len()
    }

    pub fn set(&self, connection: usize, mode: Mode) {
        self.modes.each.lock().unwrap()[connection].send_replace(mode);
    }

    /// Of the connections to come; `Mode::Ends` closes them as soon as they are accepted.
    pub fn set_next(&self, mode: Mode) {
        *self.modes.next.lock().unwrap() = mode;
    }

    pub fn set_all(&self, mode: Mode) {
        self.set_next(mode);
        for connection in &*self.modes.each.lock().unwrap() {
            connection.send_replace(mode);
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
        for connection in &*self.modes.each.lock().unwrap() {
            connection.send_replace(Mode::Ends);
        }
    }
}

async fn accept(listener: TcpListener, server: SocketAddr, modes: Arc<Modes>) {
    while let Ok((client, _)) = listener.accept().await {
        let (mode, seen) = watch::channel(*modes.next.lock().unwrap());
        modes.each.lock().unwrap().push(mode);
        tokio::spawn(async move {
            // A server that is away looks like one behind a router that is.
            let Ok(server) = TcpStream::connect(server).await else {
                return;
            };
            let ((client_in, client_out), (server_in, server_out)) = (client.into_split(), server.into_split());
            tokio::select! {
                () = pass(client_in, server_out, seen.clone()) => {}
                () = pass(server_in, client_out, seen.clone()) => {}
                () = ends(seen) => {}
            }
        });
    }
}

async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mode: watch::Receiver<Mode>) {
    let mut bytes = [0; 4_096];
    while let Ok(count @ 1..) = from.read(&mut bytes).await {
        if *mode.borrow() == Mode::Passes && to.write_all(&bytes[..count]).await.is_err() {
            return;
        }
    }
}

async fn ends(mut mode: watch::Receiver<Mode>) {
    // Without its sender, the proxy is gone.
    let _ = mode.wait_for(|mode| *mode == Mode::Ends).await;
}
