//! Frames for a message connection: bytes in, frames out, and back.
//!
//! A TCP connection carries bytes, not messages. This crate puts the borders
//! back: every message travels as one [`Frame`], a raw numeric id and a body.
//!
//! ```text
//!  byte   0       1       2       3       4               4 + length
//!         +-------+-------+-------+-------+----- ... -----+
//!         |      id       |    length     |     body      |
//!         +-------+-------+-------+-------+----- ... -----+
//!           u16, big-endian u16, big-endian  length bytes
//! ```
//!
//! That is the default [`Layout`], [`Id16Length16`]. [`Id16Length32`] has four
//! bytes of length; widths, byte order and what the length counts of a layout of
//! your own take four lines.
//!
//! # Example
//!
//! ```
//! use uschat_wire::{Limits, ReadBuffer, WriteBuffer};
//! use bytes::Buf;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // The sending side: many frames, one write.
//! let mut out = WriteBuffer::new(Limits::unrestricted());
//! out.push(1017, br#"{"text":"hello"}"#)?;
//! out.push(1023, b"")?;
//! let sent = out.copy_to_bytes(out.remaining()); // or write it to a socket
//!
//! // The receiving side: the network cuts the stream where it likes.
//! let mut received = ReadBuffer::new(Limits::default().max_body_of(1023, 64));
//! let mut ids = Vec::new();
//! for piece in sent.chunks(7) {
//!     received.extend(piece);
//!     for frame in received.frames() {
//!         let frame = frame?; // borrowed: nothing was copied or allocated
//!         ids.push((frame.id, frame.body.len()));
//!     }
//! }
//! assert_eq!(ids, [(1017, 16), (1023, 0)]);
//! # Ok(())
//! # }
//! ```
//!
//! # Which entry point
//!
//! | you have | and want | use |
//! |---|---|---|
//! | received pieces | to look at each frame where it lies | [`ReadBuffer`] |
//! | a slice | the same | [`FrameDecoder::frames`], [`decode_slice`] |
//! | a `BytesMut` | owned frames | [`FrameDecoder::decode`] |
//! | bodies | many frames in one write | [`WriteBuffer`] |
//! | a body, or a serializer that writes one | a frame at the end of a `Vec` or `BytesMut` | [`encode`], [`encode_with`], [`FrameEncoder`] |
//! | a tokio socket | frames, as many as a read brings | `FrameReader` (feature `tokio`) |
//! | a tokio socket and many tasks that send | few writes, back-pressure | `FrameWriter`, `FrameSender` (feature `tokio`) |
//! | code that wants a tokio-util codec | `Framed` | `FrameCodec` (feature `tokio`) |
//!
//! # What it promises
//!
//! * **Bytes only.** The core has no socket, no clock, no runtime: the caller
//!   reads, writes and watches the time. "Not enough bytes yet" is no error.
//! * **Bounded.** A length is compared with [`Limits`], which may differ by id
//!   and by direction, as soon as the header has arrived; and a length that is
//!   allowed is still only a claim: memory grows with the bytes that came, not
//!   with the bytes that were announced.
//! * **Linear.** The work depends on the number of bytes, not on how the
//!   network cut them into pieces.
//! * **No panic on input.** Any bytes lead to frames, to "not yet" or to a
//!   [`DecodeError`], which says what was seen, what is allowed, where in the
//!   stream, and whether the stream can go on.
//! * **Nothing half-written.** A frame that cannot be encoded leaves the output
//!   as it was.
//! * **Nothing held while idle.** Buffers take no memory before the first byte,
//!   and give it back.
//! * **Discreet.** Bodies may hold passwords, so `Debug` shows their length and
//!   never their bytes.
//!
//! # Limits
//!
//! * In the default layout a body has at most 65,535 bytes ([`MAX_BODY_LEN`]):
//!   the header cannot express more. In any layout it has at most 2,147,483,647.
//!   There is no continuation; a longer message must be divided above this crate.
//! * A receiver accepts 32,767 bytes unless told otherwise ([`Limits`]).
//! * Ids have up to 16 bits.
//! * The stream carries no marker to search for. After a header that announces
//!   too much the connection cannot be brought back into step and has to be
//!   closed.
//!
//! # Features
//!
//! * `std` (default): vectored writes. Without it the crate needs `core` and
//!   `alloc` only; its dependencies are `bytes` and `thiserror`.
//! * `tokio`: `FrameReader`, `FrameWriter` and `FrameSender` for sockets, and
//!   `FrameCodec`, a `tokio_util::codec` decoder and encoder.
//!
//! # Place in the family
//!
//! This is the lowest crate. It knows nothing of chat: any id is legal here,
//! and what an unknown id means is for the layer above, `uschat-proto` and the
//! handlers, to say. PROTOCOL.md describes the messages inside the frames.

#![forbid(unsafe_code)]
#![no_std]

extern crate alloc;
#[cfg(any(feature = "std", test))]
extern crate std;

#[cfg(feature = "tokio")]
mod codec;
mod copy;
mod decoder;
mod encoder;
mod error;
mod frame;
mod frames;
#[cfg(feature = "tokio")]
mod io;
mod layout;
mod limits;
mod read_buffer;
mod state;
mod write_buffer;

#[cfg(feature = "tokio")]
pub use codec::{CodecError, FrameCodec};
pub use decoder::FrameDecoder;
pub use encoder::{FrameEncoder, Output, encode, encode_with};
pub use error::{DecodeError, EncodeError, EncodeWithError};
pub use frame::{Frame, FrameRef, HEADER_LEN, MAX_BODY_LEN};
pub use frames::{Frames, decode_slice};
#[cfg(feature = "tokio")]
pub use io::{
    FrameReader, FrameSender, FrameWriter, Local, LocalFrameSender, ReadError, SendError, Sharing, Threads,
    TrySendError, WriterConfig,
};
pub use layout::{ByteOrder, Id16Length16, Id16Length32, Layout, header_len, max_body_len};
pub use limits::Limits;
pub use read_buffer::ReadBuffer;
pub use write_buffer::WriteBuffer;
