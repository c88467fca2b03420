//! Frames from a socket, as many as a read brings.

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::vec::Vec;

use thiserror::Error;
use tokio::io::{AsyncRead, ReadBuf};

use super::storage;
use crate::error::DecodeError;
use crate::frame::FrameRef;
use crate::frames::Frames;
use crate::layout::{Id16Length16, Layout};
use crate::limits::Limits;
use crate::read_buffer::ReadBuffer;

/// Anything less would cost more in reads than it saves.
const SMALLEST_READ: usize = 64;

/// So many bytes of an unfinished frame are moved whenever the reader begins or
/// ceases to wait, so that nothing but them is held meanwhile. More would cost
/// too much to move if they came one by one.
const MAX_MOVED: usize = 4 * 1024;

/// Reads frames from a socket: one read brings as many as it can, and all of
/// them are dealt with where they lie before the next one.
///
/// [`frames`](Self::frames) gives everything that is there,
/// [`next`](Self::next) one frame after another. Both are cancel-safe: no byte
/// is lost if their future is dropped, for instance by a time-out or a
/// `select!`. A frame borrows the reader; [`FrameRef::to_frame`] lets it live
/// on.
///
/// # Memory
///
/// While it waits for the peer to say something, a reader holds no memory. It
/// takes a buffer from a small stock of its thread when it is polled and gives
/// it back when there is nothing to read. Up to 4 KiB of an unfinished frame are
/// kept in as many bytes; more stay in the buffer, which grows with the bytes
/// that came (at most four times as many, or one read) and never with those that
/// a header announced. From the read until all its frames have been taken and
/// the reader is polled again, it holds its buffer. A thread keeps at most eight
/// buffers in stock.
///
/// # Example
///
/// ```
/// use uschat_wire::{FrameReader, Limits};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let socket: &[u8] = b"\x00\x01\x00\x02hi\x00\x02\x00\x00"; // any `AsyncRead`
/// let mut reader = FrameReader::new(socket, Limits::default());
/// let mut ids = Vec::new();
/// while let Some(frames) = reader.frames().await? {
///     for frame in frames {
///         ids.push(frame?.id);
///     }
/// }
/// assert_eq!(ids, [1, 2]);
/// # Ok(())
/// # }
/// ```
pub struct FrameReader<R, L: Layout = Id16Length16> {
    io: R,
    buffer: ReadBuffer<L>,
    read_size: usize,
}

impl<R: AsyncRead + Unpin> FrameReader<R> {
    /// Reads a stream from its start, in the default layout.
    pub fn new(io: R, limits: Limits) -> Self {
        Self::with_layout(io, limits)
    }
}

impl<R: AsyncRead + Unpin, L: Layout> FrameReader<R, L> {
    /// Reads a stream from its start, in the layout that the type says.
    pub fn with_layout(io: R, limits: Limits) -> Self {
        Self { io, buffer: ReadBuffer::with_layout(limits), read_size: DEFAULT_READ_SIZE }
    }

    /// Sets how many bytes one read may bring. Default 96 KiB, at least 64
    /// bytes. Readers of one thread share their stock of buffers if they agree
    /// on this.
    #[must_use]
    pub fn read_size(mut self, bytes: usize) -> Self {
        self.read_size = bytes.max(SMALLEST_READ);
        self
    }

