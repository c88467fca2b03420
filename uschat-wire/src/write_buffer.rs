//! Frames that wait to be written.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::fmt;

use bytes::{Buf, Bytes};

use crate::copy::copy_short;
use crate::encoder::FrameEncoder;
use crate::error::{EncodeError, EncodeWithError};
use crate::frame::Frame;
use crate::layout::{Header, Id16Length16, Layout, header_len};
use crate::limits::Limits;

/// The room that the first frame makes, in bytes.
const SMALLEST_STORAGE: usize = 256;
/// The most room that is made ahead at once, in bytes.
const LARGEST_STEP: usize = 4096;

/// Frames on their way to a socket: push many, write once.
///
/// Small bodies are copied behind their headers, so that one write takes them
/// all. A body of at least [`MIN_SHARED_BODY`](Self::MIN_SHARED_BODY) bytes that
/// comes as [`Bytes`] ([`push_frame`](Self::push_frame)) is not copied: a
/// vectored write takes it from where it lies.
///
/// What waits is read through [`Buf`]: write [`chunk`](Buf::chunk) or
/// [`chunks_vectored`](Buf::chunks_vectored) and [`advance`](Buf::advance) by
/// what the socket took. tokio's `write_buf` and `write_all_buf` do all that.
///
/// # Memory
///
/// A new buffer holds none. It grows with what is pushed and is used again once
/// everything has been written. It has no bound of its own: whoever pushes looks
/// at [`remaining`](Buf::remaining) and stops. [`release`](Self::release) gives
/// the memory back.
///
/// # Example
///
/// ```
/// use std::io::Write;
/// use bytes::Buf;
/// use uschat_wire::{Limits, WriteBuffer};
///
/// let mut out: WriteBuffer = WriteBuffer::new(Limits::unrestricted());
/// out.push(1017, br#"{"text":"hello"}"#)?;
/// out.push(1023, b"")?;
///
/// let mut socket = Vec::new(); // any `Write`
/// while out.has_remaining() {
///     let written = socket.write(out.chunk())?;
///     out.advance(written);
/// }
/// assert_eq!(socket, b"\x03\xF9\x00\x10{\"text\":\"hello\"}\x03\xFF\x00\x00");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct WriteBuffer<L: Layout = Id16Length16> {
    encoder: FrameEncoder<L>,
    /// All of it may be written to; what counts lies between `start` and `end`.
    storage: Vec<u8>,
    start: usize,
    end: usize,
    /// Bodies that are not in `storage`, in order.
    shared: VecDeque<SharedBody>,
    shared_len: usize,
    frames: usize,
}

struct SharedBody {
    /// It comes after the bytes of `storage` before this place.
    at: usize,
    body: Bytes,
}

impl WriteBuffer {
    /// Bodies of at least this many bytes are sent from where they lie if they
    /// come as [`Bytes`].
    pub const MIN_SHARED_BODY: usize = 8 * 1024;

    /// An empty buffer in the default layout.
    pub fn new(limits: Limits) -> Self {
        Self::with_layout(limits)
    }
}

impl<L: Layout> WriteBuffer<L> {
    /// An empty buffer in the layout that the type says.
    pub fn with_layout(limits: Limits) -> Self {
        Self {
            encoder: FrameEncoder::with_layout(limits),
            storage: Vec::new(),
            start: 0,
            end: 0,
            shared: VecDeque::new(),
            shared_len: 0,
            frames: 0,
        }
    }

    /// Appends a frame with a copy of this body.
    ///
    /// # Errors
    ///
    /// An [`EncodeError`] if the limits or the header do not allow the frame.
    /// Nothing is appended then.
    #[inline(always)]
    pub fn push(&mut self, id: u16, body: &[u8]) -> Result<(), EncodeError> {
        let header = self.encoder.header(id, body.len())?;
        copy_short(body, self.append(header, body.len()));
        Ok(())
    }

