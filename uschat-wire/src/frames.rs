//! Frames read where they lie, one after another.

use core::fmt;

use crate::error::DecodeError;
use crate::frame::FrameRef;
use crate::layout::{Header, Id16Length16, Layout, header_len, max_body_len};
use crate::limits::Limits;
use crate::state::{DecoderState, Plain};

/// The whole frames at the front of some bytes, in order; made by
/// [`FrameDecoder::frames`](crate::FrameDecoder::frames).
///
/// Ends where the bytes end inside a frame, and after an error that the stream
/// does not survive. After one that it does ([`DecodeError::can_continue`]) the
/// next frame follows.
///
/// Dropping it early is fine: frames that were not taken are found again by
/// the next call.
pub struct Frames<'a, L: Layout = Id16Length16> {
    /// What has not been taken yet.
    rest: &'a [u8],
    state: &'a mut DecoderState<L>,
    /// An error that is final was handed out.
    ended: bool,
}

impl<'a, L: Layout> Frames<'a, L> {
    #[inline(always)]
    pub(crate) fn new(bytes: &'a [u8], state: &'a mut DecoderState<L>) -> Self {
        Self { rest: bytes, state, ended: false }
    }

    /// The bytes that belong to no frame taken so far.
    #[inline]
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// What a look at the longest body alone did not settle.
    #[inline(never)]
    fn next_with_care(&mut self) -> Option<Result<FrameRef<'a>, DecodeError>> {
        if self.ended {
            return None;
        }
        let (frame, rest) = self.state.take(self.rest);
        self.rest = rest;
        self.ended = frame.as_ref().is_err_and(|error| !error.can_continue());
        frame.transpose()
    }
}

/// Shows nothing of what was received.
impl<L: Layout> fmt::Debug for Frames<'_, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Frames").field("rest", &self.rest.len()).field("ended", &self.ended).finish_non_exhaustive()
    }
}

impl<'a, L: Layout> Iterator for Frames<'a, L> {
    type Item = Result<FrameRef<'a>, DecodeError>;

    // Forced inline: as a call it costs as much as all it does.
    #[inline(always)]
    fn next(&mut self) -> Option<Self::Item> {
        match self.state.take_plain(self.rest) {
            Plain::Frame(frame, rest) => {
                self.rest = rest;
                Some(Ok(frame))
            }
            Plain::Incomplete => None,
            Plain::Unsettled => self.next_with_care(),
        }
    }
}

/// Looks at the front of these bytes.
#[inline(always)]
pub(crate) fn first<'a, L: Layout>(bytes: &'a [u8], accept: impl FnOnce(Header) -> bool) -> First<'a> {
    let Some((header, rest)) = Header::split_off::<L>(bytes) else {
        return First::Incomplete;
    };
    if !accept(header) {
        return First::Refused(header);
    }
    match rest.split_at_checked(header.body_len as usize) {
        Some((body, rest)) => First::Frame(FrameRef { id: header.id, body }, rest),
        None => First::Incomplete,
    }
}

/// What is at the front of some bytes.
pub(crate) enum First<'a> {
    /// A frame, and what is behind it.
    Frame(FrameRef<'a>, &'a [u8]),
    /// The start of a frame, or nothing.
    Incomplete,
    /// A header that is not acceptable.
    Refused(Header),
}

/// Why this header was refused by these limits.
#[cold]
pub(crate) fn refusal<L: Layout>(header: Header, limits: &Limits, offset: u64) -> DecodeError {
    let Header { id, body_len } = header;
    let len = body_len as usize;
    let length = header.length_field::<L>() as usize;
    if L::LENGTH_COUNTS_HEADER && length < header_len::<L>() {
        return DecodeError::LengthTooShort { id, length, min: header_len::<L>(), offset };
    }
    match limits.max_body_len_of(id) {
        Some(max) => DecodeError::BodyTooLong { id, len, max: max.min(max_body_len::<L>()), offset },
        // Nobody waits through more of an unknown frame than of a known one.
        None if len > limits.max_body_len() => {
            DecodeError::BodyTooLong { id, len, max: limits.max_body_len().min(max_body_len::<L>()), offset }
        }
        None => DecodeError::UnknownId { id, len, offset },
    }
}

/// Reads the first frame of `bytes` where it lies, without an allocation or a
/// copy, and tells how many bytes it takes. `Ok(None)` means that the frame is
/// not complete.
///
/// There is no state: after an error, the caller has to stop by itself, or to
/// step over [`DecodeError::UnknownId`] by the length in it. To read many
/// frames, [`FrameDecoder::frames`](crate::FrameDecoder::frames) is shorter.
///
/// # Errors
///
/// A [`DecodeError`] as soon as the header announces what `limits` do not
/// allow.
///
/// # Example
///
/// ```
/// use uschat_wire::{Limits, decode_slice};
///
/// let limits = Limits::default();
/// let mut rest: &[u8] = b"\x00\x01\x00\x02hi\x00\x02\x00\x00\x00";
/// let mut ids = Vec::new();
/// while let Some((frame, len)) = decode_slice(rest, &limits)? {
///     ids.push(frame.id);
///     rest = &rest[len..];
/// }
/// assert_eq!(ids, [1, 2]);
/// assert_eq!(rest, b"\x00"); // the start of a third frame
/// # Ok::<(), uschat_wire::DecodeError>(())
/// ```
#[inline]
pub fn decode_slice<'a>(bytes: &'a [u8], limits: &Limits) -> Result<Option<(FrameRef<'a>, usize)>, DecodeError> {
    match first::<Id16Length16>(bytes, |header| limits.accept(header)) {
        First::Frame(frame, _) => Ok(Some((frame, frame.encoded_len()))),
        First::Incomplete => Ok(None),
        First::Refused(header) => Err(refusal::<Id16Length16>(header, limits, 0)),
    }
}
