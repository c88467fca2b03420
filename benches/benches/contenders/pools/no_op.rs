//! Pools of connections that do nothing, so that what is left is the pool.
//!
//! The target `instructions` takes this file alone.

#![allow(dead_code, reason = "each target uses a part of it")]

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use crossbeam_queue::ArrayQueue;
use deadpool::managed::{self, Metrics, RecycleResult};
use tokio::sync::Semaphore;
use uschat_pool::{Lease, Manager, Pool, PoolConfig};

/// Nobody looks at the number; it is there to be moved about.
pub(crate) struct Connection(u64);

/// A pool.
pub(crate) trait Lend: Clone + Send + Sync + 'static {
    type Lease: Send;

    /// Lends a connection until it is dropped.
    fn get(&self) -> impl Future<Output = Self::Lease> + Send;
}

/// Makes the connections, for every pool.
#[derive(Clone, Copy)]
pub(crate) struct Maker;

/// Ours, as its defaults are: three time-outs, verification by age, limits of lifetime and waiters.
#[derive(Clone)]
pub(crate) struct UsChat(Pool<Maker>);

impl UsChat {
    pub(crate) fn new(size: usize) -> Self {
        let config = PoolConfig { size, ..PoolConfig::default() };
        Self(Pool::new("no-op", Maker, config).expect("a valid configuration"))
    }
}

impl Lend for UsChat {
    type Lease = Lease<Maker>;

    async fn get(&self) -> Lease<Maker> {
        self.0.get().await.expect("a connection")
    }
}

impl Manager for Maker {
    type Connection = Connection;
    type Error = Infallible;

    async fn connect(&self) -> Result<Connection, Infallible> {
        Ok(Connection(7))
    }

    async fn verify(&self, _: &mut Connection) -> Result<(), Infallible> {
        Ok(())
    }

    fn is_broken(&self, _: &Connection) -> bool {
        false
    }
}

/// deadpool's managed pool, as its defaults are: no time-outs.
#[derive(Clone)]
pub(crate) struct Deadpool(managed::Pool<Maker>);

impl Deadpool {
    pub(crate) fn new(size: usize) -> Self {
        Self(managed::Pool::builder(Maker).max_size(size).build().expect("a valid configuration"))
    }

    /// With the time-outs that ours has.
    pub(crate) fn with_timeouts(size: usize) -> Self {
        let pool = managed::Pool::builder(Maker)
            .max_size(size)
            .runtime(deadpool::Runtime::Tokio1)
            .wait_timeout(Some(Duration::from_secs(2)))
            .create_timeout(Some(Duration::from_secs(2)))
            .recycle_timeout(Some(Duration::from_secs(1)))
            .build();
        Self(pool.expect("a valid configuration"))
    }
}

impl Lend for Deadpool {
    type Lease = managed::Object<Maker>;

    async fn get(&self) -> managed::Object<Maker> {
        self.0.get().await.expect("a connection")
    }
}

impl managed::Manager for Maker {
    type Type = Connection;
    type Error = Infallible;

    async fn create(&self) -> Result<Connection, Infallible> {
        Ok(Connection(7))
    }

    async fn recycle(&self, _: &mut Connection, _: &Metrics) -> RecycleResult<Infallible> {
        Ok(())
    }
}

/// bb8, as its defaults are: a time-out, and a test at every check-out.
#[derive(Clone)]
pub(crate) struct Bb8(bb8::Pool<Maker>);

impl Bb8 {
    pub(crate) fn new(size: usize) -> Self {
        let size = size.try_into().expect("a small number");
        Self(bb8::Pool::builder().max_size(size).build_unchecked(Maker))
    }
}

impl Lend for Bb8 {
    type Lease = bb8::PooledConnection<'static, Maker>;

    async fn get(&self) -> Self::Lease {
        self.0.get_owned().await.expect("a connection")
    }
}

impl bb8::ManageConnection for Maker {
    type Connection = Connection;
    type Error = Infallible;

    async fn connect(&self) -> Result<Connection, Infallible> {
        Ok(Connection(7))
    }

    async fn is_valid(&self, _: &mut Connection) -> Result<(), Infallible> {
        Ok(())
    }

    fn has_broken(&self, _: &mut Connection) -> bool {
        false
    }
}

/// What a pool comes down to that is fair and can do nothing else: tokio's semaphore and a queue without locks.
#[derive(Clone)]
pub(crate) struct Bare(Arc<Parts>);

struct Parts {
    permits: Semaphore,
    idle: ArrayQueue<Connection>,
}

pub(crate) struct BareLease {
    parts: Arc<Parts>,
    connection: Option<Connection>,
}

impl Bare {
    pub(crate) fn new(size: usize) -> Self {
        let parts = Parts { permits: Semaphore::new(size), idle: ArrayQueue::new(size) };
        Self(Arc::new(parts))
    }
}

impl Lend for Bare {
    type Lease = BareLease;

    async fn get(&self) -> BareLease {
        self.0.permits.acquire().await.expect("it is never closed").forget();
        let connection = self.0.idle.pop().unwrap_or(Connection(7));
        BareLease { parts: Arc::clone(&self.0), connection: Some(connection) }
    }
}

impl Drop for BareLease {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take() {
            // There is room for as many as there are permits.
            let _ = self.parts.idle.push(connection);
        }
        self.parts.permits.add_permits(1);
    }
}