    /// Waits until a whole frame is there, or an error about one, and gives all
    /// that are there. `None` means that the peer closed the stream between two
    /// frames.
    ///
    /// Reads only if nothing is there. Frames that the caller does not take
    /// from the iterator come first the next time.
    ///
    /// Bytes that are not acceptable are an item of the iterator, behind the
    /// good frames in front of them. If that error is final
    /// ([`DecodeError::can_continue`]), every later call gives it again.
    ///
    /// # Errors
    ///
    /// [`ReadError::Io`] and [`ReadError::UnexpectedEof`].
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing.
    #[inline]
    pub async fn frames(&mut self) -> Result<Option<Frames<'_, L>>, ReadError> {
        if self.wait().await? { Ok(Some(self.buffer.frames())) } else { Ok(None) }
    }

    /// Waits for the next frame. `None` means that the peer closed the stream
    /// between two frames.
    ///
    /// # Errors
    ///
    /// A [`ReadError`]. After [`DecodeError::UnknownId`] the next call goes on
    /// behind that frame; every other [`ReadError::Decode`] comes again.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing.
    ///
    /// # Example
    ///
    /// ```
    /// use uschat_wire::{FrameReader, Limits};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), uschat_wire::ReadError> {
    /// let mut reader = FrameReader::new(&b"\x00\x01\x00\x02hi"[..], Limits::default());
    /// let hello = reader.next().await?.map(|frame| frame.to_frame());
    /// assert_eq!(hello.unwrap().body, "hi");
    /// assert_eq!(reader.next().await?, None);
    /// # Ok(())
    /// # }
    /// ```
    #[inline]
    pub async fn next(&mut self) -> Result<Option<FrameRef<'_>>, ReadError> {
        if self.wait().await? { Ok(self.buffer.next_frame()?) } else { Ok(None) }
    }

    /// Reads once, for callers that look after deadlines between two reads;
    /// [`buffered`](Self::buffered) then has the frames. Gives the number of
    /// bytes that came; 0 means that the peer closed the stream, inside a frame
    /// if [`is_mid_frame`](Self::is_mid_frame) says so.
    ///
    /// Take all buffered frames first: what is not taken stays in memory.
    ///
    /// # Errors
    ///
    /// The transport's error.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing.
    #[inline]
    pub async fn fill(&mut self) -> io::Result<usize> {
        poll_fn(|cx| self.poll_read(cx)).await
    }

    /// The whole frames that have been read and not taken yet.
    #[inline]
    pub fn buffered(&mut self) -> Frames<'_, L> {
        self.buffer.frames()
    }

    /// Whether the stream stands inside a frame: some of it has come and the
    /// rest is awaited. That is the moment to arm a time-out; between frames
    /// silence is normal.
    pub fn is_mid_frame(&self) -> bool {
        self.buffer.is_mid_frame()
    }

    /// Bytes of memory held for received bytes, used or not.
    pub fn capacity(&self) -> usize {
        self.buffer.capacity()
    }

    /// What is read from.
    pub fn get_ref(&self) -> &R {
        &self.io
    }

    /// What is read from. Whoever reads from it takes bytes out of the stream of
    /// frames.
    pub fn get_mut(&mut self) -> &mut R {
        &mut self.io
    }

    /// What was read from, and the bytes that came and are in no frame taken so
    /// far.
    pub fn into_parts(self) -> (R, Vec<u8>) {
        let unread = self.buffer.bytes().to_vec();
        (self.io, unread)
    }

    /// Waits until a frame or an error is ready. `false`: the stream ended
    /// between two frames.
    #[inline]
    async fn wait(&mut self) -> Result<bool, ReadError> {
        if self.buffer.needs() == 0 { Ok(true) } else { self.read_frame().await }
    }

    async fn read_frame(&mut self) -> Result<bool, ReadError> {
        loop {
            if self.fill().await? == 0 {
                return self.end();
            }
            if self.buffer.needs() == 0 {
                return Ok(true);
            }
        }
    }

    fn end(&self) -> Result<bool, ReadError> {
        match self.buffer.unfinished() {
            Some((received, missing)) => Err(ReadError::UnexpectedEof { received, missing }),
            None => Ok(false),
        }
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        self.make_room();
        let mut room = ReadBuf::new(self.buffer.spare(self.read_size / 2));
        let polled = Pin::new(&mut self.io).poll_read(cx, &mut room);
        let read = room.filled().len();
        if polled.is_pending() || read == 0 {
            self.give_room_back();
        }
        ready!(polled)?;
        self.buffer.advance(read);
        Poll::Ready(Ok(read))
    }

    #[inline]
    fn make_room(&mut self) {
        self.buffer.pass_refused();
        if self.buffer.capacity() < self.read_size && self.buffer.bytes().len() <= self.read_size / 2 {
            self.buffer.replace_storage(storage::take(self.read_size));
        }
    }

    fn give_room_back(&mut self) {
        if self.buffer.bytes().len() > MAX_MOVED {
            return;
        }
        let storage = self.buffer.replace_storage(Vec::new());
        if storage.len() == self.read_size {
            storage::give(storage);
        }
    }
}

/// Says what state it is in, and nothing of what was received.
impl<R: fmt::Debug, L: Layout> fmt::Debug for FrameReader<R, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FrameReader")
            .field("io", &self.io)
            .field("buffered", &self.buffer.bytes().len())
            .field("read_size", &self.read_size)
            .finish_non_exhaustive()
    }
}

/// Frames cannot be read from this connection any more, or one of them cannot.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The peer sent bytes that are not acceptable.
    /// [`DecodeError::can_continue`] tells whether the connection survives.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// The stream ended inside a frame: the peer went away in the middle of
    /// sending. Connect again if the message matters; what was received of it
    /// is of no use.
    #[error("the stream ended inside a frame: {received} bytes received, {missing} or more missing")]
    UnexpectedEof {
        /// Bytes of the unfinished frame that did arrive, header included. Of a
        /// frame that was refused none is kept, so there this is zero.
        received: usize,
        /// Bytes missing, at least: the rest of the header if that is
        /// unfinished, else the rest of the frame.
        missing: usize,
    },
    /// The transport failed. Its error tells why; connect again.
    #[error("the transport failed")]
    Io(#[from] io::Error),
}

/// Room offered to one read.
const DEFAULT_READ_SIZE: usize = 96 * 1024;
