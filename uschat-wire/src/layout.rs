//! How a header is written: widths, byte order, what the length counts.

use core::fmt::Debug;

/// Longest body this crate handles in any layout: what a signed 32-bit integer counts.
const MAX_COUNTED: u32 = i32::MAX as u32;

/// The order of the bytes of the numbers in a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ByteOrder {
    /// Most significant byte first: network byte order.
    BigEndian,
    /// Least significant byte first.
    LittleEndian,
}

/// The shape of the header in front of every body: the id, then the length.
///
/// Everything in this crate that reads or writes headers takes a layout as its
/// last type parameter and has [`Id16Length16`] there by default. A layout is
/// a type without fields, so all of it is decided when the program is compiled.
/// Widths out of range are compile errors at the first use.
///
/// ```
/// use uschat_wire::{ByteOrder, FrameDecoder, Layout, Limits};
///
/// /// One byte of id, three of length, little-endian; the length counts all.
/// #[derive(Debug, Clone, Copy, Default)]
/// struct Meter;
///
/// impl Layout for Meter {
///     const ID_LEN: usize = 1;
///     const LENGTH_LEN: usize = 3;
///     const BYTE_ORDER: ByteOrder = ByteOrder::LittleEndian;
///     const LENGTH_COUNTS_HEADER: bool = true;
/// }
///
/// let mut decoder = FrameDecoder::<Meter>::with_layout(Limits::default());
/// let mut frames = decoder.frames(b"\x07\x06\x00\x00hi");
/// let frame = frames.next().unwrap()?;
/// assert_eq!((frame.id, frame.body), (7, &b"hi"[..]));
/// # Ok::<(), uschat_wire::DecodeError>(())
/// ```
pub trait Layout: Debug + Copy + Default + 'static {
    /// Bytes of the id: 0, 1 or 2. Without an id every frame has id 0.
    const ID_LEN: usize;
    /// Bytes of the length: 1, 2, 3 or 4.
    const LENGTH_LEN: usize;
    /// The order of the bytes of both numbers. Default: big-endian.
    const BYTE_ORDER: ByteOrder = ByteOrder::BigEndian;
    /// Whether the length counts the header's own bytes too. Default: it counts
    /// the body alone.
    const LENGTH_COUNTS_HEADER: bool = false;
}

/// Two bytes of id, two of length, big-endian: chat connections (PROTOCOL.md,
/// "Frames"). Bodies up to 65,535 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Id16Length16;

impl Layout for Id16Length16 {
    const ID_LEN: usize = 2;
    const LENGTH_LEN: usize = 2;
}

/// Two bytes of id, four of length, big-endian: resource connections, which
/// carry files. Bodies up to 2,147,483,647 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Id16Length32;

impl Layout for Id16Length32 {
    const ID_LEN: usize = 2;
    const LENGTH_LEN: usize = 4;
}

/// Bytes in front of every body in this layout.
#[inline]
pub const fn header_len<L: Layout>() -> usize {
    const {
        assert!(L::ID_LEN <= 2, "Layout::ID_LEN must be 0, 1 or 2");
        assert!(L::LENGTH_LEN >= 1 && L::LENGTH_LEN <= 4, "Layout::LENGTH_LEN must be 1, 2, 3 or 4");
        L::ID_LEN + L::LENGTH_LEN
    }
}

/// The longest body a header of this layout can announce, in bytes. Lengths
/// above 2,147,483,647 are refused in every layout.
#[inline]
pub const fn max_body_len<L: Layout>() -> usize {
    const {
        let largest = largest_number(L::LENGTH_LEN) as usize;
        let longest = if L::LENGTH_COUNTS_HEADER { largest - header_len::<L>() } else { largest };
        if longest > MAX_COUNTED as usize { MAX_COUNTED as usize } else { longest }
    }
}

/// The largest id a header of this layout can carry.
#[inline]
pub(crate) const fn max_id<L: Layout>() -> u16 {
    const { if L::ID_LEN == 0 { 0 } else { largest_number(L::ID_LEN) as u16 } }
}

/// The largest number in so many bytes.
const fn largest_number(len: usize) -> u32 {
    u32::MAX >> (8 * (4 - len))
}

/// What a header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) id: u16,
    /// Bytes of the body. A length that counts the header and is shorter than
    /// it wraps around, to more than any body may have.
    pub(crate) body_len: u32,
}

impl Header {
    /// The header at the front of `bytes`, once all of it is there, and what is
    /// behind it.
    #[inline(always)]
    pub(crate) fn split_off<L: Layout>(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let (header, rest) = bytes.split_at_checked(header_len::<L>())?;
        let (id, length) = header.split_at(L::ID_LEN);
        let (id, length) = (number::<L>(id), number::<L>(length));
        let counted = if L::LENGTH_COUNTS_HEADER { header_len::<L>() as u32 } else { 0 };
        Some((Self { id: id as u16, body_len: length.wrapping_sub(counted) }, rest))
    }

