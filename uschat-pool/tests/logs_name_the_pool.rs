//! What a driver logs while it connects, verifies or cleans carries the pool's name; a connection that is handed out at
//! once leaves no trace. Alone in its program: what is told where is decided for all threads of one.
#![allow(clippy::unwrap_used, reason = "tests only")]

use std::{
    io,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{runtime::Builder, time::advance};
use tracing::info;
use tracing_subscriber::fmt::{MakeWriter, format::FmtSpan};
use uschat_pool::{Manager, Pool, PoolConfig, Shared, SharedConfig};

/// Says what it does.
struct Talkative;

impl Manager for Talkative {
    /// Whether it is dirty.
    type Connection = bool;
    type Error = io::Error;

    async fn connect(&self) -> io::Result<bool> {
        info!("hello");
        Ok(false)
    }

    async fn verify(&self, _: &mut bool) -> io::Result<()> {
        info!("still there?");
        Ok(())
    }

    fn is_broken(&self, _: &bool) -> bool {
        false
    }

    fn is_dirty(&self, connection: &mut bool) -> bool {
        *connection
    }

    async fn clean(&self, connection: &mut bool) -> io::Result<()> {
        info!("wiping");
        *connection = false;
        Ok(())
    }
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Log {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

impl Log {
    /// What was logged since the last look.
    fn take(&self) -> String {
        String::from_utf8(std::mem::take(&mut *self.0.lock().unwrap())).unwrap()
    }
}

/// Runs with a log that shows every new span, too.
fn logged<F: Future<Output = ()>>(test: impl FnOnce(Log) -> F) {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_span_events(FmtSpan::NEW)
        .with_ansi(false)
        .with_writer(log.clone())
        .finish();
    let runtime = Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    tracing::subscriber::with_default(subscriber, || runtime.block_on(test(log)));
}

#[test]
fn connecting_verifying_and_cleaning_run_in_spans() {
    logged(async |log| {
        let pool = Pool::new("orders", Talkative, PoolConfig { size: 1, ..PoolConfig::default() }).unwrap();
        drop(pool.get().await.unwrap());
        let shown = log.take();
        assert!(shown.contains(r#"connect{pool="orders"}: logs_name_the_pool: hello"#), "{shown}");

        advance(Duration::from_secs(60)).await;
        let mut lease = pool.get().await.unwrap();
        let shown = log.take();
        assert!(shown.contains(r#"verify{pool="orders"}: logs_name_the_pool: still there?"#), "{shown}");

        *lease = true;
        drop(lease);
        drop(pool.get().await.unwrap());
        let shown = log.take();
        assert!(shown.contains(r#"clean{pool="orders"}: logs_name_the_pool: wiping"#), "{shown}");
    });
}

#[test]
fn shared_connections_name_their_set() {
    logged(async |log| {
        let shared = Shared::new("peers", Talkative, SharedConfig::default()).unwrap();
        let _handle = shared.handle().await.unwrap();
        let shown = log.take();
        assert!(shown.contains(r#"connect{pool="peers"}: logs_name_the_pool: hello"#), "{shown}");
    });
}

#[test]
fn a_connection_handed_out_at_once_leaves_no_trace() {
    logged(async |log| {
        let pool = Pool::new("orders", Talkative, PoolConfig { size: 1, ..PoolConfig::default() }).unwrap();
        drop(pool.get().await.unwrap());
        let _ = log.take();
        drop(pool.get().await.unwrap());
        assert_eq!(log.take(), "");
    });
}
