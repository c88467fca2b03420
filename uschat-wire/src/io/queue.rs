//! What the senders of a connection and its writer share.

use std::cell::RefCell;
use std::mem;
use std::ops::Deref;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Buf;
use tokio::sync::Notify;

use super::sender::TrySendError;
use super::writer::WriterConfig;
use crate::error::EncodeError;
use crate::layout::{Layout, header_len};
use crate::write_buffer::WriteBuffer;

/// How the senders of a connection reach its writer: from any thread
/// ([`Threads`]) or from the tasks of one ([`Local`]).
pub trait Sharing: sealed::Sharing {}

/// Senders and writer may be on different threads.
#[derive(Debug)]
pub struct Threads;

/// Senders and writer stay on one thread, and pay for no lock.
#[derive(Debug)]
pub struct Local;

impl Sharing for Threads {}
impl Sharing for Local {}

pub(super) mod sealed {
    use super::Deref;

    pub trait Sharing: Sized + 'static {
        type Pointer<T>: Clone + Deref<Target = T>;
        type Cell<T>;

        fn pointer<T>(value: T) -> Self::Pointer<T>;
        fn cell<T>(value: T) -> Self::Cell<T>;
        fn with<T, R>(cell: &Self::Cell<T>, use_it: impl FnOnce(&mut T) -> R) -> R;
    }
}

impl sealed::Sharing for Threads {
    type Pointer<T> = Arc<T>;
    type Cell<T> = Mutex<T>;

    fn pointer<T>(value: T) -> Arc<T> {
        Arc::new(value)
    }

    fn cell<T>(value: T) -> Mutex<T> {
        Mutex::new(value)
    }

