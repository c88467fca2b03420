//! The near end of a connection's queue: where frames go in.

use std::boxed::Box;
use std::fmt;

use thiserror::Error;

use super::queue::{Local, Place, Put, Queue, Shared, Sharing, Threads};
use crate::error::EncodeError;
use crate::frame::Frame;
use crate::layout::{Id16Length16, Layout};

/// Gives frames to a [`FrameWriter`](crate::FrameWriter), for one connection.
/// Clones send on the same connection, each from its own task.
///
/// A frame is copied into the buffer that the next write takes, so frames that
/// many tasks send one by one leave in few writes, without a timer. Frames of one
/// sender keep their order.
///
/// The writer ends when the last sender of a connection is dropped and all is
/// written.
///
/// # At the bounds
///
/// When as much waits as [`WriterConfig`](crate::WriterConfig) allows,
/// [`send`](Self::send) waits and [`try_send`](Self::try_send) refuses. Those
/// who wait are served in the order in which they came, at least one from each
/// buffer that the writer takes, whatever others send meanwhile.
pub struct FrameSender<L: Layout = Id16Length16, S: Sharing = Threads> {
    shared: S::Pointer<Shared<L, S>>,
}

/// A [`FrameSender`] for the tasks of one thread, which saves the lock.
pub type LocalFrameSender<L = Id16Length16> = FrameSender<L, Local>;

impl<L: Layout, S: Sharing> FrameSender<L, S> {
    pub(super) fn new(shared: S::Pointer<Shared<L, S>>) -> Self {
        Self { shared }
    }

    /// Sends a frame with a copy of this body: ready at once while there is room,
    /// else when it is this sender's turn. It does not wait for the write.
    ///
    /// # Errors
    ///
    /// A [`SendError`]. The frame was not sent and will not be.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped before it is ready, the frame was not sent. One
    /// that waits keeps its place in the row: do not hold it without polling it,
    /// for those behind it wait too.
    #[inline]
    pub async fn send(&self, id: u16, body: &[u8]) -> Result<(), SendError> {
        if self.shared.push_now(|buffer| buffer.push(id, body)) {
            return Ok(());
        }
        self.send_slowly(&|buffer| buffer.push(id, body)).await
    }

    /// Sends a frame. A body of
    /// [`MIN_SHARED_BODY`](crate::WriteBuffer::MIN_SHARED_BODY) bytes or more is not
    /// copied: the socket takes it from where it lies, if it writes vectored.
    ///
    /// # Errors and cancel safety
    ///
    /// As [`send`](Self::send). A clone of the frame, which shares its body, can
    /// be sent again.
    #[inline]
    pub async fn send_frame(&self, frame: Frame) -> Result<(), SendError> {
        // Cloned only when it goes in.
        if self.shared.push_now(|buffer| buffer.push_frame(frame.clone())) {
            return Ok(());
        }
        self.send_slowly(&|buffer| buffer.push_frame(frame.clone())).await
    }

    /// Sends a frame with a copy of this body if there is room now.
    ///
    /// # Errors
    ///
    /// A [`TrySendError`]. The frame was not sent and will not be.
    #[inline]
    pub fn try_send(&self, id: u16, body: &[u8]) -> Result<(), TrySendError> {
        if self.shared.push_now(|buffer| buffer.push(id, body)) {
            return Ok(());
        }
        self.try_slowly(&|buffer| buffer.push(id, body))
    }

    /// Sends a frame if there is room now, without a copy of a long body, as
    /// [`send_frame`](Self::send_frame).
    ///
    /// # Errors
    ///
    /// A [`TrySendError`]. The frame was not sent and will not be.
    #[inline]
    pub fn try_send_frame(&self, frame: Frame) -> Result<(), TrySendError> {
        if self.shared.push_now(|buffer| buffer.push_frame(frame.clone())) {
            return Ok(());
        }
        self.try_slowly(&|buffer| buffer.push_frame(frame.clone()))
    }

    /// Whether the writer is gone or has failed: nothing can be sent any more.
    pub fn is_closed(&self) -> bool {
        self.shared.with(|queue| queue.is_closed())
    }

    #[cold]
    fn try_slowly(&self, put: Put<'_, L>) -> Result<(), TrySendError> {
        self.shared.push(put, Place::Any)
    }

    #[cold]
    async fn send_slowly(&self, put: Put<'_, L>) -> Result<(), SendError> {
        let pushed = match self.shared.push(put, Place::Any) {
            Err(TrySendError::Full) => self.send_in_turn(put).await,
            pushed => pushed,
        };
        pushed.map_err(|error| match error {
            TrySendError::Frame(error) => SendError::Frame(error),
            TrySendError::Full | TrySendError::Closed => SendError::Closed,
        })
    }

    /// Waits for room. Never says [`TrySendError::Full`].
    async fn send_in_turn(&self, put: Put<'_, L>) -> Result<(), TrySendError> {
        // Dropped in reverse order: the next sender gets its turn when this one's has ended.
        let _turn = self.shared.turn.lock().await;
        let _end_of_turn = EndOfTurn(&*self.shared);
        loop {
            match self.shared.push(put, Place::Reserved) {
                Err(TrySendError::Full) => self.shared.room.notified().await,
                pushed => return pushed,
            }
        }
    }
}

/// Ends the turn of a sender, also if its future is dropped.
struct EndOfTurn<'a, L: Layout, S: Sharing>(&'a Shared<L, S>);

impl<L: Layout, S: Sharing> Drop for EndOfTurn<'_, L, S> {
    fn drop(&mut self) {
        if self.0.with(Queue::end_turn) {
            self.0.work.notify_one();
        }
    }
}

impl<L: Layout, S: Sharing> Clone for FrameSender<L, S> {
    fn clone(&self) -> Self {
        self.shared.with(Queue::add_sender);
        Self { shared: self.shared.clone() }
    }
}

impl<L: Layout, S: Sharing> Drop for FrameSender<L, S> {
    fn drop(&mut self) {
        if self.shared.with(Queue::remove_sender) {
            self.shared.work.notify_one();
        }
    }
}

/// Shows nothing of what waits.
impl<L: Layout, S: Sharing> fmt::Debug for FrameSender<L, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FrameSender").field("closed", &self.is_closed()).finish_non_exhaustive()
    }
}

/// A frame was not sent.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SendError {
    /// The connection has ended: its writer failed or was dropped. A retry does
    /// not help.
    #[error("the connection has no writer any more")]
    Closed,
    /// This frame cannot be sent. The connection survives. Boxed, because every
    /// `send` that succeeds is faster if its result fits into two registers.
    #[error(transparent)]
    Frame(Box<EncodeError>),
}

/// A frame was not sent at once.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TrySendError {
    /// As much waits as may wait: the peer reads more slowly than this side
    /// sends. Try later, or use `send`, which waits.
    #[error("too much waits to be sent")]
    Full,
    /// The connection has ended: its writer failed or was dropped. A retry does
    /// not help.
    #[error("the connection has no writer any more")]
    Closed,
    /// This frame cannot be sent. The connection survives.
    #[error(transparent)]
    Frame(Box<EncodeError>),
}

impl From<EncodeError> for TrySendError {
    fn from(error: EncodeError) -> Self {
        Self::Frame(Box::new(error))
    }
}
