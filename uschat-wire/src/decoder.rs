//! From bytes to frames.

use bytes::{Buf, Bytes, BytesMut};

use crate::error::DecodeError;
use crate::frame::Frame;
use crate::frames::Frames;
use crate::layout::{Header, Id16Length16, Layout, header_len};
use crate::limits::Limits;
use crate::state::{DecoderState, Plain, Status};

/// Room made for the next read of an unfinished frame, in bytes. Larger bodies
/// get theirs as they arrive (the buffer doubles), because a header is only a
/// claim: four bytes from a stranger must not cost 64 KiB.
const RESERVE_STEP: usize = 4096;

/// Takes frames out of the bytes of one connection, however they were cut.
///
/// The decoder does no I/O and holds no bytes. Use one for the whole life of a
/// connection, in one of two ways:
///
/// * [`frames`](Self::frames) reads borrowed frames out of a slice, where they
///   lie. It is the fastest way, neither allocates nor copies, and suits frames
///   that are dealt with at once. [`ReadBuffer`](crate::ReadBuffer) keeps the
///   bytes for it.
/// * [`decode`](Self::decode) takes owned frames off a [`BytesMut`], one at a
///   time, for frames that go elsewhere.
///
/// # Copy or share
///
/// For owned frames:
///
/// * A body of up to [`MAX_COPIED_BODY`](Self::MAX_COPIED_BODY) bytes (512)
///   is copied out. It holds nothing but its own bytes, so a small message that
///   is kept for long never pins a large read buffer; and up to about this size
///   a copy costs less than the shared ownership it saves.
/// * A longer body is split off the buffer without a copy. While it lives, the
///   whole allocation it came from lives too and is not used for new reads.
///
/// [`copy_up_to`](Self::copy_up_to) moves the border; at 0 nothing is copied.
///
/// # Memory
///
/// An unfinished frame makes the decoder reserve up to 4 KiB for the next read,
/// and no more than the frame still needs. Without bytes, nothing is reserved.
///
/// # Example
///
/// ```
/// use bytes::BytesMut;
/// use uschat_wire::{Frame, FrameDecoder, Limits};
///
/// let mut decoder = FrameDecoder::new(Limits::default());
/// let mut buf = BytesMut::from(&b"\x03\xFF\x00\x02{"[..]);
/// assert_eq!(decoder.decode(&mut buf)?, None); // one byte is missing
///
/// buf.extend_from_slice(b"}");
/// assert_eq!(decoder.decode(&mut buf)?, Some(Frame::new(1023, "{}")));
/// assert!(buf.is_empty());
/// # Ok::<(), uschat_wire::DecodeError>(())
/// ```
#[derive(Debug, Clone)]
pub struct FrameDecoder<L: Layout = Id16Length16> {
    state: DecoderState<L>,
    max_copied_body: usize,
}

impl FrameDecoder {
    /// Bodies up to this many bytes are copied out of the buffer, unless
    /// [`copy_up_to`](Self::copy_up_to) said otherwise; longer ones share its
    /// memory.
    pub const MAX_COPIED_BODY: usize = 512;

    /// A decoder for the start of a stream, in the default layout.
    pub fn new(limits: Limits) -> Self {
        Self::with_layout(limits)
    }
}

impl<L: Layout> FrameDecoder<L> {
    /// A decoder for the start of a stream, in the layout that the type says.
    pub fn with_layout(limits: Limits) -> Self {
        Self { state: DecoderState::new(limits), max_copied_body: FrameDecoder::MAX_COPIED_BODY }
    }

    /// Sets the longest body that [`decode`](Self::decode) copies out of the
    /// buffer, in bytes. Share everything (0) if no frame is kept for longer
    /// than it takes to handle the next ones.
    #[must_use]
    pub fn copy_up_to(mut self, bytes: usize) -> Self {
        self.max_copied_body = bytes;
        self
    }

    /// The whole frames at the front of `bytes`, where they lie.
    ///
    /// What the iterator gave is behind the decoder. The caller keeps
    /// [`Frames::rest`], and passes it again with the bytes that follow it.
    ///
    /// ```
    /// use uschat_wire::{FrameDecoder, Limits};
    ///
    /// let mut decoder = FrameDecoder::new(Limits::default());
    /// let mut frames = decoder.frames(b"\x00\x01\x00\x02hi\x00\x02\x00\x00\x00");
    /// for frame in &mut frames {
    ///     let frame = frame?;
    ///     println!("{}: {} bytes", frame.id, frame.body.len());
    /// }
    /// assert_eq!(frames.rest(), b"\x00"); // the start of a third frame
    /// # Ok::<(), uschat_wire::DecodeError>(())
    /// ```
    #[inline]
    pub fn frames<'a>(&'a mut self, bytes: &'a [u8]) -> Frames<'a, L> {
        Frames::new(bytes, &mut self.state)
    }

