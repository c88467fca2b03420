use std::{
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

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, split},
    net::TcpStream,
    sync::mpsc,
    time::{Instant, timeout, timeout_at},
};

use super::{
    CloseReason, Session, SessionConfig, Sessions, answers::leave_in_order, counters::Counters, output::Output,
    reader::Reader, writer::Writer,
};
use crate::{
    Application,
    logic::{LogicSystem, catch_panic},
};

/// How long a closed connection is still read, so that the system does not answer the peer's last bytes with a reset that
/// would take our last frames with it.
const LINGER: Duration = Duration::from_secs(1);

/// What all connections of a server share.
pub(super) struct Shared<A: Application> {
    pub(super) app: Arc<A>,
    pub(super) logic: LogicSystem<A>,
    pub(super) sessions: Sessions<A>,
    pub(super) config: SessionConfig,
    pub(super) counters: Counters,
    pub(super) stopping: AtomicBool,
}

impl<A: Application> Shared<A> {
    /// Serves one connection to its end.
    pub(super) async fn serve(&self, io: impl AsyncRead + AsyncWrite, peer: Option<SocketAddr>) -> CloseReason {
        let io = pin!(io);
        let (input, output) = split(io);
        self.serve_halves(input, output, peer).await
    }

    /// The same for TCP, where the system can be asked what the peer has acknowledged.
    pub(super) async fn serve_tcp(&self, mut stream: TcpStream, peer: SocketAddr) -> CloseReason {
        let (input, output) = stream.split();
        self.serve_halves(input, output, Some(peer)).await
    }

    async fn serve_halves(
        &self,
        mut input: impl AsyncRead + Unpin,
        output: impl Output,
        peer: Option<SocketAddr>,
    ) -> CloseReason {
        let session = Session::new(self.sessions.next_id(), peer, &self.config);
        let registration = self.sessions.register(&session, self.counters.open.clone());
        // Looked at after the registration: who stops the server sets this first and then ends all registered sessions.
        if self.stopping.load(Ordering::SeqCst) {
            session.close(CloseReason::Draining);
        }
        let mut writer = Writer::new(&session, &self.config, output);

        let outcome = {
            // Pinned here, because a future that is passed on takes its place in this one twice.
            let running = pin!(self.run(&session, &mut input, &mut writer));
            catch_panic(running).await
        };
        let reason = match outcome {
            Ok(reason) => reason,
            Err(panic) => {
                tracing::error!(session = session.id().0, panic, "the application or the connection panicked");
                session.end(CloseReason::HandlerPanicked(panic))
            }
        };
        // A handle that somebody keeps does not keep what waited.
        session.outbound().abandon();
        drop(registration);
        log_end(&session, &reason);
        writer.look();

        tell(&session, self.app.closed(&session, &reason)).await;
        if reason.flush_deadline(Duration::MAX).is_some() {
            linger(&mut input, &mut writer, &reason).await;
        }
        tell(&session, self.app.settled(&session)).await;
        reason
    }

    /// Reads, answers and writes until the session has ended and all that can be written is; says why it ended.
    async fn run(
        &self,
        session: &Session<A>,
        input: &mut (impl AsyncRead + Unpin),
        writer: &mut Writer<'_, A, impl Output>,
    ) -> CloseReason {
        let mut work = pin!(self.work(session, input));
        let mut writing = pin!(writer.run(&self.counters.sent));
        tokio::select! {
            reason = &mut work => {
                session.outbound().finish();
                if let Some(deadline) = reason.flush_deadline(self.config.write) {
                    // Whatever the writer says now, the session has ended for another reason.
                    let _ = timeout(deadline, writing).await;
                }
                reason
            }
            Some(failure) = &mut writing => {
                session.close(failure);
                session.outbound().abandon();
                // Handlers in flight finish: what they store must still reach others.
                work.await
            }
        }
    }

    /// Reads and answers until the session ends and everything it asked for is done; says why it ended.
    async fn work(&self, session: &Session<A>, input: &mut (impl AsyncRead + Unpin)) -> CloseReason {
        let (sender, deferred) = mpsc::channel(self.config.deferred_answers.max(1));
        let reading = async {
            let reason = session.end(Reader::new(self, session, sender).run(input).await);
            self.sessions.leave(session);
            if matches!(reason, CloseReason::Replaced) {
                // The client reads why, and closes by itself.
                let _ = timeout(self.config.replaced_grace, discard(input)).await;
            }
            reason
        };
        let (reason, ()) = tokio::join!(reading, leave_in_order(session, deferred));
        if matches!(reason, CloseReason::Draining)
            && let Some(farewell) = self.app.farewell(session)
        {
            session.outbound().send(farewell).await;
        }
        reason
    }
}

/// Lets the application know of an end; if it panics, that ends nothing else.
async fn tell<A: Application>(session: &Session<A>, hook: impl Future<Output = ()>) {
    if let Err(panic) = catch_panic(hook).await {
        tracing::error!(session = session.id().0, panic, "the application panicked after a session had ended");
    }
}

/// Ends our side, gives the peer time to take what was written and to end its own, and confirms what it has.
async fn linger<A: Application>(
    input: &mut (impl AsyncRead + Unpin),
    writer: &mut Writer<'_, A, impl Output>,
    reason: &CloseReason,
) {
    if !timeout(LINGER, writer.shut_down()).await.unwrap_or(false) {
        return;
    }
    let deadline = Instant::now() + LINGER;
    let ended = timeout_at(deadline, discard(input)).await;
    if matches!(ended, Ok(Ok(()))) && reason.is_in_good_order() {
        writer.settle(deadline).await;
    } else {
        writer.look();
    }
}

fn log_end<A: Application>(session: &Session<A>, reason: &CloseReason) {
    let (id, user, label) = (session.id().0, session.user(), reason.label());
    metrics::counter!("uschat_sessions_closed_total", "reason" => label).increment(1);
    if reason.is_worth_a_warning() {
        tracing::warn!(session = id, ?user, reason = label, "session closed: {reason}");
    } else {
        tracing::debug!(session = id, ?user, reason = label, "session closed: {reason}");
    }
}

/// Reads until the peer ends its side.
async fn discard(input: &mut (impl AsyncRead + Unpin)) -> io::Result<()> {
    let mut scrap = [0; 256];
    while input.read(&mut scrap).await? > 0 {}
    Ok(())
}
