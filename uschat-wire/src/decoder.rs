//! From bytes to frames.

use bytes::{Buf, Bytes, BytesMut};

use crate::error::DecodeError;
use crate::frame::{Frame, FrameRef, HEADER_LEN, Header};
use crate::limits::Limits;

/// Room made for the next read of an unfinished frame, in bytes. Larger bodies
/// get theirs as they arrive (the buffer doubles), because a header is only a
/// claim: four bytes from a stranger must not cost 64 KiB.
const RESERVE_STEP: usize = 4096;

/// Takes frames out of a growing buffer, one at a time.
///
/// The decoder does no I/O. The caller appends what it has read to a
/// [`BytesMut`] and calls [`decode`](Self::decode) until it says `Ok(None)`;
/// what is left in the buffer is the start of the next frame. Use one decoder
/// and one buffer for the whole life of a connection.
///
/// # Copy or share
///
/// * A body of up to [`MAX_COPIED_BODY`](Self::MAX_COPIED_BODY) bytes (1 KiB)
///   is copied out. It holds nothing but its own bytes, so a small message that
///   is kept for long never pins a large read buffer.
/// * A longer body is split off the buffer without a copy. While it lives, the
///   whole allocation it came from lives too and is not used for new reads.
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
#[derive(Debug, Clone, Default)]
pub struct FrameDecoder {
    limits: Limits,
    failed: Option<DecodeError>,
}

impl FrameDecoder {
    /// Bodies up to this many bytes are copied out of the buffer; longer ones
    /// share its memory.
    pub const MAX_COPIED_BODY: usize = 1024;

    /// A decoder for the start of a stream.
    pub fn new(limits: Limits) -> Self {
        Self { limits, failed: None }
    }

    /// Takes the next frame off the front of `buf`, or says `Ok(None)` if it is
    /// not complete yet. Bytes behind the frame stay.
    ///
    /// # Errors
    ///
    /// [`DecodeError::BodyTooLong`] as soon as a header announces more than the
    /// limits allow. `buf` is not touched then. The decoder stays in this state
    /// and gives the same error to every later call, whatever the buffer holds:
    /// the stream cannot be brought back into step, so close the connection.
    #[inline]
    pub fn decode(&mut self, buf: &mut BytesMut) -> Result<Option<Frame>, DecodeError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        let header = match read_header(buf, self.limits) {
            Ok(Some(header)) => header,
            Ok(None) => return Ok(None),
            Err(error) => {
                self.failed = Some(error.clone());
                return Err(error);
            }
        };
        if let Some(missing @ 1..) = header.frame_len().checked_sub(buf.len()) {
            buf.reserve(missing.min(RESERVE_STEP));
            return Ok(None);
        }
        buf.advance(HEADER_LEN);
        let body = take_body(buf, usize::from(header.body_len));
        let id = header.id;
        Ok(Some(Frame { id, body }))
    }

    /// How many more bytes `buf` needs before [`decode`](Self::decode) has
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
    /// use bytes::BytesMut;
    /// use uschat_wire::{FrameDecoder, Limits};
    ///
    /// let decoder = FrameDecoder::new(Limits::default());
    /// let mid_frame = |buf: &BytesMut| !buf.is_empty() && decoder.needs(buf) > 0;
    ///
    /// let mut buf = BytesMut::new();
    /// assert_eq!(decoder.needs(&buf), 4);
    /// assert!(!mid_frame(&buf)); // between frames: silence is normal
    ///
    /// buf.extend_from_slice(b"\x03\xFF\x00\x02{");
    /// assert_eq!(decoder.needs(&buf), 1);
    /// assert!(mid_frame(&buf));
    /// ```
    pub fn needs(&self, buf: &BytesMut) -> usize {
        if self.failed.is_some() {
            return 0;
        }
        match read_header(buf, self.limits) {
            Ok(Some(header)) => header.frame_len().saturating_sub(buf.len()),
            Ok(None) => HEADER_LEN - buf.len(),
            Err(_) => 0,
        }
    }
}

