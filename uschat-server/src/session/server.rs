use std::{
    fmt,
    future::Future,
    io,
    net::SocketAddr,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use socket2::{SockRef, TcpKeepalive};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use super::{CloseReason, SessionConfig, Sessions, connection::Shared, counters::Counters};
use crate::{Application, LogicSystem, accept::Accepting};

/// When the system looks whether a silent peer is still there, and how long it retries unacknowledged bytes.
const KEEPALIVE: Duration = Duration::from_secs(30);

/// Serves a [`LogicSystem`] to any number of connections.
pub struct Server<A: Application> {
    shared: Arc<Shared<A>>,
}

impl<A: Application> Server<A> {
    /// Joins what handlers share, by value or as an `Arc`, with the handlers.
    ///
    /// Metrics go to the recorder that is installed at this moment.
    pub fn new(app: impl Into<Arc<A>>, logic: LogicSystem<A>, config: SessionConfig) -> Self {
        let (sessions, counters, stopping) = (Sessions::new(), Counters::new(), AtomicBool::new(false));
        Self { shared: Arc::new(Shared { app: app.into(), logic, sessions, config, counters, stopping }) }
    }

    /// The live sessions.
    #[must_use]
    pub fn sessions(&self) -> &Sessions<A> {
        &self.shared.sessions
    }

    /// Serves one connection to its end: TCP, TLS, a pipe, anything.
    ///
    /// Dropping the future drops the connection and the handler that runs on it.
    pub async fn serve_connection(&self, io: impl AsyncRead + AsyncWrite, peer: Option<SocketAddr>) -> CloseReason {
        self.shared.serve(io, peer).await
    }

    /// Begins to end all sessions, also those still to come: handlers in flight finish, what waits is written, each is told
    /// ([`Application::farewell`]) and closed. [`Server::listen`] does this by itself; call it for connections served
    /// otherwise, and wait for their [`Server::serve_connection`].
    pub fn stop(&self) {
        self.shared.stopping.store(true, Ordering::SeqCst);
        self.shared.sessions.close_all(&CloseReason::Draining);
    }

    /// Accepts connections until `shutdown`, then drains: no new connections, and [`Server::stop`] for all sessions, also
    /// those of other listeners. Those of this listener that are not done within [`SessionConfig::drain`] are dropped.
    ///
    /// An accept that fails, say for want of file descriptors, is logged and tried again; sessions go on meanwhile.
    ///
    /// Dropping the future drops the listener and its sessions.
    ///
    /// # Errors
    /// When the listener has no address, that is, never for a bound one.
    pub async fn listen(&self, listener: TcpListener, shutdown: CancellationToken) -> io::Result<()> {
        self.listen_until(listener, shutdown.cancelled()).await
    }

    /// As [`Server::listen`], until a future is done: `listen_until(listener, tokio::signal::ctrl_c())`.
    ///
    /// # Errors
    /// As [`Server::listen`].
    pub async fn listen_until(&self, listener: TcpListener, shutdown: impl Future) -> io::Result<()> {
        let address = listener.local_addr()?;
        let mut shutdown = pin!(shutdown);
        let mut accepting = Accepting::new(listener, "sessions", self.shared.config.connections);
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                (stream, peer, place) = accepting.next() => {
                    let shared = self.shared.clone();
                    connections.spawn(async move {
                        set_options(&stream);
                        shared.serve_tcp(stream, peer).await;
                        drop(place);
                    });
                }
                Some(_) = connections.join_next() => {}
                _ = &mut shutdown => break,
            }
        }
        drop(accepting);
        self.stop();
        let all_done = async { while connections.join_next().await.is_some() {} };
        if timeout(self.shared.config.drain, all_done).await.is_err() {
            let sessions = connections.len();
            tracing::warn!(%address, sessions, "sessions were not done within the drain deadline; dropping them");
            connections.shutdown().await;
        }
        Ok(())
    }
}

impl<A: Application> fmt::Debug for Server<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("logic", &self.shared.logic).field("sessions", &self.shared.sessions).finish()
    }
}

fn set_options(stream: &TcpStream) {
    let socket = SockRef::from(stream);
    let keepalive = TcpKeepalive::new().with_time(KEEPALIVE).with_interval(KEEPALIVE / 3);
    let options = stream.set_nodelay(true).and_then(|()| socket.set_tcp_keepalive(&keepalive));
    #[cfg(target_os = "linux")]
    let options = options.and_then(|()| socket.set_tcp_user_timeout(Some(KEEPALIVE)));
    if let Err(error) = options {
        // The peer is gone already; the session will find out.
        tracing::debug!(%error, "cannot set socket options");
    }
}
