//! Sockets that do what a test tells them, and futures polled by hand.

use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use uschat_wire::{Frame, FrameReader, Layout, Limits, decode_slice, encode};

/// What a read finds.
#[derive(Debug, Clone)]
pub(crate) enum Arrival {
    Bytes(Vec<u8>),
    /// Nothing yet, more comes.
    Nothing,
    Error(io::ErrorKind),
}

/// Gives what a test foresaw, in order; then the end of the stream, or silence.
#[derive(Debug, Default)]
pub(crate) struct Script {
    pub(crate) arrivals: VecDeque<Arrival>,
    pub(crate) silent_at_end: bool,
    pub(crate) reads: usize,
}

impl Script {
    pub(crate) fn new(arrivals: impl IntoIterator<Item = Arrival>) -> Self {
        Self { arrivals: arrivals.into_iter().collect(), ..Self::default() }
    }

    /// Says nothing more at its end, instead of closing.
    pub(crate) fn then_silence(mut self) -> Self {
        self.silent_at_end = true;
        self
    }

    /// The stream in pieces of this length, and a fruitless read before each.
    pub(crate) fn in_pieces(stream: &[u8], len: usize) -> Self {
        Self::new(stream.chunks(len).flat_map(|piece| [Arrival::Nothing, Arrival::Bytes(piece.to_vec())]))
    }
}

impl AsyncRead for Script {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, room: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.reads += 1;
        assert!(room.remaining() > 0, "a read without room");
        match self.arrivals.pop_front() {
            Some(Arrival::Bytes(bytes)) => {
                let (now, later) = bytes.split_at(bytes.len().min(room.remaining()));
                room.put_slice(now);
                if !later.is_empty() {
                    self.arrivals.push_front(Arrival::Bytes(later.to_vec()));
                }
                Poll::Ready(Ok(()))
            }
            Some(Arrival::Nothing) => {
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            Some(Arrival::Error(kind)) => Poll::Ready(Err(kind.into())),
            None if self.silent_at_end => Poll::Pending,
            None => Poll::Ready(Ok(())),
        }
    }
}

/// The far side of a [`Sink`]: what it got, and how it behaves.
#[derive(Debug)]
pub(crate) struct Far {
    pub(crate) received: Vec<u8>,
    pub(crate) writes: usize,
    pub(crate) flushes: usize,
    /// Where each slice of the last vectored write lay, and its length.
    pub(crate) slices: Vec<(usize, usize)>,
    pub(crate) vectored: bool,
    /// What one write takes at most.
    pub(crate) per_write: usize,
    /// How many more bytes are taken before writes have to wait.
    pub(crate) window: usize,
    pub(crate) fails: Option<io::ErrorKind>,
    waiting: Option<Waker>,
}

/// A socket to write to.
#[derive(Debug, Clone)]
pub(crate) struct Sink(Arc<Mutex<Far>>);

impl Sink {
    /// One that takes everything at once.
    pub(crate) fn new() -> Self {
        Self(Arc::new(Mutex::new(Far {
            received: Vec::new(),
            writes: 0,
            flushes: 0,
            slices: Vec::new(),
            vectored: false,
            per_write: usize::MAX,
            window: usize::MAX,
            fails: None,
            waiting: None,
        })))
    }

    /// One that takes nothing until its window is opened.
    pub(crate) fn stalled() -> Self {
        let sink = Self::new();
        sink.far().window = 0;
        sink
    }

    pub(crate) fn far(&self) -> MutexGuard<'_, Far> {
        self.0.lock().expect("no test panicked in here")
    }

    /// Writes and flushes so far.
    pub(crate) fn counts(&self) -> (usize, usize) {
        let far = self.far();
        (far.writes, far.flushes)
    }

    pub(crate) fn open_window(&self, bytes: usize) {
        let mut far = self.far();
        far.window = far.window.saturating_add(bytes);
        if let Some(waker) = far.waiting.take() {
            drop(far);
            waker.wake();
        }
    }

    pub(crate) fn frames(&self) -> Vec<Frame> {
        frames_of(&self.far().received)
    }

    pub(crate) fn ids(&self) -> Vec<u16> {
        self.frames().iter().map(|frame| frame.id).collect()
    }
}

