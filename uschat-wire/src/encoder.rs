//! From a frame to bytes.

use alloc::vec::Vec;
use core::marker::PhantomData;

use bytes::BytesMut;

use crate::error::{EncodeError, EncodeWithError};
use crate::layout::{Header, Id16Length16, Layout, header_len, max_body_len, max_id};
use crate::limits::Limits;

/// Writes frames to the end of a buffer, within the limits of the sender.
///
/// The functions [`encode`] and [`encode_with`] are short for an encoder in the
/// default layout without limits but the header's. For many small frames
/// [`WriteBuffer`](crate::WriteBuffer) is faster.
///
/// ```
/// use uschat_wire::{EncodeError, FrameEncoder, Limits};
///
/// let encoder = FrameEncoder::new(Limits::default().max_body_of(1018, 4));
/// let mut out = Vec::new();
/// encoder.encode(1018, b"{}", &mut out)?;
/// assert_eq!(out, b"\x03\xFA\x00\x02{}");
///
/// let refused = encoder.encode(1018, b"[1,2]", &mut out);
/// assert_eq!(refused, Err(EncodeError::BodyTooLong { id: 1018, len: 5, max: 4 }));
/// assert_eq!(out.len(), 6);
/// # Ok::<(), EncodeError>(())
/// ```
#[derive(Debug, Clone)]
pub struct FrameEncoder<L: Layout = Id16Length16> {
    limits: Limits,
    layout: PhantomData<fn() -> L>,
}

impl FrameEncoder {
    /// An encoder in the default layout.
    pub fn new(limits: Limits) -> Self {
        Self::with_layout(limits)
    }
}

impl<L: Layout> FrameEncoder<L> {
    /// An encoder in the layout that the type says.
    pub const fn with_layout(limits: Limits) -> Self {
        Self { limits, layout: PhantomData }
    }

    /// Appends one frame to `out`.
    ///
    /// Several frames may be appended to one buffer and written to the socket
    /// at once.
    ///
    /// # Errors
    ///
    /// An [`EncodeError`] if the limits or the header do not allow the frame.
    /// `out` is then unchanged.
    #[inline]
    pub fn encode(&self, id: u16, body: &[u8], out: &mut impl Output) -> Result<(), EncodeError> {
        let header = self.header(id, body.len())?.to_bytes::<L>();
        out.extend_from_slices(&header[..header_len::<L>()], body);
        Ok(())
    }

    /// Appends one frame to `out` whose body `write_body` puts there itself.
    ///
    /// The body is written once, where it will be sent from, and its length goes
    /// into the header afterwards. If anything fails, and also if `write_body`
    /// panics, `out` has its former length again, so no half frame is ever sent
    /// (its capacity may have grown).
    ///
    /// `write_body` gets the whole buffer, earlier frames included, and must
    /// only append to it.
    ///
    /// # Errors
    ///
    /// * [`EncodeWithError::Body`] with the error of `write_body`.
    /// * [`EncodeWithError::Frame`] if the limits or the header do not allow the
    ///   frame.
    ///
    /// # Panics
    ///
    /// If `write_body` makes the buffer shorter than it got it. Frames that were
    /// ready to be sent are lost then, and the panic keeps the rest from being
    /// sent as if nothing had happened.
    pub fn encode_with<O: Output, E>(
        &self,
        id: u16,
        out: &mut O,
        write_body: impl FnOnce(&mut O) -> Result<(), E>,
    ) -> Result<(), EncodeWithError<E>> {
        let mut unfinished = UnfinishedFrame::start(out, header_len::<L>());
        write_body(unfinished.out).map_err(EncodeWithError::Body)?;
        let header = self.header(id, unfinished.body_len())?;
        header.write::<L>(unfinished.header());
        unfinished.finish();
        Ok(())
    }

    /// The header for this frame, if it may be sent.
    #[inline(always)]
    pub(crate) fn header(&self, id: u16, body_len: usize) -> Result<Header, EncodeError> {
        let plain = body_len <= max_body_len::<L>() && body_len < self.limits.bound_of_all() as usize;
        if !plain || id > max_id::<L>() {
            self.check(id, body_len)?;
        }
        Ok(Header { id, body_len: body_len as u32 })
    }