    /// Takes the next frame off the front of `buf`, or says `Ok(None)` if it is
    /// not complete yet. Bytes behind the frame stay.
    ///
    /// # Errors
    ///
    /// A [`DecodeError`] as soon as a header announces what the limits do not
    /// allow; `buf` is not touched then. After [`DecodeError::UnknownId`] the
    /// next call goes on behind that frame. After every other error the decoder
    /// repeats it, whatever the buffer holds: close the connection.
    // Forced inline: as a call it returns the frame through memory, field by field, and moving it on from there waits for
    // those stores. That took as long again as all the rest.
    #[inline(always)]
    pub fn decode(&mut self, buf: &mut BytesMut) -> Result<Option<Frame>, DecodeError> {
        let found = match self.state.take_plain(buf) {
            Plain::Frame(frame, _) => Some((frame.id, frame.body.len())),
            Plain::Incomplete => None,
            Plain::Unsettled => self.next_with_care(buf)?,
        };
        let Some((id, body_len)) = found else {
            self.reserve_for_next_read(buf);
            return Ok(None);
        };
        let frame_len = header_len::<L>() + body_len;
        let body = if body_len <= self.max_copied_body {
            let body = Bytes::copy_from_slice(&buf[header_len::<L>()..frame_len]);
            buf.advance(frame_len);
            body
        } else {
            let mut body = buf.split_to(frame_len).freeze();
            body.advance(header_len::<L>());
            body
        };
        Ok(Some(Frame { id, body }))
    }

    /// How many more bytes are needed behind these before the decoder has
    /// something to give: zero means that a frame or an error is ready.
    ///
    /// While the header is incomplete, this is what the header lacks, because
    /// the length of the body is not known yet. So it is never more than the
    /// current frame needs: who reads exactly so many bytes, again and again,
    /// never reads into the next frame.
    ///
    /// A connection is in the middle of a frame if the buffer holds something
    /// that is not yet enough. That is the moment to arm a time-out:
    ///
    /// ```
    /// use uschat_wire::{FrameDecoder, Limits};
    ///
    /// let decoder = FrameDecoder::new(Limits::default());
    /// let mid_frame = |bytes: &[u8]| !bytes.is_empty() && decoder.needs(bytes) > 0;
    ///
    /// assert_eq!(decoder.needs(b""), 4);
    /// assert!(!mid_frame(b"")); // between frames: silence is normal
    /// assert_eq!(decoder.needs(b"\x03\xFF\x00\x02{"), 1);
    /// assert!(mid_frame(b"\x03\xFF\x00\x02{"));
    /// ```
    pub fn needs(&self, bytes: &[u8]) -> usize {
        let skipping = match self.state.status {
            Status::Failed(_) => return 0,
            Status::Skipping(bytes) => bytes,
            Status::Reading => 0,
        };
        let Some(bytes) = bytes.get(skipping..) else {
            return skipping - bytes.len() + header_len::<L>();
        };
        match Header::split_off::<L>(bytes) {
            Some((header, _)) if !self.state.limits.accept(header) => 0,
            Some((header, rest)) => (header.body_len as usize).saturating_sub(rest.len()),
            None => header_len::<L>() - bytes.len(),
        }
    }

    /// Throws the rest of a refused frame away, as far as it is in these bytes.
    #[cfg(feature = "tokio")]
    pub(crate) fn pass_refused(&mut self, bytes: &[u8]) {
        self.state.behind_refused(bytes);
    }

    /// Whether the stream ends inside a frame if it ends with these bytes.
    #[cfg(feature = "tokio")]
    pub(crate) fn is_mid_frame(&self, bytes: &[u8]) -> bool {
        let between_frames = match self.state.status {
            Status::Skipping(refused) => bytes.len() == refused,
            Status::Reading | Status::Failed(_) => bytes.is_empty(),
        };
        !between_frames && self.needs(bytes) > 0
    }