/// Reads the first frame of `bytes` where it lies, without an allocation or a
/// copy, and tells how many bytes it takes. `Ok(None)` means that the frame is
/// not complete.
///
/// There is no state: after an error, the caller has to stop by itself.
///
/// # Errors
///
/// [`DecodeError::BodyTooLong`] as soon as the header announces more than
/// `limits` allow. Close the connection.
///
/// # Example
///
/// ```
/// use uschat_wire::{Limits, decode_slice};
///
/// let mut rest: &[u8] = b"\x00\x01\x00\x02hi\x00\x02\x00\x00\x00";
/// let mut ids = Vec::new();
/// while let Some((frame, len)) = decode_slice(rest, Limits::default())? {
///     ids.push(frame.id);
///     rest = &rest[len..];
/// }
/// assert_eq!(ids, [1, 2]);
/// assert_eq!(rest, b"\x00"); // the start of a third frame
/// # Ok::<(), uschat_wire::DecodeError>(())
/// ```
#[inline]
pub fn decode_slice(bytes: &[u8], limits: Limits) -> Result<Option<(FrameRef<'_>, usize)>, DecodeError> {
    let Some(header) = read_header(bytes, limits)? else {
        return Ok(None);
    };
    let len = header.frame_len();
    let frame = bytes.get(HEADER_LEN..len).map(|body| FrameRef { id: header.id, body });
    Ok(frame.map(|frame| (frame, len)))
}

/// The header in front of `bytes`, if it is there and may pass.
#[inline]
fn read_header(bytes: &[u8], limits: Limits) -> Result<Option<Header>, DecodeError> {
    match Header::read(bytes) {
        Some(header) if usize::from(header.body_len) > limits.max_body_len() => Err(DecodeError::BodyTooLong {
            id: header.id,
            len: usize::from(header.body_len),
            max: limits.max_body_len(),
        }),
        header => Ok(header),
    }
}

#[inline]
fn take_body(buf: &mut BytesMut, len: usize) -> Bytes {
    if len > FrameDecoder::MAX_COPIED_BODY {
        return buf.split_to(len).freeze();
    }
    let body = Bytes::copy_from_slice(&buf[..len]);
    buf.advance(len);
    body
}

#[cfg(test)]
mod tests {
    use super::*;

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
            assert_eq!(error, DecodeError::BodyTooLong { id: 8, len, max });
        }
        let mut buf = BytesMut::from(&frame_bytes(8, &[1; 65_535])[..]);
        let frame = decoder(usize::MAX).decode(&mut buf).unwrap().unwrap();
        assert_eq!(frame.body.len(), 65_535);
    }

    #[test]
    fn a_length_with_the_top_bit_set_is_large_not_negative() {
        let mut buf = BytesMut::from(&b"\x80\x01\x80\x00"[..]);
        let error = FrameDecoder::default().decode(&mut buf).unwrap_err();
        let expected = DecodeError::BodyTooLong { id: 0x8001, len: 32_768, max: 32_767 };
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
        assert_eq!(decoder.needs(&BytesMut::new()), 0);
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
        let needs: Vec<_> = (0..=bytes.len()).map(|have| decoder.needs(&BytesMut::from(&bytes[..have]))).collect();
        assert_eq!(needs, [4, 3, 2, 1, 3, 2, 1, 0]);
        let refused = BytesMut::from(&b"\x00\x01\x00\x65"[..]);
        assert_eq!(decoder.needs(&refused), 0);
    }

    #[test]
    fn a_slice_is_read_where_it_lies() {
        let bytes = frame_bytes(1, b"xyz");
        let limits = Limits::default();
        let (frame, len) = decode_slice(&bytes, limits).unwrap().unwrap();
        assert_eq!((frame.id, len), (1, bytes.len()));
        assert_eq!(frame.body.as_ptr(), bytes[HEADER_LEN..].as_ptr());
        for cut in 0..bytes.len() {
            assert_eq!(decode_slice(&bytes[..cut], limits), Ok(None));
        }
        let refused = decode_slice(b"\x00\x01\xFF\xFF", limits);
        assert!(matches!(refused, Err(DecodeError::BodyTooLong { .. })));
    }
}