impl AsyncWrite for Sink {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[io::IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut far = self.far();
        if let Some(kind) = far.fails {
            return Poll::Ready(Err(kind.into()));
        }
        let offered: usize = slices.iter().map(|slice| slice.len()).sum();
        assert!(offered > 0, "a write without bytes");
        if far.window == 0 {
            far.waiting = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let taken = offered.min(far.per_write).min(far.window);
        far.window -= taken;
        far.writes += 1;
        far.slices = slices.iter().map(|slice| (slice.as_ptr() as usize, slice.len())).collect();
        let bytes = slices.iter().flat_map(|slice| slice.iter().copied()).take(taken);
        far.received.extend(bytes);
        Poll::Ready(Ok(taken))
    }

    fn is_write_vectored(&self) -> bool {
        self.far().vectored
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.far().flushes += 1;
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// The bytes of these frames.
pub(crate) fn stream_of(frames: &[Frame]) -> Vec<u8> {
    let mut stream = Vec::new();
    for frame in frames {
        encode(frame.id, &frame.body, &mut stream).expect("test frames fit");
    }
    stream
}

/// The frames in these bytes, which must end with one.
pub(crate) fn frames_of(mut bytes: &[u8]) -> Vec<Frame> {
    let mut frames = Vec::new();
    while let Some((frame, len)) = decode_slice(bytes, &Limits::unrestricted()).expect("no limits") {
        frames.push(frame.to_frame());
        bytes = &bytes[len..];
    }
    assert!(bytes.is_empty(), "a torn frame at the end");
    frames
}

/// Counts how often it is woken.
#[derive(Debug, Default)]
pub(crate) struct Wakes(AtomicUsize);

impl Wakes {
    pub(crate) fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

pub(crate) fn poll<F: Future + ?Sized>(future: &mut Pin<Box<F>>) -> Poll<F::Output> {
    future.as_mut().poll(&mut Context::from_waker(Waker::noop()))
}

/// Polls once, with a waker that counts.
pub(crate) fn poll_counting<F: Future + ?Sized>(future: &mut Pin<Box<F>>, wakes: &Arc<Wakes>) -> Poll<F::Output> {
    future.as_mut().poll(&mut Context::from_waker(&Waker::from(wakes.clone())))
}

/// Polls a future as long as it wakes itself. `None`: it waits for something
/// else.
pub(crate) fn run_until_stalled<F: Future>(future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    let wakes = Arc::new(Wakes::default());
    let waker = Waker::from(wakes.clone());
    loop {
        let before = wakes.count();
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return Some(output),
            Poll::Pending if wakes.count() == before => return None,
            Poll::Pending => {}
        }
    }
}

/// Waits for what a test expects to happen soon.
pub(crate) async fn soon<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(Duration::from_secs(20), future).await.expect("it did not happen within 20 seconds")
}

/// The frames that a reader gives until its stream ends or fails, and whether it
/// ended well. The reader's futures are dropped at every wait.
pub(crate) fn read_to_end<R, L>(reader: &mut FrameReader<R, L>) -> (Vec<Frame>, Result<(), uschat_wire::ReadError>)
where
    R: AsyncRead + Unpin,
    L: Layout,
{
    let mut received = Vec::new();
    loop {
        let mut frames = Box::pin(reader.frames());
        match poll(&mut frames) {
            Poll::Pending => {}
            Poll::Ready(Ok(None)) => return (received, Ok(())),
            Poll::Ready(Err(error)) => return (received, Err(error)),
            Poll::Ready(Ok(Some(frames))) => {
                for frame in frames {
                    match frame {
                        Ok(frame) => received.push(frame.to_frame()),
                        Err(error) if error.can_continue() => {}
                        Err(error) => return (received, Err(error.into())),
                    }
                }
            }
        }
    }
}