    /// If the stream ends inside a frame when it ends with these bytes: how many
    /// bytes of that frame are there, and how many are missing, at least.
    #[cfg(feature = "tokio")]
    pub(crate) fn unfinished(&self, bytes: &[u8]) -> Option<(usize, usize)> {
        // What is left of a refused frame is not kept, and needed up to the header behind it.
        let behind = if bytes.is_empty() { header_len::<L>() } else { 0 };
        self.is_mid_frame(bytes).then(|| (bytes.len(), self.needs(bytes) - behind))
    }

    /// Bytes of the stream that are behind the decoder: those of all frames it
    /// gave, and of those it refused and went past.
    #[inline]
    pub fn offset(&self) -> u64 {
        self.state.offset
    }

    /// Id and body length of the next frame, which is then at the front of `buf`,
    /// when a look at the longest body alone did not settle it.
    #[inline(never)]
    fn next_with_care(&mut self, buf: &mut BytesMut) -> Result<Option<(u16, usize)>, DecodeError> {
        let available = buf.len();
        let (frame, rest) = self.state.take(buf);
        let taken = available - rest.len();
        let found = frame.map(|frame| frame.map(|frame| (frame.id, frame.body.len())));
        let in_frame = match found {
            Ok(Some((_, body_len))) => header_len::<L>() + body_len,
            _ => 0,
        };
        buf.advance(taken - in_frame);
        found
    }

    #[inline]
    fn reserve_for_next_read(&self, buf: &mut BytesMut) {
        if !buf.is_empty() && buf.capacity() - buf.len() < RESERVE_STEP {
            buf.reserve(self.needs(buf).min(RESERVE_STEP));
        }
    }
}

