//! The far end of a connection's queue: from where frames reach the socket.

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::mem;
use std::task::Poll;

use bytes::Buf;
use tokio::io::{AsyncWrite, AsyncWriteExt};

use super::queue::{Local, Shared, Sharing, Threads, Work};
use super::sender::{FrameSender, LocalFrameSender};
use crate::layout::{Id16Length16, Layout};
use crate::limits::Limits;
use crate::write_buffer::WriteBuffer;

/// How much may wait to be written, and what may be sent.
///
/// What the writer has taken and is writing comes on top of what waits: up to
/// as much again.
#[derive(Debug, Clone)]
pub struct WriterConfig {
    /// A frame goes in while fewer bytes than this wait, headers counted. So the
    /// last frame may reach beyond it, and one that is longer can be sent too.
    /// Default 40 KiB, so that
    /// what is written fits a first-level cache; at least 1.
    pub max_bytes: usize,
    /// Frames that may wait. Default 4096, at least 1.
    pub max_frames: usize,
    /// What may be sent. Default: whatever a header can express.
    pub limits: Limits,
}

impl Default for WriterConfig {
    fn default() -> Self {
        Self { max_bytes: 40 * 1024, max_frames: 4096, limits: Limits::unrestricted() }
    }
}

/// Writes to a socket what its [`FrameSender`]s send: everything that waits in
/// one write, while the next frames gather in a second buffer.
///
/// [`run`](Self::run) does the work and has to be polled, usually by a task of
/// its own. Before it looks for frames it lets all other tasks that are ready
/// run once, so that what they send shares one write. There is no timer.
///
/// A writer that is dropped closes its senders: each `send`, also one that waits,
/// gives [`SendError::Closed`](crate::SendError::Closed).
///
/// # Memory
///
/// The two buffers grow with what is sent. When all is written and flushed, the
/// writer frees both.
///
/// # Example
///
/// ```
/// use uschat_wire::{FrameWriter, WriterConfig};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let socket = Vec::new(); // any `AsyncWrite`
/// let (sender, mut writer) = FrameWriter::new(socket, WriterConfig::default());
/// let other = sender.clone();
/// let (written, hello, heartbeat) = tokio::join!(
///     writer.run(), // ends when all senders are dropped
///     async move { sender.send(1017, b"hello").await },
///     async move { other.send(1023, b"").await },
/// );
/// (hello?, heartbeat?, written?);
/// assert_eq!(writer.into_inner(), b"\x03\xF9\x00\x05hello\x03\xFF\x00\x00");
/// # Ok(())
/// # }
/// ```
pub struct FrameWriter<W, L: Layout = Id16Length16, S: Sharing = Threads> {
    io: W,
    /// What was taken from the queue and is being written.
    taken: WriteBuffer<L>,
    flushed: bool,
    failed: Option<io::ErrorKind>,
    queue: WriterEnd<L, S>,
}

/// The writer's share of the queue, which closes with it.
struct WriterEnd<L: Layout, S: Sharing>(S::Pointer<Shared<L, S>>);

impl<L: Layout, S: Sharing> Drop for WriterEnd<L, S> {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl<W: AsyncWrite + Unpin> FrameWriter<W> {
    /// A writer in the default layout, and its first sender.
    pub fn new(io: W, config: WriterConfig) -> (FrameSender, Self) {
        Self::with_layout(io, config)
    }
}

impl<W: AsyncWrite + Unpin> FrameWriter<W, Id16Length16, Local> {
    /// A writer in the default layout, and its first sender, which stay on one
    /// thread.
    ///
    /// ```
    /// use tokio::task::LocalSet;
    /// use uschat_wire::{FrameWriter, WriterConfig};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let (sender, mut writer) = FrameWriter::new_local(Vec::new(), WriterConfig::default());
    /// let tasks = LocalSet::new();
    /// for id in 1..=3 {
    ///     let sender = sender.clone();
    ///     tasks.spawn_local(async move { sender.send(id, b"hi").await });
    /// }
    /// drop(sender);
    /// tasks.run_until(writer.run()).await?;
    /// assert_eq!(writer.into_inner().len(), 3 * (4 + 2));
    /// # Ok(())
    /// # }
    /// ```
    pub fn new_local(io: W, config: WriterConfig) -> (LocalFrameSender, Self) {
        Self::with_layout(io, config)
    }
}

impl<W: AsyncWrite + Unpin, L: Layout, S: Sharing> FrameWriter<W, L, S> {
    /// A writer in the layout and for the threads that the type says, and its
    /// first sender.
    ///
    /// ```
    /// use uschat_wire::{FrameWriter, Id16Length32, Threads, WriterConfig};
    ///
    /// let config = WriterConfig::default();
    /// let (sender, writer) = FrameWriter::<_, Id16Length32, Threads>::with_layout(Vec::new(), config);
    /// # drop((sender, writer));
    /// ```
    pub fn with_layout(io: W, config: WriterConfig) -> (FrameSender<L, S>, Self) {
        let taken = WriteBuffer::with_layout(config.limits.clone());
        let shared = Shared::<L, S>::new(config);
        let sender = FrameSender::new(shared.clone());
        (sender, Self { io, taken, flushed: true, failed: None, queue: WriterEnd(shared) })
    }

