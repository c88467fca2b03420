//! Accepting connections, under every TCP server of this crate.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::sleep,
};
use tracing::{info, warn};

/// What the process lacks (files, memory) is rarely back sooner, and spinning would take the processor from those who
/// could give it back.
const PAUSE_AFTER_ERROR: Duration = Duration::from_millis(100);

/// The connections of one listener, no more at a time than there are places; more of them wait in the kernel's backlog.
pub(crate) struct Accepting {
    listener: TcpListener,
    /// Names the server in the log.
    server: &'static str,
    places: Arc<Semaphore>,
    /// Said once, until it works again.
    failing: bool,
}

impl Accepting {
    pub(crate) fn new(listener: TcpListener, server: &'static str, places: usize) -> Self {
        let places = Arc::new(Semaphore::new(places.min(Semaphore::MAX_PERMITS)));
        Self { listener, server, places, failing: false }
    }

    /// The next one, with the place it takes until that is dropped. Cancel safe: a dropped future has accepted nothing.
    pub(crate) async fn next(&mut self) -> (TcpStream, SocketAddr, OwnedSemaphorePermit) {
        loop {
            let Ok(place) = Arc::clone(&self.places).acquire_owned().await else {
                // Never closed.
                return std::future::pending().await;
            };
            match self.listener.accept().await {
                Ok((stream, peer)) => {
                    if std::mem::take(&mut self.failing) {
                        info!(server = self.server, "accepting connections again");
                    }
                    return (stream, peer, place);
                }
                // The peer is gone before it was served; that is nobody else's matter.
                Err(error) if concerns_one_connection(&error) => {}
                Err(error) => {
                    metrics::counter!("uschat_accept_errors_total", "server" => self.server).increment(1);
                    if !std::mem::replace(&mut self.failing, true) {
                        warn!(server = self.server, %error, "cannot accept connections, pausing");
                    }
                    sleep(PAUSE_AFTER_ERROR).await;
                }
            }
        }
    }
}

fn concerns_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::Interrupted
    )
}
