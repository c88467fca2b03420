use std::{pin::pin, time::Duration};

use tokio::{
    io::AsyncRead,
    sync::mpsc,
    time::{Instant, sleep},
};
use uschat_wire::{Frame, FrameReader};

use super::{
    CloseReason, Session,
    answers::{Deferred, send_answer},
    connection::Shared,
    deadlines::Deadlines,
};
use crate::{
    Application, Context,
    logic::{Answer, Outcome},
};

/// Bytes that one read may bring. They are held while the frames in them are handled, and by nobody who waits for more.
const READ_SIZE: usize = 16 * 1024;

/// Reads frames and runs their handlers one after another, until the session ends.
pub(super) struct Reader<'a, A: Application> {
    shared: &'a Shared<A>,
    session: &'a Session<A>,
    deferred: mpsc::Sender<Deferred>,
    /// The frames read so far.
    requests: u64,
}

impl<'a, A: Application> Reader<'a, A> {
    pub(super) fn new(shared: &'a Shared<A>, session: &'a Session<A>, deferred: mpsc::Sender<Deferred>) -> Self {
        Self { shared, session, deferred, requests: 0 }
    }

    /// Returns why the session ends. A handler that runs is finished first.
    pub(super) async fn run(mut self, input: &mut (impl AsyncRead + Unpin)) -> CloseReason {
        let mut input = FrameReader::new(input, self.shared.config.limits.clone()).read_size(READ_SIZE);
        let mut deadlines = Deadlines::new(&self.shared.config, self.shared.logic.has_login_guard());
        let mut timer = pin!(sleep(Duration::MAX));
        loop {
            let before = self.requests;
            let handled = self.handle_frames(&mut input).await;
            self.shared.counters.received.increment(self.requests - before);
            if let Err(reason) = handled {
                return reason;
            }
            deadlines.heard(self.requests > before, input.is_mid_frame());
            let due = deadlines.next(self.session);
            match &due {
                Some((due, reason)) if *due <= Instant::now() => return reason.clone(),
                // Set forward only when it has gone off: most deadlines move away before they pass.
                Some((due, _)) if *due < timer.deadline() || timer.is_elapsed() => timer.as_mut().reset(*due),
                _ => {}
            }
            // Read before deadlines: after a stall the bytes that wait count, not the time that passed.
            let read = tokio::select! {
                biased;
                read = input.fill() => read,
                reason = self.session.ended() => return reason,
                () = timer.as_mut(), if due.is_some() => continue,
            };
            match read {
                Ok(0) if input.is_mid_frame() => return CloseReason::PeerClosedMidFrame,
                Ok(0) => return CloseReason::PeerClosed,
                Ok(_) => {}
                Err(error) => return CloseReason::Broken(error.into()),
            }
        }
    }

    /// Handles every whole frame that was read, unless the session ends before.
    async fn handle_frames(&mut self, input: &mut FrameReader<impl AsyncRead + Unpin>) -> Result<(), CloseReason> {
        loop {
            if let Some(reason) = self.session.reason() {
                return Err(reason.clone());
            }
            match input.buffered().next() {
                Some(Ok(frame)) => {
                    let frame = frame.to_frame();
                    self.handle(frame).await;
                }
                None => return Ok(()),
                Some(Err(error)) => return Err(CloseReason::Framing(error)),
            }
        }
    }

    async fn handle(&mut self, frame: Frame) {
        let Shared { app, logic, sessions, .. } = self.shared;
        self.requests += 1;
        let (request, id) = (self.requests, frame.id);
        let cx = Context::new(app.clone(), self.session.clone(), sessions.clone(), request);
        match logic.dispatch(cx, frame).await {
            Outcome::Now(answer) => {
                if matches!(answer, Answer::UnknownId) {
                    tracing::debug!(session = self.session.id().0, id, "no handler has this message id; frame ignored");
                }
                send_answer(self.session, request, answer).await;
            }
            Outcome::InOrder(answer) => {
                // The other end outlives the reader, so this only ever waits for room.
                let _ = self.deferred.send(Deferred { request, answer }).await;
            }
        }
    }
}
