//! From a frame to bytes.

use bytes::BytesMut;

use crate::error::{EncodeError, EncodeWithError};
use crate::frame::{HEADER_LEN, Header, MAX_BODY_LEN};

/// Appends one frame to `out`.
///
/// Several frames may be appended to one buffer and written to the socket at
/// once.
///
/// # Errors
///
/// [`EncodeError::BodyTooLong`] if the body has more than [`MAX_BODY_LEN`]
/// bytes. `out` is then unchanged.
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
pub fn encode(id: u16, body: &[u8], out: &mut BytesMut) -> Result<(), EncodeError> {
    let header = header_for(id, body.len())?;
    out.reserve(header.frame_len());
    out.extend_from_slice(&header.to_bytes());
    out.extend_from_slice(body);
    Ok(())
}

/// Appends one frame to `out` whose body `write_body` puts there itself.
///
/// The body is written once, where it will be sent from, and its length goes
/// into the header afterwards. If anything fails, and also if `write_body`
/// panics, `out` has its former length again, so no half frame is ever sent
/// (its capacity may have grown).
///
/// `write_body` gets the whole buffer, earlier frames included, and must only
/// append to it.
///
/// # Errors
///
/// * [`EncodeWithError::Body`] with the error of `write_body`.
/// * [`EncodeWithError::Frame`] if the body has more than [`MAX_BODY_LEN`]
///   bytes.
///
/// # Panics
///
/// If `write_body` makes the buffer shorter than it got it. Frames that were
/// ready to be sent are lost then, and the panic keeps the rest from being
/// sent as if nothing had happened.
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
pub fn encode_with<E>(
    id: u16,
    out: &mut BytesMut,
    write_body: impl FnOnce(&mut BytesMut) -> Result<(), E>,
) -> Result<(), EncodeWithError<E>> {
    let unfinished = UnfinishedFrame::start(out);
    write_body(unfinished.out).map_err(EncodeWithError::Body)?;
    unfinished.finish(id)?;
    Ok(())
}

/// A frame whose body is being written. Takes its bytes back when dropped
/// before [`UnfinishedFrame::finish`] succeeded.
struct UnfinishedFrame<'a> {
    out: &'a mut BytesMut,
    /// Length that `out` keeps if this frame comes to nothing.
    keep: usize,
}

impl<'a> UnfinishedFrame<'a> {
    fn start(out: &'a mut BytesMut) -> Self {
        let keep = out.len();
        out.extend_from_slice(&[0; HEADER_LEN]);
        Self { out, keep }
    }

    fn finish(mut self, id: u16) -> Result<(), EncodeError> {
        let body_start = self.keep + HEADER_LEN;
        assert!(self.out.len() >= body_start, "the closure given to encode_with must only append");
        let header = header_for(id, self.out.len() - body_start)?;
        self.out[self.keep..body_start].copy_from_slice(&header.to_bytes());
        self.keep = self.out.len();
        Ok(())
    }
}

impl Drop for UnfinishedFrame<'_> {
    fn drop(&mut self) {
        self.out.truncate(self.keep);
    }
}

#[inline]
fn header_for(id: u16, body_len: usize) -> Result<Header, EncodeError> {
    match u16::try_from(body_len) {
        Ok(body_len) => Ok(Header { id, body_len }),
        Err(_) => Err(EncodeError::BodyTooLong { len: body_len, max: MAX_BODY_LEN }),
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;

    const TOO_LONG: EncodeError = EncodeError::BodyTooLong { len: 65_536, max: 65_535 };

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
        let result = encode_with(1, &mut out, |body| {
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