    #[inline(never)]
    fn check(&self, id: u16, len: usize) -> Result<(), EncodeError> {
        if id > max_id::<L>() {
            return Err(EncodeError::IdTooLarge { id, max: max_id::<L>() });
        }
        let max = self.limits.max_body_len_of(id).ok_or(EncodeError::UnknownId { id })?.min(max_body_len::<L>());
        if len > max { Err(EncodeError::BodyTooLong { id, len, max }) } else { Ok(()) }
    }
}

/// In the default layout, without limits but the header's.
impl Default for FrameEncoder {
    fn default() -> Self {
        Self::new(Limits::unrestricted())
    }
}

/// The longest header of any layout.
const MAX_HEADER_LEN: usize = 6;

/// Appends one frame in the default layout to `out`: [`FrameEncoder::encode`]
/// without limits but the header's.
///
/// # Errors
///
/// [`EncodeError::BodyTooLong`] if the body has more than
/// [`MAX_BODY_LEN`](crate::MAX_BODY_LEN) bytes. `out` is then unchanged.
///
/// # Example
///
/// ```
/// use bytes::BytesMut;
///
/// let mut out = BytesMut::new();
/// uschat_wire::encode(1023, b"{}", &mut out)?;
/// assert_eq!(&out[..], b"\x03\xFF\x00\x02{}");
/// # Ok::<(), uschat_wire::EncodeError>(())
/// ```
#[inline]
pub fn encode(id: u16, body: &[u8], out: &mut impl Output) -> Result<(), EncodeError> {
    UNLIMITED.encode(id, body, out)
}

/// Appends one frame in the default layout to `out` whose body `write_body`
/// puts there itself: [`FrameEncoder::encode_with`] without limits but the
/// header's.
///
/// # Errors
///
/// * [`EncodeWithError::Body`] with the error of `write_body`.
/// * [`EncodeWithError::Frame`] if the body has more than
///   [`MAX_BODY_LEN`](crate::MAX_BODY_LEN) bytes.
///
/// # Panics
///
/// If `write_body` makes the buffer shorter than it got it.
///
/// # Example
///
/// ```
/// use std::fmt::Write;
/// use bytes::BytesMut;
///
/// let mut out = BytesMut::new();
/// uschat_wire::encode_with(1008, &mut out, |body| write!(body, "{{\"uid\":{}}}", 42))?;
/// assert_eq!(&out[..], b"\x03\xF0\x00\x0A{\"uid\":42}");
/// # Ok::<(), uschat_wire::EncodeWithError<std::fmt::Error>>(())
/// ```
pub fn encode_with<O: Output, E>(
    id: u16,
    out: &mut O,
    write_body: impl FnOnce(&mut O) -> Result<(), E>,
) -> Result<(), EncodeWithError<E>> {
    UNLIMITED.encode_with(id, out, write_body)
}

static UNLIMITED: FrameEncoder = FrameEncoder::with_layout(Limits::unrestricted());

/// A buffer that frames can be appended to: `Vec<u8>` or `BytesMut`.
pub trait Output: sealed::Output {}

impl Output for Vec<u8> {}
impl Output for BytesMut {}

mod sealed {
    use alloc::vec::Vec;

    use bytes::BytesMut;

    /// What encoding needs of a buffer.
    pub trait Output {
        fn len(&self) -> usize;
        fn extend_from_slices(&mut self, header: &[u8], body: &[u8]);
        fn truncate(&mut self, len: usize);
        fn as_mut_slice(&mut self) -> &mut [u8];
    }

    macro_rules! output {
        ($buffer:ty) => {
            impl Output for $buffer {
                #[inline(always)]
                fn len(&self) -> usize {
                    self.len()
                }

                #[inline(always)]
                fn extend_from_slices(&mut self, header: &[u8], body: &[u8]) {
                    self.reserve(header.len() + body.len());
                    self.extend_from_slice(header);
                    self.extend_from_slice(body);
                }

                fn truncate(&mut self, len: usize) {
                    self.truncate(len);
                }

                #[inline(always)]
                fn as_mut_slice(&mut self) -> &mut [u8] {
                    self
                }
            }
        };
    }
    output!(Vec<u8>);
    output!(BytesMut);
}

/// A frame whose body is being written. Takes its bytes back when dropped
/// before [`UnfinishedFrame::finish`].
struct UnfinishedFrame<'a, O: Output> {
    out: &'a mut O,
    header_len: usize,
    /// Length that `out` keeps if this frame comes to nothing.
    keep: usize,
}