    #[inline(always)]
    fn with<T, R>(cell: &Mutex<T>, use_it: impl FnOnce(&mut T) -> R) -> R {
        // A panic leaves the queue whole: frames are counted when they are in it.
        use_it(&mut cell.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl sealed::Sharing for Local {
    type Pointer<T> = Rc<T>;
    type Cell<T> = RefCell<T>;

    fn pointer<T>(value: T) -> Rc<T> {
        Rc::new(value)
    }

    fn cell<T>(value: T) -> RefCell<T> {
        RefCell::new(value)
    }

    #[inline(always)]
    fn with<T, R>(cell: &RefCell<T>, use_it: impl FnOnce(&mut T) -> R) -> R {
        use_it(&mut cell.borrow_mut())
    }
}

/// The queue of a connection, and what is waited for at its two ends.
///
/// Whoever is to be woken is woken after the queue has been let go, because a
/// waker may run anything.
pub(super) struct Shared<L: Layout, S: Sharing> {
    queue: S::Cell<Queue<L>>,
    /// The writer waits for something to do.
    pub(super) work: Notify,
    /// Held by the sender that waits for room; the others wait for it, in the
    /// order in which they came.
    pub(super) turn: tokio::sync::Mutex<()>,
    /// The sender whose turn it is waits for room.
    pub(super) room: Notify,
}

impl<L: Layout, S: Sharing> Shared<L, S> {
    pub(super) fn new(config: WriterConfig) -> S::Pointer<Self> {
        S::pointer(Self {
            queue: S::cell(Queue::new(config)),
            work: Notify::new(),
            turn: tokio::sync::Mutex::new(()),
            room: Notify::new(),
        })
    }

    #[inline(always)]
    pub(super) fn with<R>(&self, use_it: impl FnOnce(&mut Queue<L>) -> R) -> R {
        S::with(&self.queue, use_it)
    }

    /// Puts a frame into the queue if nothing else is to be done. If this gives
    /// `false`, [`push`](Self::push) does the rest or says why not: an error that
    /// is never made here costs nothing.
    #[inline(always)]
    pub(super) fn push_now(&self, put: impl FnOnce(&mut WriteBuffer<L>) -> Result<(), EncodeError>) -> bool {
        self.with(|queue| queue.waiting.remaining() < queue.limit && put(&mut queue.waiting).is_ok())
    }

    /// Puts a frame into the queue, and wakes the writer if it sleeps.
    pub(super) fn push(&self, put: Put<'_, L>, place: Place) -> Result<(), TrySendError> {
        if self.with(|queue| queue.push(put, place))? {
            self.work.notify_one();
        }
        Ok(())
    }

    /// No more frames are taken, and those that wait are thrown away.
    pub(super) fn close(&self) {
        self.with(Queue::close);
        self.room.notify_one();
    }
}

/// Frames that wait for the writer to take them, all at once.
pub(super) struct Queue<L: Layout> {
    waiting: WriteBuffer<L>,
    /// While fewer bytes than this wait, a frame goes in without further thought.
    /// Zero while the writer sleeps and when the queue is closed: so the sender
    /// has one comparison to make, and [`push`](Self::push) sees to the rest.
    limit: usize,
    max_bytes: usize,
    max_frames: usize,
    senders: usize,
    /// The writer has seen an empty queue and has to be woken.
    asleep: bool,
    closed: bool,
    /// A sender waits for room.
    awaited: bool,
    /// One place is kept for that sender, so that others, who come later and
    /// find room, cannot take it all again and again.
    reserved: bool,
}

/// Puts a frame into a buffer.
pub(super) type Put<'a, L> = &'a (dyn Fn(&mut WriteBuffer<L>) -> Result<(), EncodeError> + Sync);

/// Which place a frame may take.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Any,
    /// Also the one kept for the sender that waits for room.
    Reserved,
}

/// What the writer has to do next.
pub(super) enum Work {
    /// Write these frames. `awaited`: a sender waited for the room they took.
    Write { awaited: bool },
    /// Flush what was written.
    Flush,
    /// Sleep until woken, and hold no memory meanwhile.
    Sleep,
    /// Sleep until woken, but keep the buffers: a sender was woken because there
    /// is room, and has not come yet.
    Pause,
    /// Nothing any more: there are no senders.
    End,
}

impl<L: Layout> Queue<L> {
    fn new(config: WriterConfig) -> Self {
        Self {
            waiting: WriteBuffer::with_layout(config.limits),
            limit: 0,
            max_bytes: config.max_bytes.max(1),
            max_frames: config.max_frames.max(1),
            senders: 1,
            asleep: false,
            closed: false,
            awaited: false,
            reserved: false,
        }
    }

    /// Puts a frame into the queue. `true`: the writer has to be woken.
    fn push(&mut self, put: Put<'_, L>, place: Place) -> Result<bool, TrySendError> {
        if self.closed {
            return Err(TrySendError::Closed);
        }
        let kept = place == Place::Reserved && self.reserved;
        let frames = self.waiting.frame_count() + usize::from(self.reserved);
        if !kept && (self.waiting.remaining() >= self.max_bytes || frames >= self.max_frames) {
            self.awaited |= place == Place::Reserved;
            return Err(TrySendError::Full);
        }
        put(&mut self.waiting)?;
        self.set_limit();
        Ok(mem::take(&mut self.asleep))
    }

    /// However short the frames are: before there can be too many of them, the
    /// limit is reached, and set anew.
    fn set_limit(&mut self) {
        let frames = self.waiting.frame_count() + usize::from(self.reserved);
        let shortest = self.max_frames.saturating_sub(frames).saturating_mul(header_len::<L>());
        self.limit = self.max_bytes.min(self.waiting.remaining().saturating_add(shortest));
    }

    /// The sender whose turn it was has its frame in the queue, or gave up.
    /// `true`: the writer has to be woken, because it waits for that sender.
    pub(super) fn end_turn(&mut self) -> bool {
        self.reserved = false;
        mem::take(&mut self.awaited) && mem::take(&mut self.asleep)
    }

    /// What the writer does next. `taken` is empty, and gets the frames to write.
    pub(super) fn work(&mut self, taken: &mut WriteBuffer<L>, flushed: bool) -> Work {
        if self.waiting.has_remaining() {
            mem::swap(&mut self.waiting, taken);
            self.reserved = self.awaited;
            self.set_limit();
            return Work::Write { awaited: self.awaited };
        }
        if !flushed {
            return Work::Flush;
        }
        if !self.awaited {
            self.waiting.release();
        }
        if self.senders == 0 {
            return Work::End;
        }
        self.asleep = true;
        self.limit = 0;
        if self.awaited { Work::Pause } else { Work::Sleep }
    }

    fn close(&mut self) {
        self.closed = true;
        self.limit = 0;
        self.waiting.clear();
        self.waiting.release();
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed
    }

    pub(super) fn capacity(&self) -> usize {
        self.waiting.capacity()
    }

    pub(super) fn add_sender(&mut self) {
        self.senders += 1;
    }

    /// `true`: the writer has to be woken, to end.
    pub(super) fn remove_sender(&mut self) -> bool {
        self.senders -= 1;
        self.senders == 0 && mem::take(&mut self.asleep)
    }
}
