//! The frame: a two-byte id, a two-byte length and a body.

use core::fmt;

use bytes::Bytes;

/// Bytes in front of every body in the default layout: the id (2) and the
/// body's length (2).
pub const HEADER_LEN: usize = 4;

/// The longest body the header of the default layout can announce, in bytes:
/// 65,535.
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
/// That is the default layout ([`Id16Length16`](crate::Id16Length16)): both
/// numbers are unsigned and big-endian, and the length counts the body alone.
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
    /// The content, possibly empty. A body longer than the header can
    /// announce can be held here but is refused by the encoder.
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

    /// Bytes this frame takes on the wire in the default layout: [`HEADER_LEN`]
    /// and the body.
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
    /// Bytes this frame takes on the wire in the default layout: [`HEADER_LEN`]
    /// and the body.
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

#[cfg(test)]
mod tests {
    use alloc::format;

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
}
