use std::{io, time::Duration};

use bytes::Buf;
use tokio::{
    io::AsyncWriteExt,
    time::{Instant, sleep, sleep_until, timeout},
};
use uschat_wire::{Limits, WriteBuffer};

use super::{CloseReason, Session, SessionConfig, confirmations::Confirmations, output::Output};
use crate::Application;

/// How often is looked for the last acknowledgements, once the connection has been shut down.
const LAST_LOOKS_EVERY: Duration = Duration::from_millis(20);

/// Writes what waits in a session's outbound queue, and confirms marks.
pub(super) struct Writer<'a, A: Application, O> {
    session: &'a Session<A>,
    config: &'a SessionConfig,
    output: O,
    /// Kept when [`Writer::run`] is dropped, so that it is known how much of it the network took.
    buffer: WriteBuffer,
    /// Bytes that ever were in `buffer`.
    taken: u64,
    confirmations: Confirmations,
    shut: bool,
}

impl<'a, A: Application, O: Output> Writer<'a, A, O> {
    pub(super) fn new(session: &'a Session<A>, config: &'a SessionConfig, output: O) -> Self {
        let confirmations = Confirmations::new(output.unacknowledged(false).is_some());
        let buffer = WriteBuffer::new(Limits::unrestricted());
        Self { session, config, output, buffer, taken: 0, confirmations, shut: false }
    }

    /// Writes everything ready in one write, until the queue has ended. Unless the session is paced: then one frame a
    /// write, with a gap before the next.
    ///
    /// Returns why writing failed, or nothing when all is written.
    pub(super) async fn run(&mut self, sent: &metrics::Counter) -> Option<CloseReason> {
        let (session, config) = (self.session, self.config);
        let mut last_write: Option<Instant> = None;
        while self.ready().await {
            let frames = match (session.gap(), last_write) {
                (None, _) => config.write_frames,
                (Some(_), None) => 1,
                (Some(gap), Some(last)) => {
                    // While this waits, later pushes can be merged into those in the queue.
                    sleep_until(last + gap).await;
                    1
                }
            };
            if let Some(written) = self.take(frames) {
                if let Err(failure) = self.write().await {
                    return Some(failure);
                }
                sent.increment(written as u64);
                // Counted from when the network took the frame, so that one after a pause leaves at once.
                last_write = session.gap().map(|_| Instant::now());
            }
            if session.outbound().is_empty() {
                // A session that is silent holds no memory to write from.
                self.buffer.release();
            }
            if self.confirmations.is_look_due() {
                self.look();
            }
        }
        None
    }

    /// Confirms the marks whose bytes the peer's system has acknowledged by now.
    pub(super) fn look(&mut self) {
        if self.confirmations.are_awaited()
            && let Some(unacknowledged) = self.output.unacknowledged(self.shut)
        {
            self.confirm(self.written().saturating_sub(unacknowledged as u64));
        }
    }

    /// Ends the sending side; false when that fails, because the connection is gone.
    pub(super) async fn shut_down(&mut self) -> bool {
        self.shut = self.output.shutdown().await.is_ok();
        self.shut
    }

    /// Both sides have ended in good order: confirms what the peer has. Acknowledgements may still be on their way, so it may
    /// take until `deadline`.
    pub(super) async fn settle(&mut self, deadline: Instant) {
        if !self.confirmations.are_known() {
            // That it ended well, with nothing left unwritten, is the best one can know of such a connection.
            if !self.buffer.has_remaining() {
                self.confirm(self.taken);
            }
            return;
        }
        self.look();
        while self.confirmations.are_awaited() && Instant::now() < deadline {
            // No event tells of an acknowledgement.
            sleep(LAST_LOOKS_EVERY).await;
            self.look();
        }
    }

    /// Waits until there is something to write, and looks for acknowledgements meanwhile. False at the end.
    async fn ready(&mut self) -> bool {
        while self.confirmations.are_awaited() {
            tokio::select! {
                biased;
                ready = self.session.outbound().ready() => return ready,
                () = self.confirmations.look_due() => self.look(),
            }
        }
        self.session.outbound().ready().await
    }

    /// Puts up to so many frames that wait into the buffer; says how many, unless there was only a mark.
    fn take(&mut self, frames: usize) -> Option<usize> {
        let taken = self.session.outbound().take(&mut self.buffer, frames, self.config.write_bytes);
        self.taken += self.buffer.remaining() as u64;
        if let Some(mark) = taken.mark {
            self.confirmations.wait_for(mark, self.taken);
        }
        (taken.frames > 0).then_some(taken.frames)
    }

    async fn write(&mut self) -> Result<(), CloseReason> {
        match timeout(self.config.write, self.write_all()).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(CloseReason::Broken(error.into())),
            Err(_) => Err(CloseReason::WriteDeadline),
        }
    }

    /// Writes the whole buffer; looks for acknowledgements meanwhile, because the peer may take its time.
    async fn write_all(&mut self) -> io::Result<()> {
        loop {
            let write = async {
                // Goes on where it was dropped: the buffer knows what has been written.
                self.output.write_all_buf(&mut self.buffer).await?;
                self.output.flush().await
            };
            tokio::select! {
                biased;
                written = write => return written,
                () = self.confirmations.look_due() => self.look(),
            }
        }
    }

    /// Bytes that the network has taken.
    fn written(&self) -> u64 {
        self.taken.saturating_sub(self.buffer.remaining() as u64)
    }

    fn confirm(&mut self, bytes: u64) {
        if let Some(mark) = self.confirmations.acknowledged(bytes) {
            self.session.confirm(mark);
        }
    }
}
