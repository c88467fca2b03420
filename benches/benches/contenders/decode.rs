//! Bytes to frames.
//!
//! Each contender copies what a read brought into a buffer of its own, as the
//! read of a socket would, and then takes all whole frames. Owned frames are
//! looked at where `decode` put them: to move one first costs up to 8 ns, more
//! for one peer than for another. Whoever stops at an error is found out by the
//! checksum.

use std::hint::black_box;

use bytes::{Buf, Bytes, BytesMut};
use tokio_util::codec::{Decoder, LengthDelimitedCodec};
use uschat_benches::{HEADER_LEN, MAX_STREAM_LEN};
use uschat_wire::{FrameCodec, FrameDecoder, Limits, ReadBuffer};

use super::length_delimited_decoder;

/// A way to decode.
pub(crate) struct Contender {
    pub(crate) name: &'static str,
    /// A receiver for the start of a stream, with a buffer of so many bytes.
    pub(crate) start: fn(usize) -> Box<dyn Receiver>,
}

/// All of them. The first is the one the others are compared with.
pub(crate) const CONTENDERS: [Contender; 8] = [
    Contender { name: "length_delimited", start: |capacity| Box::new(LengthDelimited::start(capacity)) },
    Contender { name: "naive_decoder", start: |capacity| Box::new(Naive::start(capacity)) },
    Contender { name: "uschat", start: |capacity| Box::new(Owned::start(capacity, FrameDecoder::MAX_COPIED_BODY)) },
    Contender { name: "uschat_sharing", start: |capacity| Box::new(Owned::start(capacity, 0)) },
    Contender { name: "uschat_borrowed", start: |capacity| Box::new(Borrowed::start(capacity)) },
    Contender { name: "uschat_slice", start: |capacity| Box::new(Slice::start(capacity)) },
    Contender { name: "bare_parser", start: |capacity| Box::new(BareParser::start(capacity)) },
    Contender { name: "memcpy", start: |capacity| Box::new(Memcpy::start(capacity)) },
];

/// The contender of this name.
pub(crate) fn contender(name: &str) -> &'static Contender {
    CONTENDERS.iter().find(|contender| contender.name == name).expect("a name in the list")
}

/// One end of a connection.
pub(crate) trait Receiver {
    /// Receives `stream` in reads of so many bytes. Returns the sum of
    /// [`seen`] of its frames.
    fn receive(&mut self, stream: &[u8], read: usize) -> u64;
}

impl<R: ReadFrames> Receiver for R {
    fn receive(&mut self, stream: &[u8], read: usize) -> u64 {
        stream.chunks(read).map(|bytes| self.read(bytes)).sum()
    }
}

trait ReadFrames {
    fn read(&mut self, bytes: &[u8]) -> u64;
}

/// What every contender does with a frame.
#[inline(always)]
fn seen(id: u16, body_len: usize) -> u64 {
    u64::from(id) + body_len as u64
}

struct LengthDelimited {
    codec: LengthDelimitedCodec,
    buf: BytesMut,
}

impl LengthDelimited {
    fn start(capacity: usize) -> Self {
        Self { codec: length_delimited_decoder(), buf: BytesMut::with_capacity(capacity) }
    }
}

impl ReadFrames for LengthDelimited {
    fn read(&mut self, bytes: &[u8]) -> u64 {
        self.buf.extend_from_slice(bytes);
        let mut sum = 0;
        while let Ok(Some(frame)) = &self.codec.decode(&mut self.buf) {
            sum += seen(u16::from_be_bytes([frame[0], frame[1]]), frame.len() - HEADER_LEN);
        }
        sum
    }
}

struct Naive {
    codec: NaiveCodec,
    buf: BytesMut,
}

impl Naive {
    fn start(capacity: usize) -> Self {
        Self { codec: NaiveCodec { max_body: black_box(MAX_STREAM_LEN) }, buf: BytesMut::with_capacity(capacity) }
    }
}

impl ReadFrames for Naive {
    fn read(&mut self, bytes: &[u8]) -> u64 {
        self.buf.extend_from_slice(bytes);
        let mut sum = 0;
        while let Ok(Some((id, body))) = &self.codec.decode(&mut self.buf) {
            sum += seen(*id, body.len());
        }
        sum
    }
}

/// The decoder that most people write for `Framed`.
struct NaiveCodec {
    max_body: usize,
}

impl Decoder for NaiveCodec {
    type Item = (u16, Bytes);
    type Error = std::io::Error;

