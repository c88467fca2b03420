//! The log says why a session was closed. Alone in its program: what is told where is decided for all threads of one.
#![allow(clippy::unwrap_used, unreachable_pub, reason = "tests only")]

#[allow(dead_code, reason = "shared with the tests of sessions")]
#[path = "session/app/mod.rs"]
mod app;

use std::{
    io::{self, Write},
    sync::{Arc, Mutex},
};

use app::*;
use uschat_server::session::SessionConfig;

#[tokio::test(start_paused = true)]
async fn the_log_says_why() {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt().with_writer({
        let log = log.clone();
        move || log.clone()
    });
    let _guard = tracing::subscriber::set_default(subscriber.finish());
    let fixture = serve(SessionConfig { outbound_frames: 1, ..SessionConfig::default() });
    let (_near, session) = connect_deaf(&fixture).await;
    let slow = fixture.session(1);
    assert!((0..1_000).any(|number| slow.push(&Told(number)).is_err()));
    session.await.unwrap();
    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(log.lines().any(|line| line.contains("WARN") && line.contains("slow_consumer")), "{log}");
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
