//! Received bytes, and the frames in them.

use alloc::vec;
use alloc::vec::Vec;
use core::fmt;
use core::mem;

use crate::copy::copy_short;
use crate::decoder::FrameDecoder;
use crate::error::DecodeError;
use crate::frame::FrameRef;
use crate::frames::Frames;
use crate::layout::{Id16Length16, Layout};
use crate::limits::Limits;

/// The bytes that one connection received and has not dealt with yet, and the
/// decoder of the frames in them.
///
/// Fill it with [`extend`](Self::extend), or read straight into
/// [`spare`](Self::spare) and tell how much came with
/// [`advance`](Self::advance). Then take all [`frames`](Self::frames) that are
/// whole, before the next read. They are borrowed: nothing is allocated or
/// copied, and the room they took is used again.
///
/// # Memory
///
/// A new buffer holds none. It grows to what is asked for with
/// [`spare`](Self::spare) and, beyond that, with the bytes that came, never with
/// the bytes a header announced. [`release`](Self::release) gives everything
/// back that holds no bytes. The work per byte does not depend on how the
/// network cut the stream.
///
/// # Example
///
/// ```
/// use std::io::Read;
/// use uschat_wire::{Limits, ReadBuffer};
///
/// let mut socket: &[u8] = b"\x00\x01\x00\x02hi\x00\x02\x00\x00"; // any `Read`
/// let mut buffer: ReadBuffer = ReadBuffer::new(Limits::default());
/// let mut ids = Vec::new();
/// loop {
///     let read = socket.read(buffer.spare(4096))?;
///     if read == 0 {
///         break;
///     }
///     buffer.advance(read);
///     for frame in buffer.frames() {
///         ids.push(frame?.id);
///     }
/// }
/// assert_eq!(ids, [1, 2]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct ReadBuffer<L: Layout = Id16Length16> {
    decoder: FrameDecoder<L>,
    /// All of it may be written to; what counts lies between `start` and `end`.
    storage: Vec<u8>,
    /// Place in the stream of the first byte of `storage`. How far the decoder
    /// is beyond it tells where the bytes begin that are not dealt with.
    origin: u64,
    end: usize,
}

impl ReadBuffer {
    /// An empty buffer for the start of a stream, in the default layout.
    pub fn new(limits: Limits) -> Self {
        Self::with_layout(limits)
    }
}

impl<L: Layout> ReadBuffer<L> {
    /// An empty buffer for the start of a stream, in the layout that the type
    /// says.
    pub fn with_layout(limits: Limits) -> Self {
        Self { decoder: FrameDecoder::with_layout(limits), storage: Vec::new(), origin: 0, end: 0 }
    }

    /// Appends received bytes.
    #[inline]
    pub fn extend(&mut self, bytes: &[u8]) {
        if self.storage.len() - self.end < bytes.len() {
            self.make_room(bytes.len());
        }
        copy_short(bytes, &mut self.storage[self.end..][..bytes.len()]);
        self.end += bytes.len();
    }

    /// Room for at least `min` bytes, to read into. What the room holds before
    /// is of no meaning.
    #[inline]
    pub fn spare(&mut self, min: usize) -> &mut [u8] {
        if self.storage.len() - self.end < min || self.is_empty() {
            self.make_room(min);
        }
        &mut self.storage[self.end..]
    }

    /// Takes the first `read` bytes of [`spare`](Self::spare) as received.
    ///
    /// # Panics
    ///
    /// If there was less room than that.
    #[inline]
    pub fn advance(&mut self, read: usize) {
        assert!(read <= self.storage.len() - self.end, "more bytes than there was room for");
        self.end += read;
    }

    /// The whole frames received so far, where they lie. Those that the iterator
    /// does not give, because it was dropped, come first the next time.
    #[inline]
    pub fn frames(&mut self) -> Frames<'_, L> {
        let start = self.start();
        self.decoder.frames(&self.storage[start..self.end])
    }

    /// The next whole frame, or `Ok(None)` if it is not complete yet.
    ///
    /// # Errors
    ///
    /// As [`FrameDecoder::decode`].
    #[inline]
    pub fn next_frame(&mut self) -> Result<Option<FrameRef<'_>>, DecodeError> {
        self.frames().next().transpose()
    }

    /// How many more bytes the next frame needs, at least: zero means that a
    /// frame or an error is ready ([`FrameDecoder::needs`]).
    pub fn needs(&self) -> usize {
        self.decoder.needs(self.bytes())
    }

    /// The received bytes that are in no frame taken so far.
    #[inline]
    pub fn bytes(&self) -> &[u8] {
        &self.storage[self.start()..self.end]
    }

    /// Whether every received byte has been dealt with.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.start() == self.end
    }

    /// Bytes of memory held, used or not.
    pub fn capacity(&self) -> usize {
        self.storage.capacity()
    }

    /// Gives the memory back that holds no received bytes; all of it, if there
    /// are none. For connections that fall silent.
    pub fn release(&mut self) {
        self.replace_storage(Vec::new());
    }

    /// Throws the rest of a refused frame away, as far as it has come.
    #[cfg(feature = "tokio")]
    pub(crate) fn pass_refused(&mut self) {
        let start = self.start();
        self.decoder.pass_refused(&self.storage[start..self.end]);
    }

    /// As [`FrameDecoder::unfinished`].
    #[cfg(feature = "tokio")]
    pub(crate) fn unfinished(&self) -> Option<(usize, usize)> {
        self.decoder.unfinished(self.bytes())
    }

    /// Whether the stream stands inside a frame.
    #[cfg(feature = "tokio")]
    pub(crate) fn is_mid_frame(&self) -> bool {
        self.decoder.is_mid_frame(self.bytes())
    }

    /// Moves the received bytes into `storage` and returns what they lay in.
    pub(crate) fn replace_storage(&mut self, mut storage: Vec<u8>) -> Vec<u8> {
        let bytes = self.bytes();
        let len = bytes.len();
        if storage.len() < len {
            storage = vec![0; len];
        }
        storage[..len].copy_from_slice(bytes);
        self.moved_to_front(len);
        mem::replace(&mut self.storage, storage)
    }

    /// Where the bytes begin that are not dealt with.
    #[inline(always)]
    fn start(&self) -> usize {
        (self.decoder.offset() - self.origin) as usize
    }

    fn moved_to_front(&mut self, len: usize) {
        self.origin = self.decoder.offset();
        self.end = len;
    }

    /// Makes the room behind the received bytes at least `min`.
    #[inline(never)]
    fn make_room(&mut self, min: usize) {
        let start = self.start();
        let len = self.end - start;
        let fits = self.storage.len() - len >= min;
        if fits && start >= len {
            // At most as many bytes move as were dealt with, so a byte moves about once.
            self.storage.copy_within(start..self.end, 0);
            self.moved_to_front(len);
            return;
        }
        let needed = match len {
            0 => min,
            // Little was dealt with. Without more room than before, the bytes would move again with every few that come.
            _ if fits => 2 * self.storage.len(),
            // As far as the frame goes, but never by a claim alone, and always by a share of what is there.
            _ => (len + min + self.needs()).clamp(len + min + len / 2, 2 * (len + min)),
        };
        let needed = needed.max(SMALLEST_STORAGE);
        if start == 0 && len > 0 {
            self.storage.resize(needed, 0);
        } else {
            self.replace_storage(vec![0; needed]);
        }
    }
}

