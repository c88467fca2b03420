//! The codecs that the targets `codec`, `ratios` and `instructions` compare, so
//! that all three mean the same by a name. The pools lie beside them.
//!
//! Every contender takes the same bytes, tells the same checksum, and keeps its
//! buffer from one stream to the next, as a connection does.

#![allow(dead_code, reason = "each target uses a part of it")]

pub(crate) mod decode;
pub(crate) mod encode;

use tokio_util::codec::LengthDelimitedCodec;
use uschat_benches::HEADER_LEN;

/// tokio-util's codec for frames of id, length and body, which it can read. The
/// header stays in front of the body: without it the id would be lost.
pub(crate) fn length_delimited_decoder() -> LengthDelimitedCodec {
    LengthDelimitedCodec::builder()
        .length_field_offset(2)
        .length_field_length(2)
        .length_adjustment(HEADER_LEN as isize)
        .num_skip(0)
        .new_codec()
}

/// tokio-util's codec cannot write an id. A length of four bytes makes as many
/// bytes in front of a body.
pub(crate) fn length_delimited_encoder() -> LengthDelimitedCodec {
    LengthDelimitedCodec::builder().length_field_length(HEADER_LEN).new_codec()
}