    /// Appends a frame. A body of [`MIN_SHARED_BODY`](WriteBuffer::MIN_SHARED_BODY)
    /// bytes or more is kept as it is, a shorter one copied.
    ///
    /// # Errors
    ///
    /// As [`push`](Self::push).
    #[inline]
    pub fn push_frame(&mut self, frame: Frame) -> Result<(), EncodeError> {
        if frame.body.len() < WriteBuffer::MIN_SHARED_BODY {
            return self.push(frame.id, &frame.body);
        }
        let header = self.encoder.header(frame.id, frame.body.len())?;
        self.append(header, 0);
        self.shared_len += frame.body.len();
        self.shared.push_back(SharedBody { at: self.end, body: frame.body });
        Ok(())
    }

    /// Appends a frame whose body `write_body` puts there itself, at the end of
    /// a `Vec` that it must only append to.
    ///
    /// # Errors
    ///
    /// * [`EncodeWithError::Body`] with the error of `write_body`.
    /// * [`EncodeWithError::Frame`] if the limits or the header do not allow the
    ///   frame.
    ///
    /// Nothing is appended then, nor if `write_body` panics.
    ///
    /// # Panics
    ///
    /// If `write_body` makes the `Vec` shorter than it got it.
    pub fn push_with<E>(
        &mut self,
        id: u16,
        write_body: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
    ) -> Result<(), EncodeWithError<E>> {
        self.use_room_in_front();
        self.storage.truncate(self.end);
        self.encoder.encode_with(id, &mut self.storage, write_body)?;
        self.end = self.storage.len();
        self.frames += 1;
        Ok(())
    }

    /// Frames pushed since the buffer was last empty.
    #[inline]
    pub fn frame_count(&self) -> usize {
        self.frames
    }

    /// Throws away what waits.
    pub fn clear(&mut self) {
        self.shared.clear();
        self.shared_len = 0;
        self.start = 0;
        self.end = 0;
        self.frames = 0;
    }

    /// Bytes of memory held, used or not, beside shared bodies.
    pub fn capacity(&self) -> usize {
        self.storage.capacity()
    }

    /// Gives back the memory that nothing waits in; all of it, if nothing waits.
    pub fn release(&mut self) {
        self.move_to_front();
        self.storage.truncate(self.end);
        self.storage.shrink_to_fit();
        self.shared.shrink_to_fit();
    }

    /// Writes a header at the end, and makes room for a body behind it.
    #[inline(always)]
    fn append(&mut self, header: Header, copied: usize) -> &mut [u8] {
        let len = header_len::<L>() + copied;
        if self.storage.len() - self.end < len {
            self.grow(len);
        }
        let (head, body) = self.storage[self.end..][..len].split_at_mut(header_len::<L>());
        self.end += len;
        self.frames += 1;
        header.write::<L>(head);
        body
    }

    /// Moves what waits to the front if fewer bytes move than were written, so a byte moves about once, and a buffer that is
    /// never quite empty does not grow for ever.
    fn use_room_in_front(&mut self) {
        if self.start > self.end - self.start {
            self.move_to_front();
        }
    }

    fn move_to_front(&mut self) {
        self.storage.copy_within(self.start..self.end, 0);
        self.shared.iter_mut().for_each(|shared| shared.at -= self.start);
        self.end -= self.start;
        self.start = 0;
    }

    /// Makes room for at least `len` more bytes.
    #[cold]
    #[inline(never)]
    fn grow(&mut self, len: usize) {
        self.use_room_in_front();
        if self.storage.len() - self.end < len {
            // The memory doubles by itself. Only a part of it is filled, because `push_with` ends that again.
            self.storage.resize(self.end + len.max(self.end.clamp(SMALLEST_STORAGE, LARGEST_STEP)), 0);
        }
    }
}

/// Shows nothing of what waits.
impl<L: Layout> fmt::Debug for WriteBuffer<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WriteBuffer")
            .field("waiting", &self.remaining())
            .field("frames", &self.frames)
            .finish_non_exhaustive()
    }
}

/// What waits to be written: whole frames, but for what [`advance`](Buf::advance)
/// took of the first.
impl<L: Layout> Buf for WriteBuffer<L> {
    #[inline]
    fn remaining(&self) -> usize {
        self.end - self.start + self.shared_len
    }