    fn decode(&mut self, src: &mut BytesMut) -> std::io::Result<Option<(u16, Bytes)>> {
        if src.len() < HEADER_LEN {
            return Ok(None);
        }
        let id = u16::from_be_bytes([src[0], src[1]]);
        let len = usize::from(u16::from_be_bytes([src[2], src[3]]));
        if len > self.max_body {
            return Err(std::io::ErrorKind::InvalidData.into());
        }
        if src.len() < HEADER_LEN + len {
            src.reserve(HEADER_LEN + len - src.len());
            return Ok(None);
        }
        src.advance(HEADER_LEN);
        Ok(Some((id, src.split_to(len).freeze())))
    }
}

struct Owned {
    codec: FrameCodec,
    buf: BytesMut,
}

impl Owned {
    fn start(capacity: usize, max_copied: usize) -> Self {
        let codec = FrameCodec::new(Limits::unrestricted()).copy_up_to(max_copied);
        Self { codec, buf: BytesMut::with_capacity(capacity) }
    }
}

impl ReadFrames for Owned {
    fn read(&mut self, bytes: &[u8]) -> u64 {
        self.buf.extend_from_slice(bytes);
        let mut sum = 0;
        while let Ok(Some(frame)) = &self.codec.decode(&mut self.buf) {
            sum += seen(frame.id, frame.body.len());
        }
        sum
    }
}

struct Borrowed {
    buf: ReadBuffer,
}

impl Borrowed {
    fn start(capacity: usize) -> Self {
        let mut buf = ReadBuffer::new(Limits::unrestricted());
        if capacity > 0 {
            buf.spare(capacity);
        }
        Self { buf }
    }
}

impl ReadFrames for Borrowed {
    fn read(&mut self, bytes: &[u8]) -> u64 {
        self.buf.extend(bytes);
        let mut sum = 0;
        for frame in self.buf.frames() {
            let frame = frame.unwrap();
            sum += seen(frame.id, frame.body.len());
        }
        sum
    }
}

/// The sans-I/O decoder over a `Vec` of the caller.
struct Slice {
    decoder: FrameDecoder,
    buf: Vec<u8>,
}

impl Slice {
    fn start(capacity: usize) -> Self {
        Self { decoder: FrameDecoder::new(Limits::unrestricted()), buf: Vec::with_capacity(capacity) }
    }
}

impl ReadFrames for Slice {
    fn read(&mut self, bytes: &[u8]) -> u64 {
        self.buf.extend_from_slice(bytes);
        let mut frames = self.decoder.frames(&self.buf);
        let mut sum = 0;
        for frame in &mut frames {
            let frame = frame.unwrap();
            sum += seen(frame.id, frame.body.len());
        }
        let rest = frames.rest().len();
        self.buf.drain(..self.buf.len() - rest);
        sum
    }
}

/// The least that can be written by hand: no error but a panic, no state.
struct BareParser {
    buf: Vec<u8>,
    max_body: usize,
}

impl BareParser {
    fn start(capacity: usize) -> Self {
        Self { buf: Vec::with_capacity(capacity), max_body: black_box(MAX_STREAM_LEN) }
    }
}

impl ReadFrames for BareParser {
    fn read(&mut self, bytes: &[u8]) -> u64 {
        self.buf.extend_from_slice(bytes);
        let mut rest = &self.buf[..];
        let mut sum = 0;
        while let Some((&[a, b, c, d], behind)) = rest.split_first_chunk::<HEADER_LEN>() {
            let len = usize::from(u16::from_be_bytes([c, d]));
            assert!(len <= self.max_body, "a body of {len} bytes");
            let Some((body, behind)) = behind.split_at_checked(len) else {
                break;
            };
            sum += seen(u16::from_be_bytes([a, b]), body.len());
            rest = behind;
        }
        let rest = rest.len();
        self.buf.drain(..self.buf.len() - rest);
        sum
    }
}

/// The copy into the buffer alone, which nobody can do without.
struct Memcpy {
    buf: Vec<u8>,
}

impl Memcpy {
    fn start(capacity: usize) -> Self {
        Self { buf: Vec::with_capacity(capacity) }
    }
}

impl ReadFrames for Memcpy {
    fn read(&mut self, bytes: &[u8]) -> u64 {
        if self.buf.len() + bytes.len() > MAX_STREAM_LEN {
            self.buf.clear();
        }
        self.buf.extend_from_slice(bytes);
        black_box(&mut self.buf);
        0
    }
}