/// In the default layout, with the default limits.
impl Default for FrameDecoder {
    fn default() -> Self {
        Self::new(Limits::default())
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;
    use alloc::vec::Vec;

    use super::*;
    use crate::frame::HEADER_LEN;
    use crate::frames::decode_slice;

    fn decoder(max_body: usize) -> FrameDecoder {
        FrameDecoder::new(Limits::default().max_body(max_body))
    }

    fn frame_bytes(id: u16, body: &[u8]) -> Vec<u8> {
        let mut bytes = id.to_be_bytes().to_vec();
        bytes.extend(u16::try_from(body.len()).unwrap().to_be_bytes());
        bytes.extend(body);
        bytes
    }

    #[test]
    fn golden_bytes() {
        let mut buf = BytesMut::from(&b"\x03\xF9\x00\x07{\"a\":1}"[..]);
        let frame = decoder(100).decode(&mut buf).unwrap().unwrap();
        assert_eq!(frame, Frame::new(1017, "{\"a\":1}"));
        assert!(buf.is_empty());
    }

    #[test]
    fn empty_body_is_a_frame_even_where_nothing_longer_is_allowed() {
        let mut buf = BytesMut::from(&b"\x00\x05\x00\x00"[..]);
        let frame = decoder(0).decode(&mut buf).unwrap();
        assert_eq!(frame, Some(Frame::new(5, "")));
    }

    #[test]
    fn largest_body_passes_and_one_more_byte_does_not() {
        for max in [0, 1, 1024, 32_767, 65_534] {
            let mut buf = BytesMut::from(&frame_bytes(8, &vec![1; max])[..]);
            let frame = decoder(max).decode(&mut buf).unwrap().unwrap();
            assert_eq!(frame.body.len(), max);

            let len = max + 1;
            let mut buf = BytesMut::from(&frame_bytes(8, &vec![1; len])[..]);
            let error = decoder(max).decode(&mut buf).unwrap_err();
            assert_eq!(error, DecodeError::BodyTooLong { id: 8, len, max, offset: 0 });
        }
        let mut buf = BytesMut::from(&frame_bytes(8, &[1; 65_535])[..]);
        let frame = decoder(usize::MAX).decode(&mut buf).unwrap().unwrap();
        assert_eq!(frame.body.len(), 65_535);
    }

    #[test]
    fn a_length_with_the_top_bit_set_is_large_not_negative() {
        let mut buf = BytesMut::from(&b"\x80\x01\x80\x00"[..]);
        let error = FrameDecoder::default().decode(&mut buf).unwrap_err();
        let expected = DecodeError::BodyTooLong { id: 0x8001, len: 32_768, max: 32_767, offset: 0 };
        assert_eq!(error, expected);
    }

    #[test]
    fn a_refused_header_is_final_and_touches_nothing() {
        let mut decoder = decoder(10);
        let mut buf = BytesMut::from(&b"\x00\x01\x00\x0B"[..]);
        let capacity = buf.capacity();
        let error = decoder.decode(&mut buf).unwrap_err();
        assert_eq!((buf.len(), buf.capacity()), (4, capacity));

        let mut innocent = BytesMut::from(&b"\x00\x01\x00\x00"[..]);
        assert_eq!(decoder.decode(&mut innocent), Err(error.clone()));
        assert_eq!(decoder.decode(&mut BytesMut::new()), Err(error));
        assert_eq!(innocent.len(), 4);
        assert_eq!(decoder.needs(b""), 0);
    }

    #[test]
    fn unknown_frames_are_gone_past_even_one_after_another() {
        let mut stream = frame_bytes(9, b"abc");
        stream.extend(frame_bytes(8, b""));
        stream.extend(frame_bytes(9, b"de"));
        stream.extend(frame_bytes(1, b"known"));
        let limits = Limits::default().only_known([1]);
        for piece in 1..=stream.len() {
            let mut decoder = FrameDecoder::new(limits.clone());
            let mut buf = BytesMut::new();
            let mut seen = Vec::new();
            for bytes in stream.chunks(piece) {
                buf.extend_from_slice(bytes);
                while let Some(next) = decoder.decode(&mut buf).transpose() {
                    seen.push(next.map(|frame| frame.id));
                }
            }
            let unknown = |id, len, offset| Err(DecodeError::UnknownId { id, len, offset });
            assert_eq!(seen, [unknown(9, 3, 0), unknown(8, 0, 7), unknown(9, 2, 11), Ok(1)], "{piece}");
            assert_eq!((buf.len(), decoder.offset()), (0, stream.len() as u64));
        }
    }

    #[test]
    fn a_claimed_length_alone_does_not_cost_its_memory() {
        let mut buf = BytesMut::from(&b"\x00\x01\xFF\xFF"[..]);
        assert_eq!(decoder(65_535).decode(&mut buf), Ok(None));
        assert!(buf.capacity() >= 4 + RESERVE_STEP);
        assert!(buf.capacity() < 4 * RESERVE_STEP, "{}", buf.capacity());
    }

    #[test]
    fn no_bytes_reserve_nothing() {
        let mut buf = BytesMut::new();
        assert_eq!(decoder(65_535).decode(&mut buf), Ok(None));
        assert_eq!(buf.capacity(), 0);
    }

    #[test]
    fn a_small_body_does_not_pin_the_read_buffer() {
        let mut buf = BytesMut::with_capacity(65_536);
        buf.extend_from_slice(&frame_bytes(1, &[7; FrameDecoder::MAX_COPIED_BODY]));
        let frame = decoder(65_535).decode(&mut buf).unwrap().unwrap();
        assert!(buf.try_reclaim(65_536), "still borrowed while the frame lives");
        assert_eq!(frame.body.len(), FrameDecoder::MAX_COPIED_BODY);
    }

    #[test]
    fn a_large_body_is_not_copied() {
        let bytes = frame_bytes(1, &[7; FrameDecoder::MAX_COPIED_BODY + 1]);
        let mut buf = BytesMut::from(&bytes[..]);
        let body_in_buffer = buf[HEADER_LEN..].as_ptr();
        let frame = decoder(65_535).decode(&mut buf).unwrap().unwrap();
        assert_eq!(frame.body.as_ptr(), body_in_buffer);
    }

    #[test]
    fn needs_counts_down_to_the_frame() {
        let decoder = decoder(100);
        let bytes = frame_bytes(1, b"xyz");
        let needs: Vec<_> = (0..=bytes.len()).map(|have| decoder.needs(&bytes[..have])).collect();
        assert_eq!(needs, [4, 3, 2, 1, 3, 2, 1, 0]);
        let refused = BytesMut::from(&b"\x00\x01\x00\x65"[..]);
        assert_eq!(decoder.needs(&refused), 0);
    }

    #[test]
    fn a_slice_is_read_where_it_lies() {
        let bytes = frame_bytes(1, b"xyz");
        let limits = Limits::default();
        let (frame, len) = decode_slice(&bytes, &limits).unwrap().unwrap();
        assert_eq!((frame.id, len), (1, bytes.len()));
        assert_eq!(frame.body.as_ptr(), bytes[HEADER_LEN..].as_ptr());
        for cut in 0..bytes.len() {
            assert_eq!(decode_slice(&bytes[..cut], &limits), Ok(None));
        }
        let refused = decode_slice(b"\x00\x01\xFF\xFF", &limits);
        assert!(matches!(refused, Err(DecodeError::BodyTooLong { .. })));
    }
}