    fn chunk(&self) -> &[u8] {
        match self.shared.front() {
            Some(next) if next.at == self.start => &next.body,
            Some(next) => &self.storage[self.start..next.at],
            None => &self.storage[self.start..self.end],
        }
    }

    #[cfg(feature = "std")]
    fn chunks_vectored<'a>(&'a self, slices: &mut [std::io::IoSlice<'a>]) -> usize {
        let mut start = self.start;
        let bodies = self.shared.iter().map(|shared| (shared.at, &shared.body[..]));
        let chunks = bodies.chain([(self.end, &[][..])]).flat_map(|(at, body)| {
            let copied = &self.storage[start..at];
            start = at;
            [copied, body]
        });
        let mut filled = 0;
        for (slice, chunk) in slices.iter_mut().zip(chunks.filter(|chunk| !chunk.is_empty())) {
            *slice = std::io::IoSlice::new(chunk);
            filled += 1;
        }
        filled
    }

    fn advance(&mut self, mut written: usize) {
        assert!(written <= self.remaining(), "more bytes than there were");
        while written > 0 {
            match self.shared.front_mut() {
                Some(next) if next.at == self.start => {
                    let step = written.min(next.body.len());
                    next.body.advance(step);
                    self.shared_len -= step;
                    written -= step;
                    if next.body.is_empty() {
                        self.shared.pop_front();
                    }
                }
                next => {
                    let copied = next.map_or(self.end, |next| next.at) - self.start;
                    let step = written.min(copied);
                    self.start += step;
                    written -= step;
                }
            }
        }
        if !self.has_remaining() {
            self.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;
    use core::convert::Infallible;

    use super::*;

    fn written(mut out: WriteBuffer, step: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        while out.has_remaining() {
            let chunk = out.chunk();
            let taken = chunk.len().min(step);
            bytes.extend(&chunk[..taken]);
            out.advance(taken);
        }
        bytes
    }

    fn expected(frames: &[(u16, usize)]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for &(id, len) in frames {
            crate::encode(id, &vec![id as u8; len], &mut bytes).unwrap();
        }
        bytes
    }

    #[test]
    fn copied_and_shared_bodies_leave_in_order() {
        let frames = [(1, 0), (2, 64), (3, 8192), (4, 40_000), (5, 8191), (6, 17), (7, 9000)];
        for step in [1, 7, 1448, usize::MAX] {
            let mut out = WriteBuffer::new(Limits::unrestricted());
            for (id, len) in frames {
                out.push_frame(Frame::new(id, vec![id as u8; len])).unwrap();
            }
            assert_eq!((out.frame_count(), out.remaining()), (7, expected(&frames).len()));
            assert!(out.capacity() < 2 * 8191 + 256, "large bodies are not copied: {}", out.capacity());
            assert_eq!(written(out, step), expected(&frames));
        }
    }

    #[test]
    fn every_length_around_the_short_copies() {
        let frames: Vec<_> = (0..140).map(|len| (len as u16, len)).collect();
        let mut out = WriteBuffer::new(Limits::unrestricted());
        for &(id, len) in &frames {
            let body: Vec<u8> = (0..len).map(|i| i as u8).collect();
            out.push(id, &body).unwrap();
        }
        let bytes = written(out, usize::MAX);
        let mut rest = &bytes[..];
        for (id, len) in frames {
            let (frame, taken) = crate::decode_slice(rest, &Limits::default()).unwrap().unwrap();
            assert_eq!(frame.id, id);
            assert!(frame.body.iter().copied().eq((0..len).map(|i| i as u8)), "{len}");
            rest = &rest[taken..];
        }
    }

    #[test]
    fn bodies_written_in_place_stand_among_the_others() {
        let mut out = WriteBuffer::new(Limits::default());
        out.push(1, b"one").unwrap();
        let two = |body: &mut Vec<u8>| {
            body.extend(b"two");
            Ok::<_, Infallible>(())
        };
        out.push_with(2, two).unwrap();
        let failed = out.push_with(9, |body| {
            body.extend(b"half");
            Err("no")
        });
        assert_eq!(failed, Err(EncodeWithError::Body("no")));
        out.push(3, b"three").unwrap();
        assert_eq!(out.frame_count(), 3);
        assert_eq!(written(out, 5), b"\x00\x01\x00\x03one\x00\x02\x00\x03two\x00\x03\x00\x05three");
    }

    #[test]
    fn a_refused_frame_leaves_no_trace() {
        let mut out = WriteBuffer::new(Limits::default().max_body(3).only_known([1]));
        out.push(1, b"abc").unwrap();
        let too_long = EncodeError::BodyTooLong { id: 1, len: 4, max: 3 };
        assert_eq!(out.push(1, b"abcd"), Err(too_long.clone()));
        assert_eq!(
            out.push_frame(Frame::new(1, vec![0; 9000])),
            Err(EncodeError::BodyTooLong { id: 1, len: 9000, max: 3 })
        );
        assert_eq!(out.push_frame(Frame::new(2, "")), Err(EncodeError::UnknownId { id: 2 }));
        let in_place = out.push_with(1, |body| {
            body.extend(b"abcd");
            Ok::<_, Infallible>(())
        });
        assert_eq!(in_place, Err(EncodeWithError::Frame(too_long)));
        assert_eq!((out.frame_count(), out.remaining()), (1, 7));
    }

    #[test]
    fn memory_is_used_again_and_given_back() {
        let mut out = WriteBuffer::new(Limits::default());
        assert_eq!(out.capacity(), 0);
        out.push(1, &[0; 1000]).unwrap();
        let capacity = out.capacity();
        for _ in 0..100 {
            out.advance(out.remaining());
            assert_eq!(out.frame_count(), 0);
            out.push(1, &[0; 1000]).unwrap();
        }
        assert_eq!(out.capacity(), capacity);
        out.clear();
        out.release();
        assert_eq!(out.capacity(), 0);
    }

    #[test]
    fn a_buffer_that_is_never_quite_empty_does_not_grow_for_ever() {
        let mut out = WriteBuffer::new(Limits::unrestricted());
        let mut bytes = Vec::new();
        for id in 0..10_000 {
            let len = if id % 100 == 0 { 9000 } else { 60 };
            out.push_frame(Frame::new(id, vec![id as u8; len])).unwrap();
            while out.remaining() > 200 {
                let step = out.chunk().len().min(out.remaining() - 100);
                bytes.extend(&out.chunk()[..step]);
                out.advance(step);
            }
        }
        assert!(out.capacity() <= 1024, "{}", out.capacity());
        bytes.extend(written(out, usize::MAX));
        let frames: Vec<_> = (0..10_000).map(|id| (id, if id % 100 == 0 { 9000 } else { 60 })).collect();
        assert_eq!(bytes, expected(&frames));
    }

    #[test]
    fn debug_shows_no_body() {
        let mut out = WriteBuffer::new(Limits::default());
        out.push_with(1, |body| {
            body.extend(b"hunter2");
            Ok::<_, Infallible>(())
        })
        .unwrap();
        assert_eq!(alloc::format!("{out:?}"), "WriteBuffer { waiting: 11, frames: 1, .. }");
    }

    #[cfg(feature = "std")]
    #[test]
    fn a_vectored_write_takes_everything_and_copies_no_large_body() {
        let mut out = WriteBuffer::new(Limits::unrestricted());
        let body = Bytes::from(vec![7; 10_000]);
        let place = body.as_ptr();
        out.push(1, b"small").unwrap();
        out.push_frame(Frame::new(2, body)).unwrap();
        out.push(3, b"small").unwrap();
        out.advance(2);
        let mut slices = [std::io::IoSlice::new(&[]); 8];
        let filled = out.chunks_vectored(&mut slices);
        assert_eq!(slices[..filled].iter().map(|slice| slice.len()).collect::<Vec<_>>(), [7 + 4, 10_000, 9]);
        assert_eq!(slices[1].as_ptr(), place);
        assert_eq!(out.chunks_vectored(&mut slices[..2]), 2);
        assert_eq!(out.chunks_vectored(&mut []), 0);
    }
}
