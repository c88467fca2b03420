//! A manager whose peer does what the test says.

use std::{
    io,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use tokio::sync::Semaphore;
use uschat_pool::{Manager, Pool, PoolConfig, Shared, SharedConfig};

#[derive(Clone, Copy, PartialEq)]
pub enum Peer {
    Answers,
    Refuses,
    /// Refuses for good.
    Denies,
    Silent,
    /// The manager has a bug.
    Panics,
    /// Answers as often as `Fake::let_through` allows.
    Gated,
}

/// Clones look at the same peer.
#[derive(Clone)]
pub struct Fake(Arc<State>);

struct State {
    connect: Mutex<Peer>,
    verify: Mutex<Peer>,
    clean: Mutex<Peer>,
    gate: Semaphore,
    connects: AtomicUsize,
    verifies: AtomicUsize,
    cleans: AtomicUsize,
    open: AtomicUsize,
    connecting: AtomicUsize,
    most_connecting: AtomicUsize,
}

#[derive(Clone)]
pub struct Connection {
    /// 1 for the first that was made.
    pub number: usize,
    pub broken: Arc<AtomicBool>,
    pub dirty: Arc<AtomicBool>,
    _open: Arc<Open>,
}

struct Open(Fake);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.0.open.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Connection {
    pub fn break_it(&self) {
        self.broken.store(true, Ordering::SeqCst);
    }

    pub fn soil(&self) {
        self.dirty.store(true, Ordering::SeqCst);
    }
}

impl Fake {
    pub fn new() -> Self {
        Self(Arc::new(State {
            connect: Mutex::new(Peer::Answers),
            verify: Mutex::new(Peer::Answers),
            clean: Mutex::new(Peer::Answers),
            gate: Semaphore::new(0),
            connects: AtomicUsize::new(0),
            verifies: AtomicUsize::new(0),
            cleans: AtomicUsize::new(0),
            open: AtomicUsize::new(0),
            connecting: AtomicUsize::new(0),
            most_connecting: AtomicUsize::new(0),
        }))
    }

    pub fn pool(&self, config: PoolConfig) -> Pool<Fake> {
        Pool::new("fake", self.clone(), config).unwrap()
    }

    pub fn shared(&self, config: SharedConfig) -> Shared<Fake> {
        Shared::new("fake", self.clone(), config).unwrap()
    }

    pub fn on_connect(&self, peer: Peer) {
        *self.0.connect.lock().unwrap() = peer;
    }

    pub fn on_verify(&self, peer: Peer) {
        *self.0.verify.lock().unwrap() = peer;
    }

    pub fn on_clean(&self, peer: Peer) {
        *self.0.clean.lock().unwrap() = peer;
    }

    pub fn let_through(&self, times: usize) {
        self.0.gate.add_permits(times);
    }

    /// Attempts to connect so far.
    pub fn connects(&self) -> usize {
        self.0.connects.load(Ordering::SeqCst)
    }

    pub fn verifies(&self) -> usize {
        self.0.verifies.load(Ordering::SeqCst)
    }

    pub fn cleans(&self) -> usize {
        self.0.cleans.load(Ordering::SeqCst)
    }

    /// Connections that exist now.
    pub fn open(&self) -> usize {
        self.0.open.load(Ordering::SeqCst)
    }

    /// Most attempts to connect that ran at one time.
    pub fn most_connecting(&self) -> usize {
        self.0.most_connecting.load(Ordering::SeqCst)
    }

    async fn act(&self, peer: Peer) -> io::Result<()> {
        match peer {
            Peer::Answers => Ok(()),
            Peer::Refuses => Err(io::ErrorKind::ConnectionRefused.into()),
            Peer::Denies => Err(io::ErrorKind::PermissionDenied.into()),
            Peer::Silent => std::future::pending().await,
            Peer::Panics => panic!("as the test wants"),
            Peer::Gated => {
                self.0.gate.acquire().await.unwrap().forget();
                Ok(())
            }
        }
    }
}

struct Connecting<'a>(&'a State);

impl<'a> Connecting<'a> {
    fn new(state: &'a State) -> Self {
        let now = state.connecting.fetch_add(1, Ordering::SeqCst) + 1;
        state.most_connecting.fetch_max(now, Ordering::SeqCst);
        Self(state)
    }
}

impl Drop for Connecting<'_> {
    fn drop(&mut self) {
        self.0.connecting.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Manager for Fake {
    type Connection = Connection;
    type Error = io::Error;

    async fn connect(&self) -> io::Result<Connection> {
        let number = self.0.connects.fetch_add(1, Ordering::SeqCst) + 1;
        let _connecting = Connecting::new(&self.0);
        let peer = *self.0.connect.lock().unwrap();
        self.act(peer).await?;
        self.0.open.fetch_add(1, Ordering::SeqCst);
        Ok(Connection { number, broken: Arc::default(), dirty: Arc::default(), _open: Arc::new(Open(self.clone())) })
    }

    async fn verify(&self, _: &mut Connection) -> io::Result<()> {
        self.0.verifies.fetch_add(1, Ordering::SeqCst);
        let peer = *self.0.verify.lock().unwrap();
        self.act(peer).await
    }

    fn is_permanent(&self, error: &io::Error) -> bool {
        error.kind() == io::ErrorKind::PermissionDenied
    }

    fn is_broken(&self, connection: &Connection) -> bool {
        connection.broken.load(Ordering::SeqCst)
    }

    fn is_dirty(&self, connection: &mut Connection) -> bool {
        connection.dirty.load(Ordering::SeqCst)
    }

    async fn clean(&self, connection: &mut Connection) -> io::Result<()> {
        self.0.cleans.fetch_add(1, Ordering::SeqCst);
        let peer = *self.0.clean.lock().unwrap();
        self.act(peer).await?;
        connection.dirty.store(false, Ordering::SeqCst);
        Ok(())
    }
}

pub fn sized(size: usize) -> PoolConfig {
    PoolConfig { size, ..PoolConfig::default() }
}

pub fn shared_sized(size: usize) -> SharedConfig {
    SharedConfig { size, ..SharedConfig::default() }
}

/// Has the set make so many connections, as busy callers would.
pub async fn grow(shared: &Shared<Fake>, to: usize) {
    let mut handles = Vec::new();
    while shared.snapshot().live < to {
        handles.push(shared.handle().await.unwrap());
        settle().await;
    }
}

/// Lets every task that can go on do so until all of them wait.
pub async fn settle() {
    for _ in 0..64 {
        tokio::task::yield_now().await;
    }
}
