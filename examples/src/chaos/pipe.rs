//! One direction of one connection: a line between what is read from and what is written to.

use std::{future::poll_fn, io, mem::MaybeUninit, pin::Pin, sync::Arc, task::Poll};

use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf},
    select,
    sync::watch,
    time::{Instant, sleep_until},
};

use super::{
    Direction,
    fault::{End, Faults},
    line::{Line, Step},
    seed::Seed,
    shared::{Counters, Settings, Shared},
};

pub(super) struct Pipe {
    line: Line,
    direction: Direction,
    faults: Faults,
    settings: watch::Receiver<Settings>,
    shared: Arc<Shared>,
    over: bool,
}

/// Why a pipe returned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Everything was passed on, the end of the stream included; or nothing ever will be, for it was swallowed.
    Over,
    /// The whole connection has to end like this.
    Close(End),
    /// Whoever it writes to is gone.
    SinkGone,
}

impl Pipe {
    /// Of the direction `direction` of the connection `number`; `settings` as they were when it was accepted, or later.
    pub(super) fn new(
        direction: Direction,
        number: u64,
        shared: &Arc<Shared>,
        settings: watch::Receiver<Settings>,
    ) -> Self {
        let seed = Seed { seed: shared.seed, connection: number, direction };
        let line = Line::new(shared.buffer, seed);
        Self { line, direction, faults: Faults::default(), settings, shared: Arc::clone(shared), over: false }
    }

    /// Passes bytes on until there is something to tell. Must not be called once the pipe is over.
    ///
    /// Cancel safe: bytes that were read and not yet written stay in the pipe.
    pub(super) async fn run<R, W>(&mut self, source: &mut R, sink: &mut W) -> Outcome
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        loop {
            self.refresh();
            if self.line.is_swallowed() {
                self.over = true;
                return Outcome::Over;
            }
            let (mut until, mut count) = (None, 0);
            match self.line.step(Instant::now(), &self.faults) {
                Step::Idle => {}
                Step::Wait(at) => until = Some(at),
                Step::Write(bytes) => count = bytes,
                // Where another connection was first, the settings have changed.
                Step::Cut(cut) if cut.once.is_some_and(|call| !self.shared.claim_cut(call)) => continue,
                Step::Cut(cut) => {
                    self.shared.counters.cuts.add(1);
                    return Outcome::Close(cut.end);
                }
                Step::End(End::Reset) => return Outcome::Close(End::Reset),
                Step::End(End::Fin) => {
                    self.over = true;
                    // An error says that nobody is left to be told.
                    return sink.shutdown().await.map_or(Outcome::SinkGone, |()| Outcome::Over);
                }
            }
            let room = self.line.room();
            // In this order because what is held goes before what could be held.
            select! {
                biased;
                _ = self.settings.changed() => {}
                written = sink.write(&self.line.front()[..count]), if count > 0 => match written {
                    Ok(count @ 1..) => self.pass(count),
                    Ok(0) | Err(_) => {
                        self.over = true;
                        return Outcome::SinkGone;
                    }
                },
                () = sleep_until(until.unwrap_or_else(Instant::now)), if until.is_some() => {}
                read = read(source, room), if room > 0 => self.take(read),
            }
        }
    }

    pub(super) fn is_over(&self) -> bool {
        self.over
    }

    /// Whether something was swallowed.
    pub(super) fn is_lossy(&self) -> bool {
        self.line.is_lossy()
    }

    /// Whoever it reads from is gone, as a write to them showed. False if that has to be told otherwise, because the pipe
    /// has already passed on an end in order.
    pub(super) fn source_is_gone(&mut self) -> bool {
        self.line.push_end(End::Reset, Instant::now(), &self.faults);
        !self.over || self.line.is_lossy()
    }

    /// Looks at the faults as they are now.
    fn refresh(&mut self) {
        let faults = self.settings.borrow_and_update().faults(self.direction);
        if faults != self.faults {
            self.faults = faults;
            self.line.restart_pace();
        }
        if self.faults.black_hole {
            let swallowed = self.line.swallow();
            self.counters().swallowed.add(swallowed);
        }
    }

    fn take(&mut self, read: io::Result<Vec<u8>>) {
        let now = Instant::now();
        match read {
            Ok(bytes) if bytes.is_empty() => self.line.push_end(End::Fin, now, &self.faults),
            Ok(bytes) => {
                self.counters().taken.add(bytes.len() as u64);
                let pushed = self.line.push(bytes, now, &self.faults);
                self.counters().swallowed.add(pushed.swallowed);
                self.counters().flipped.add(pushed.flipped);
            }
            Err(_) => self.line.push_end(End::Reset, now, &self.faults),
        }
    }

    fn pass(&mut self, count: usize) {
        self.line.pass(count, Instant::now(), &self.faults);
        self.counters().passed.add(count as u64);
    }

    fn counters(&self) -> &Counters {
        self.shared.counters.of(self.direction)
    }
}

/// The most bytes of one read.
const READ: usize = 16 * 1024;

/// Reads up to `most` bytes; none at the end of the stream. A connection with nothing to read holds no buffer. Cancel safe.
pub(super) async fn read<R: AsyncRead + Unpin>(source: &mut R, most: usize) -> io::Result<Vec<u8>> {
    poll_fn(|cx| {
        let mut storage = [MaybeUninit::uninit(); READ];
        let mut buffer = ReadBuf::uninit(&mut storage[..most.min(READ)]);
        match Pin::new(&mut *source).poll_read(cx, &mut buffer) {
            Poll::Ready(result) => Poll::Ready(result.map(|()| buffer.filled().to_vec())),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

#[cfg(test)]
#[path = "pipe_tests.rs"]
mod tests;
