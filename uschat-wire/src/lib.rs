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
//! # What it promises
//!
//! * **Bytes only.** No socket, no clock, no runtime: the caller reads, writes
//!   and watches the time. "Not enough bytes yet" is `Ok(None)`, not an error.
//! * **Bounded.** A length is compared with [`Limits`] as soon as the header
//!   has arrived, and a length that is allowed is still only a claim: memory
//!   grows with the bytes that came, not with the bytes that were announced.
//! * **Linear.** The work depends on the number of bytes, not on how the
//!   network cut them into pieces.
//! * **No panic on input.** Any bytes lead to frames, to `Ok(None)` or to a
//!   [`DecodeError`].
//! * **Nothing half-written.** A failed [`encode`] or [`encode_with`] leaves
//!   the output as it was.
//! * **Discreet.** Bodies may hold passwords, so `Debug` shows their length and
//!   never their bytes.
//!
//! # Example
//!
//! ```
//! use bytes::BytesMut;
//! use uschat_wire::{Frame, FrameDecoder, Limits, encode};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // The sending side: two frames in one buffer, ready for one write.
//! let mut out = BytesMut::new();
//! encode(1017, br#"{"text":"hello"}"#, &mut out)?;
//! encode(1023, b"", &mut out)?;
//!
//! // The receiving side: the network cuts the stream where it likes.
//! let mut decoder = FrameDecoder::new(Limits::default());
//! let mut received = BytesMut::new();
//! let mut frames = Vec::new();
//! for piece in out.chunks(7) {
//!     received.extend_from_slice(piece);
//!     while let Some(frame) = decoder.decode(&mut received)? {
//!         frames.push(frame);
//!     }
//! }
//! assert_eq!(frames[0], Frame::new(1017, &br#"{"text":"hello"}"#[..]));
//! assert_eq!(frames[1], Frame::new(1023, ""));
//! # Ok(())
//! # }
//! ```
//!
//! # Which entry point
//!
//! | you have | use |
//! |---|---|
//! | a read buffer, and want frames that live on | [`FrameDecoder`] |
//! | a slice, and look at each frame where it lies | [`decode_slice`] |
//! | a finished body | [`encode`] |
//! | a serializer that writes the body | [`encode_with`] |
//! | a tokio stream and sink | `FrameCodec` (feature `tokio`) |
//!
//! # Place in the family
//!
//! This is the lowest crate. It knows nothing of chat: any id is legal here,
//! and what an unknown id means is for the layer above, `uschat-proto` and the
//! handlers, to say. PROTOCOL.md describes the messages inside the frames.
//!
//! # Limits
//!
//! * A body has at most 65,535 bytes ([`MAX_BODY_LEN`]): the header cannot
//!   express more. There is no continuation; a longer message must be divided
//!   above this crate.
//! * A receiver accepts 32,767 bytes unless told otherwise ([`Limits`]).
//! * The stream carries no marker to search for. After a refused header the
//!   connection cannot be brought back into step and has to be closed.
//!
//! # Features
//!
//! * none by default: `bytes` and `thiserror` are the only dependencies.
//! * `tokio`: `FrameCodec`, the frames as a `tokio_util::codec` decoder and
//!   encoder.

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
