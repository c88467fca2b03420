//! The frame: a two-byte id, a two-byte length and a body.

use std::fmt;

use bytes::Bytes;

/// Bytes in front of every body: the id (2) and the body's length (2).
pub const HEADER_LEN: usize = 4;

/// The longest body the header can announce, in bytes: 65,535.
pub const MAX_BODY_LEN: usize = u16::MAX as usize;

/// One message on the wire: a raw id and an owned body.
///
/// ```text
///  byte   0       1       2       3       4               4 + length
///         +-------+-------+-------+-------+----- ... -----+
///         |      id       |    length     |     body      |
///         +-------+-------+-------+-------+----- ... -----+
/// ```
///
/// Both numbers are unsigned and big-endian; the length counts the body alone.
/// The length is not a field here because it always follows from `body`.
///
/// `Debug` prints the id and the length of the body, never its bytes.
///
/// ```
/// use uschat_wire::Frame;
///
/// let frame = Frame::new(1005, r#"{"token":"secret"}"#);
/// assert_eq!(format!("{frame:?}"), "Frame { id: 1005, body_len: 18 }");
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Frame {
    /// What kind of message this is. Every value is legal on the wire.
    pub id: u16,
    /// The content, possibly empty. A body longer than [`MAX_BODY_LEN`] can be
    /// held here but is refused by the encoder.
    pub body: Bytes,
}

impl Frame {
    /// A frame of this id and body. Static slices, `Vec<u8>` and `String` are
    /// taken over without a copy.
    #[inline]
    pub fn new(id: u16, body: impl Into<Bytes>) -> Self {
        let body = body.into();
        Self { id, body }
    }

    /// Bytes this frame takes on the wire: [`HEADER_LEN`] and the body.
    #[inline]
    pub fn encoded_len(&self) -> usize {
        HEADER_LEN + self.body.len()
    }
}

impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        debug_without_body(f, "Frame", self.id, self.body.len())
    }
}

/// A frame seen in somebody else's buffer: the borrowed twin of [`Frame`].
///
/// `Debug` prints the id and the length of the body, never its bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct FrameRef<'a> {
    /// What kind of message this is. Every value is legal on the wire.
    pub id: u16,
    /// The content, possibly empty, still lying in the buffer it came in.
    pub body: &'a [u8],
}

impl FrameRef<'_> {
    /// Bytes this frame takes on the wire: [`HEADER_LEN`] and the body.
    #[inline]
    pub fn encoded_len(&self) -> usize {
        HEADER_LEN + self.body.len()
    }

    /// Copies the body, so that the frame outlives the buffer.
    pub fn to_frame(&self) -> Frame {
        Frame::new(self.id, Bytes::copy_from_slice(self.body))
    }
}

impl fmt::Debug for FrameRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        debug_without_body(f, "FrameRef", self.id, self.body.len())
    }
}

fn debug_without_body(f: &mut fmt::Formatter<'_>, name: &str, id: u16, body_len: usize) -> fmt::Result {
    f.debug_struct(name).field("id", &id).field("body_len", &body_len).finish()
}

/// The four bytes in front of a body, in the order they travel.
#[derive(Clone, Copy)]
pub(crate) struct Header {
    pub(crate) id: u16,
    pub(crate) body_len: u16,
}

impl Header {
    /// The header at the start of `bytes`, once all of it is there.
    #[inline]
    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        let &[id_high, id_low, len_high, len_low] = bytes.first_chunk::<HEADER_LEN>()?;
        Some(Self { id: u16::from_be_bytes([id_high, id_low]), body_len: u16::from_be_bytes([len_high, len_low]) })
    }

    #[inline]
    pub(crate) fn to_bytes(self) -> [u8; HEADER_LEN] {
        let [id_high, id_low] = self.id.to_be_bytes();
        let [len_high, len_low] = self.body_len.to_be_bytes();
        [id_high, id_low, len_high, len_low]
    }

    /// Length of the whole frame in bytes: header and body.
    #[inline]
    pub(crate) fn frame_len(self) -> usize {
        HEADER_LEN + usize::from(self.body_len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_never_shows_a_body() {
        let frame = Frame::new(1005, "hunter2");
        let borrowed = FrameRef { id: 1005, body: b"hunter2" };
        assert_eq!(format!("{frame:?}"), "Frame { id: 1005, body_len: 7 }");
        assert_eq!(format!("{borrowed:?}"), "FrameRef { id: 1005, body_len: 7 }");
    }

    #[test]
    fn both_kinds_agree_about_their_length_and_content() {
        let borrowed = FrameRef { id: 7, body: b"abc" };
        let frame = borrowed.to_frame();
        assert_eq!(frame, Frame::new(7, "abc"));
        assert_eq!(frame.encoded_len(), 7);
        assert_eq!(borrowed.encoded_len(), 7);
    }

    #[test]
    fn header_is_big_endian_and_unsigned() {
        let header = Header { id: 0xF203, body_len: 0x8001 };
        assert_eq!(header.to_bytes(), [0xF2, 0x03, 0x80, 0x01]);

        let read = Header::read(&[0xF2, 0x03, 0x80, 0x01, 0xFF]).unwrap();
        assert_eq!((read.id, read.body_len), (0xF203, 0x8001));
        assert_eq!(read.frame_len(), 32_773);
    }

    #[test]
    fn three_bytes_are_not_a_header() {
        assert!(Header::read(&[0, 1, 0]).is_none());
    }
}
