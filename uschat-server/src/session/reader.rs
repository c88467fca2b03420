use std::{pin::pin, time::Duration};

use bytes::BytesMut;
use tokio::{
    io::{AsyncRead, AsyncReadExt},
    sync::mpsc,
    time::{Instant, sleep},
};
use uschat_wire::{Frame, FrameDecoder};

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

/// Room for a read. Grows to the larger one while reads fill it.
const READ_ROOM: usize = 2 * 1024;
const BUSY_READ_ROOM: usize = 16 * 1024;

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
        let mut decoder = FrameDecoder::new(self.shared.config.limits.clone());
        let mut buffer = BytesMut::new();
        let mut room = READ_ROOM;
        let mut deadlines = Deadlines::new(&self.shared.config, self.shared.logic.has_login_guard());
        let mut timer = pin!(sleep(Duration::MAX));
        loop {
            let before = self.requests;
            let handled = self.handle_frames(&mut decoder, &mut buffer).await;
            self.shared.counters.received.increment(self.requests - before);
            if let Err(reason) = handled {
                return reason;
            }
            deadlines.heard(self.requests > before, !buffer.is_empty());
            let due = deadlines.next(self.session);
            match &due {
                Some((due, reason)) if *due <= Instant::now() => return reason.clone(),
                // Set forward only when it has gone off: most deadlines move away before they pass.
                Some((due, _)) if *due < timer.deadline() || timer.is_elapsed() => timer.as_mut().reset(*due),
                _ => {}
            }
            if buffer.is_empty() && buffer.capacity() > room {
                // What a burst needed is given back.
                buffer = BytesMut::new();
            }
            buffer.reserve(room);
            // Read before deadlines: after a stall the bytes that wait count, not the time that passed.
            let read = tokio::select! {
                biased;
                read = input.read_buf(&mut buffer) => read,
                reason = self.session.ended() => return reason,
                () = timer.as_mut(), if due.is_some() => continue,
            };
            match read {
                Ok(0) if buffer.is_empty() => return CloseReason::PeerClosed,
                Ok(0) => return CloseReason::PeerClosedMidFrame,
                Ok(bytes) => room = if bytes >= room { BUSY_READ_ROOM } else { READ_ROOM },
                Err(error) => return CloseReason::Broken(error.into()),
            }
        }
    }

    /// Handles every whole frame in the buffer, unless the session ends before.
    async fn handle_frames(&mut self, decoder: &mut FrameDecoder, buffer: &mut BytesMut) -> Result<(), CloseReason> {
        loop {
            if let Some(reason) = self.session.reason() {
                return Err(reason.clone());
            }
            match decoder.decode(buffer) {
                Ok(Some(frame)) => self.handle(frame).await,
                Ok(None) => return Ok(()),
                Err(error) => return Err(CloseReason::Framing(error)),
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
