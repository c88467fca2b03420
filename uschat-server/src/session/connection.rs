use std::{
    net::SocketAddr,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, split},
    sync::mpsc,
    time::timeout,
};

use super::{
    CloseReason, Session, SessionConfig, Sessions, answers::leave_in_order, counters::Counters, reader::Reader,
    writer::write_frames,
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
        let session = Session::new(self.sessions.next_id(), peer, &self.config);
        let registration = self.sessions.register(&session, self.counters.open.clone());
        // Looked at after the registration: who stops the server sets this first and then ends all registered sessions.
        if self.stopping.load(Ordering::SeqCst) {
            session.close(CloseReason::Draining);
        }
        let io = pin!(io);
        let (mut input, mut output) = split(io);

        let reason = match catch_panic(self.run(&session, &mut input, &mut output)).await {
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

        if let Err(panic) = catch_panic(self.app.closed(&session, &reason)).await {
            tracing::error!(session = session.id().0, panic, "the application panicked after a session had ended");
        }
        let reads = reason.flush_deadline(Duration::MAX).is_some();
        if reads && timeout(LINGER, output.shutdown()).await.is_ok_and(|shut| shut.is_ok()) {
            let _ = timeout(LINGER, discard(&mut input)).await;
        }
        reason
    }

    /// Reads, answers and writes until the session has ended and all that can be written is; says why it ended.
    async fn run(
        &self,
        session: &Session<A>,
        input: &mut (impl AsyncRead + Unpin),
        output: &mut (impl AsyncWrite + Unpin),
    ) -> CloseReason {
        let mut work = pin!(self.work(session, input));
        let mut writing = pin!(write_frames(session, output, &self.config, &self.counters.sent));
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

fn log_end<A: Application>(session: &Session<A>, reason: &CloseReason) {
    let (id, user, label) = (session.id().0, session.user(), reason.label());
    metrics::counter!("uschat_sessions_closed_total", "reason" => label).increment(1);
    if reason.is_worth_a_warning() {
        tracing::warn!(session = id, ?user, reason = label, "session closed: {reason}");
    } else {
        tracing::debug!(session = id, ?user, reason = label, "session closed: {reason}");
    }
}

async fn discard(input: &mut (impl AsyncRead + Unpin)) {
    let mut scrap = [0; 1024];
    while input.read(&mut scrap).await.is_ok_and(|bytes| bytes > 0) {}
}