/// Shows nothing of what was received.
impl<L: Layout> fmt::Debug for ReadBuffer<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadBuffer")
            .field("decoder", &self.decoder)
            .field("received", &self.bytes().len())
            .finish_non_exhaustive()
    }
}

/// Anything less would cost more in growing than it saves.
const SMALLEST_STORAGE: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(bytes: &[u8]) -> ReadBuffer {
        let mut buffer = ReadBuffer::new(Limits::unrestricted());
        buffer.extend(bytes);
        buffer
    }

    fn ids(buffer: &mut ReadBuffer) -> Vec<u16> {
        buffer.frames().map(|frame| frame.unwrap().id).collect()
    }

    #[test]
    fn a_new_buffer_holds_no_memory_and_an_empty_one_gives_it_back() {
        let mut buffer = ReadBuffer::new(Limits::default());
        assert_eq!(buffer.capacity(), 0);
        buffer.spare(4096);
        assert_eq!(buffer.capacity(), 4096);
        buffer.release();
        assert_eq!(buffer.capacity(), 0);
    }

    #[test]
    fn released_bytes_are_kept_in_no_more_room_than_they_need() {
        let mut buffer = ReadBuffer::new(Limits::default());
        let bytes = b"\x00\x01\x00\x00\x00\x02\x00\x02a";
        buffer.spare(65_536)[..bytes.len()].copy_from_slice(bytes);
        buffer.advance(bytes.len());
        assert_eq!(ids(&mut buffer), [1]);
        buffer.release();
        assert_eq!((buffer.bytes(), buffer.capacity()), (&bytes[4..], 5));
        buffer.extend(b"b");
        let frame = buffer.next_frame().unwrap().unwrap();
        assert_eq!((frame.id, frame.body), (2, &b"ab"[..]));
        assert!(buffer.is_empty());
    }

    #[test]
    fn frames_that_were_not_taken_come_first_the_next_time() {
        let mut buffer = filled(b"\x00\x01\x00\x00\x00\x02\x00\x00\x00\x03\x00\x00");
        assert_eq!(buffer.frames().next().unwrap().unwrap().id, 1);
        assert_eq!(buffer.next_frame().unwrap().unwrap().id, 2);
        assert_eq!(ids(&mut buffer), [3]);
        assert_eq!((buffer.needs(), buffer.is_empty()), (4, true));
    }

    #[test]
    fn a_claimed_length_costs_no_memory() {
        let mut buffer = filled(b"\x00\x01\xFF\xFF");
        assert_eq!(buffer.next_frame(), Ok(None));
        assert_eq!((buffer.capacity(), buffer.needs()), (64, 65_535));
    }

    #[test]
    fn a_steady_stream_needs_no_more_room_than_a_read_and_a_frame() {
        let frame = [&b"\x00\x01\x03\xE8"[..], &[7; 1000]].concat();
        let stream = frame.repeat(1000);
        let mut buffer = ReadBuffer::new(Limits::default());
        let mut seen = 0;
        for read in stream.chunks(1448) {
            buffer.spare(1448)[..read.len()].copy_from_slice(read);
            buffer.advance(read.len());
            seen += buffer.frames().count();
        }
        assert_eq!(seen, 1000);
        assert!(buffer.capacity() <= 4096, "{}", buffer.capacity());
    }

    #[test]
    fn debug_shows_no_body() {
        let shown = alloc::format!("{:?}", filled(b"\x00\x01\x00\x07hunter2"));
        assert!(shown.contains("received: 11") && !shown.contains("104, 117"), "{shown}");
    }

    #[test]
    #[should_panic(expected = "more bytes than there was room for")]
    fn more_than_the_room_cannot_have_been_read() {
        let mut buffer = ReadBuffer::new(Limits::default());
        let room = buffer.spare(10).len();
        buffer.advance(room + 1);
    }
}