impl<'a, O: Output> UnfinishedFrame<'a, O> {
    fn start(out: &'a mut O, header_len: usize) -> Self {
        let keep = out.len();
        out.extend_from_slices(&[0; MAX_HEADER_LEN][..header_len], &[]);
        Self { out, header_len, keep }
    }

    fn body_len(&self) -> usize {
        let body_start = self.keep + self.header_len;
        assert!(self.out.len() >= body_start, "the closure given to encode_with must only append");
        self.out.len() - body_start
    }

    fn header(&mut self) -> &mut [u8] {
        &mut self.out.as_mut_slice()[self.keep..][..self.header_len]
    }

    fn finish(mut self) {
        self.keep = self.out.len();
    }
}

impl<O: Output> Drop for UnfinishedFrame<'_, O> {
    fn drop(&mut self) {
        self.out.truncate(self.keep);
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;
    use core::convert::Infallible;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;

    const TOO_LONG: EncodeError = EncodeError::BodyTooLong { id: 9, len: 65_536, max: 65_535 };

    fn buffer_with_one_frame() -> BytesMut {
        BytesMut::from(&b"\x00\x01\x00\x01x"[..])
    }

    #[test]
    fn golden_bytes() {
        let mut out = BytesMut::new();
        encode(1017, b"{\"a\":1}", &mut out).unwrap();
        encode(0xFFFF, b"", &mut out).unwrap();
        assert_eq!(&out[..], b"\x03\xF9\x00\x07{\"a\":1}\xFF\xFF\x00\x00");
    }

    #[test]
    fn largest_body_fits_and_one_more_byte_does_not() {
        let body = vec![7; 65_536];
        let mut out = BytesMut::new();
        encode(9, &body[..65_535], &mut out).unwrap();
        assert_eq!(&out[..4], b"\x00\x09\xFF\xFF");
        assert_eq!(out.len(), 65_539);

        let mut out = buffer_with_one_frame();
        assert_eq!(encode(9, &body, &mut out), Err(TOO_LONG));
        assert_eq!(out, buffer_with_one_frame());
    }

    #[test]
    fn encode_with_writes_what_encode_writes() {
        for body in [&b""[..], b"x", &[0xAB; 65_535]] {
            let mut expected = buffer_with_one_frame();
            encode(1018, body, &mut expected).unwrap();

            let mut out = buffer_with_one_frame();
            encode_with(1018, &mut out, |buf| {
                buf.extend_from_slice(body);
                Ok::<_, Infallible>(())
            })
            .unwrap();
            assert_eq!(out, expected);
        }
    }

    #[test]
    fn encode_with_restores_the_buffer_when_the_body_fails() {
        let mut out = buffer_with_one_frame();
        let result = encode_with(1, &mut out, |body| {
            body.extend_from_slice(b"half");
            Err("disk on fire")
        });
        assert_eq!(result, Err(EncodeWithError::Body("disk on fire")));
        assert_eq!(out, buffer_with_one_frame());
    }

    #[test]
    fn encode_with_restores_the_buffer_when_the_body_is_too_long() {
        let mut out = buffer_with_one_frame();
        let result = encode_with(9, &mut out, |body| {
            body.resize(body.len() + 65_536, 0);
            Ok::<_, Infallible>(())
        });
        assert_eq!(result, Err(EncodeWithError::Frame(TOO_LONG)));
        assert_eq!(out, buffer_with_one_frame());
    }

    #[test]
    fn encode_with_restores_the_buffer_when_the_closure_panics() {
        let mut out = buffer_with_one_frame();
        let caught = catch_unwind(AssertUnwindSafe(|| {
            encode_with(1, &mut out, |body| -> Result<(), Infallible> {
                body.extend_from_slice(b"half");
                panic!("expected by the test")
            })
        }));
        assert!(caught.is_err());
        assert_eq!(out, buffer_with_one_frame());
    }

    #[test]
    #[should_panic(expected = "must only append")]
    fn encode_with_refuses_a_closure_that_cuts_earlier_frames() {
        let mut out = buffer_with_one_frame();
        let _ = encode_with(1, &mut out, |body| {
            body.clear();
            Ok::<_, Infallible>(())
        });
    }
}