    /// Writes what is sent, until every sender has been dropped and all is
    /// written and flushed. The socket is not shut down.
    ///
    /// # Errors
    ///
    /// The transport's error. What was not written is lost, the senders are
    /// closed, and every later call fails with an error of the same kind.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing: the next call goes on where it stopped,
    /// be it in the middle of a frame.
    pub async fn run(&mut self) -> io::Result<()> {
        if let Some(kind) = self.failed {
            return Err(kind.into());
        }
        let written = self.write_all().await;
        if let Err(error) = &written {
            self.failed = Some(error.kind());
            self.queue.0.close();
            self.taken.clear();
            self.taken.release();
        }
        written
    }

    async fn write_all(&mut self) -> io::Result<()> {
        loop {
            if self.taken.has_remaining() {
                self.write_taken().await?;
                let_others_run().await;
            }
            match self.queue.0.with(|queue| queue.work(&mut self.taken, self.flushed)) {
                Work::Write { awaited: true } => self.queue.0.room.notify_one(),
                Work::Write { awaited: false } => {}
                Work::Flush => {
                    self.io.flush().await?;
                    self.flushed = true;
                }
                Work::Sleep => {
                    self.taken.release();
                    self.sleep().await;
                }
                Work::Pause => self.sleep().await,
                Work::End => {
                    self.taken.release();
                    return Ok(());
                }
            }
        }
    }

    async fn sleep(&mut self) {
        self.queue.0.work.notified().await;
        let_others_run().await;
    }

    async fn write_taken(&mut self) -> io::Result<()> {
        self.flushed = false;
        while self.taken.has_remaining() {
            let chunk = self.taken.chunk();
            let written = if chunk.len() == self.taken.remaining() {
                let written = self.io.write(chunk).await?;
                self.taken.advance(written);
                written
            } else {
                // Vectored, if the socket can.
                self.io.write_buf(&mut self.taken).await?
            };
            if written == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
        }
        Ok(())
    }

    /// Bytes of memory held by both buffers, used or not, beside shared bodies.
    pub fn capacity(&self) -> usize {
        self.taken.capacity() + self.queue.0.with(|queue| queue.capacity())
    }

    /// What is written to.
    pub fn get_ref(&self) -> &W {
        &self.io
    }

    /// What is written to. Whoever writes to it may do so in the middle of a
    /// frame.
    pub fn get_mut(&mut self) -> &mut W {
        &mut self.io
    }

    /// What was written to. Frames that wait are lost and the senders closed.
    pub fn into_inner(self) -> W {
        self.io
    }
}

/// Lets every other task that is ready run first.
async fn let_others_run() {
    let mut ran = false;
    poll_fn(|cx| {
        if mem::replace(&mut ran, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Says what state it is in, and nothing of what waits.
impl<W: fmt::Debug, L: Layout, S: Sharing> fmt::Debug for FrameWriter<W, L, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FrameWriter")
            .field("io", &self.io)
            .field("writing", &self.taken.remaining())
            .field("failed", &self.failed)
            .finish_non_exhaustive()
    }
}