    /// The number in the length field, as it travels.
    pub(crate) fn length_field<L: Layout>(self) -> u32 {
        if L::LENGTH_COUNTS_HEADER { self.body_len.wrapping_add(header_len::<L>() as u32) } else { self.body_len }
    }

    /// The header as it travels, at the front of eight bytes. Put together in a
    /// register: bytes stored in parts and loaded as a whole wait for each other.
    #[inline(always)]
    pub(crate) fn to_bytes<L: Layout>(self) -> [u8; 8] {
        let (id, length) = (u64::from(self.id), u64::from(self.length_field::<L>()));
        match L::BYTE_ORDER {
            ByteOrder::BigEndian => {
                let number = id << (8 * L::LENGTH_LEN) | length;
                (number << (8 * (8 - header_len::<L>()))).to_be_bytes()
            }
            ByteOrder::LittleEndian => (length << (8 * L::ID_LEN) | id).to_le_bytes(),
        }
    }

    /// Writes the header over `out`, which has its length.
    #[inline(always)]
    pub(crate) fn write<L: Layout>(self, out: &mut [u8]) {
        out.copy_from_slice(&self.to_bytes::<L>()[..header_len::<L>()]);
    }
}

/// The number in these 0 to 4 bytes. The length of `bytes` is known when this
/// is compiled, so one arm is left.
#[inline(always)]
fn number<L: Layout>(bytes: &[u8]) -> u32 {
    match (L::BYTE_ORDER, bytes) {
        (_, []) => 0,
        (_, &[a]) => u32::from(a),
        (ByteOrder::BigEndian, &[a, b]) => u32::from(u16::from_be_bytes([a, b])),
        (ByteOrder::BigEndian, &[a, b, c]) => u32::from_be_bytes([0, a, b, c]),
        (ByteOrder::BigEndian, &[a, b, c, d, ..]) => u32::from_be_bytes([a, b, c, d]),
        (ByteOrder::LittleEndian, &[a, b]) => u32::from(u16::from_le_bytes([a, b])),
        (ByteOrder::LittleEndian, &[a, b, c]) => u32::from_le_bytes([a, b, c, 0]),
        (ByteOrder::LittleEndian, &[a, b, c, d, ..]) => u32::from_le_bytes([a, b, c, d]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Clone, Copy, Default)]
    struct LittleCounted;

    impl Layout for LittleCounted {
        const ID_LEN: usize = 1;
        const LENGTH_LEN: usize = 3;
        const BYTE_ORDER: ByteOrder = ByteOrder::LittleEndian;
        const LENGTH_COUNTS_HEADER: bool = true;
    }

    #[derive(Debug, Clone, Copy, Default)]
    struct LengthOnly;

    impl Layout for LengthOnly {
        const ID_LEN: usize = 0;
        const LENGTH_LEN: usize = 4;
    }

    fn round_trip<L: Layout>(id: u16, body_len: u32, bytes: &[u8]) {
        let header = Header { id, body_len };
        let mut written = [0; 6];
        let written = &mut written[..header_len::<L>()];
        header.write::<L>(written);
        assert_eq!(written, bytes);
        let (read, rest) = Header::split_off::<L>(bytes).unwrap();
        assert_eq!((read, rest), (header, &[][..]));
        assert_eq!(Header::split_off::<L>(&bytes[1..]), None);
    }

    #[test]
    fn golden_headers_of_each_layout() {
        round_trip::<Id16Length16>(0xF203, 0x8001, &[0xF2, 0x03, 0x80, 0x01]);
        round_trip::<Id16Length32>(0x0102, 0x0304_0506, &[1, 2, 3, 4, 5, 6]);
        round_trip::<LittleCounted>(0x07, 0x0001_02FC, &[0x07, 0x00, 0x03, 0x01]);
        round_trip::<LengthOnly>(0, 0x0102_0304, &[1, 2, 3, 4]);
    }

    #[test]
    fn bounds_of_each_layout() {
        assert_eq!((header_len::<Id16Length16>(), max_body_len::<Id16Length16>()), (4, 65_535));
        assert_eq!((header_len::<Id16Length32>(), max_body_len::<Id16Length32>()), (6, 2_147_483_647));
        assert_eq!((header_len::<LittleCounted>(), max_body_len::<LittleCounted>()), (4, 0xFF_FFFF - 4));
        assert_eq!((max_id::<LengthOnly>(), max_id::<LittleCounted>(), max_id::<Id16Length16>()), (0, 255, 65_535));
    }

    #[test]
    fn a_length_shorter_than_the_header_it_counts_is_no_body_length() {
        let (header, _) = Header::split_off::<LittleCounted>(&[7, 3, 0, 0]).unwrap();
        assert!(header.body_len > MAX_COUNTED);
        assert_eq!(header.length_field::<LittleCounted>(), 3);
    }
}
