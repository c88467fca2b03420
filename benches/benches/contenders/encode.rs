//! Frames to bytes.
//!
//! Each contender appends the frames of a batch to a buffer that it uses for
//! every batch anew, as between two writes to a socket.

use std::hint::black_box;
use std::io::IoSlice;

use bytes::{Buf, Bytes, BytesMut};
use tokio_util::codec::{Encoder, LengthDelimitedCodec};
use uschat_benches::{FRAME_ID, HEADER_LEN, body};
use uschat_wire::{Frame, FrameCodec, Limits, WriteBuffer};

use super::length_delimited_encoder;

/// A way to encode.
pub(crate) struct Contender {
    pub(crate) name: &'static str,
    /// Shorter bodies are not its business.
    pub(crate) min_body: usize,
    /// A sender without memory.
    pub(crate) start: fn() -> Box<dyn Sender>,
}

/// All of them. The first is the one the others are compared with.
pub(crate) const CONTENDERS: [Contender; 8] = [
    Contender { name: "length_delimited", min_body: 0, start: || Box::new(LengthDelimited::start()) },
    Contender { name: "length_delimited_slice", min_body: 0, start: || Box::new(LengthDelimitedSlice::start()) },
    Contender { name: "prost", min_body: 0, start: || Box::new(Prost::default()) },
    Contender { name: "uschat", min_body: 0, start: || Box::new(Codec::start()) },
    Contender { name: "uschat_vec", min_body: 0, start: || Box::new(IntoVec::default()) },
    Contender { name: "uschat_borrowed", min_body: 0, start: || Box::new(Pushed::start()) },
    Contender { name: "uschat_shared", min_body: WriteBuffer::MIN_SHARED_BODY, start: || Box::new(Shared::start()) },
    Contender { name: "memcpy", min_body: 0, start: || Box::new(Memcpy::default()) },
];

/// The contender of this name.
pub(crate) fn contender(name: &str) -> &'static Contender {
    CONTENDERS.iter().find(|contender| contender.name == name).expect("a name in the list")
}

/// Frames to be sent, all of the same length. They come from memory one by one,
/// so that no contender can prepare its checks outside of its loop.
pub(crate) struct Batch {
    distinct: [Frame; DISTINCT],
    frames: usize,
}

const DISTINCT: usize = 16;

impl Batch {
    /// So many frames with bodies of so many bytes.
    pub(crate) fn new(body_len: usize, frames: usize) -> Self {
        let body = Bytes::from(body(body_len));
        Self { distinct: std::array::from_fn(|_| Frame::new(FRAME_ID, body.clone())), frames }
    }

    /// Bytes of the whole batch.
    pub(crate) fn encoded_len(&self) -> usize {
        self.frames * self.distinct[0].encoded_len()
    }

    #[inline(always)]
    fn frames(&self) -> impl Iterator<Item = &Frame> {
        (0..self.frames).map(|index| &self.distinct[index % DISTINCT])
    }
}

/// One end of a connection.
pub(crate) trait Sender {
    /// Puts a batch into the buffer and returns how many bytes it takes there.
    fn send(&mut self, batch: &Batch) -> usize;
}

struct LengthDelimited {
    codec: LengthDelimitedCodec,
    out: BytesMut,
}

impl LengthDelimited {
    fn start() -> Self {
        Self { codec: length_delimited_encoder(), out: BytesMut::new() }
    }
}

impl Sender for LengthDelimited {
    fn send(&mut self, batch: &Batch) -> usize {
        self.out.clear();
        for frame in batch.frames() {
            self.codec.encode(frame.body.clone(), &mut self.out).unwrap();
        }
        black_box(&mut self.out).len()
    }
}

/// The same without the cost of a `Bytes`.
struct LengthDelimitedSlice(LengthDelimited);

impl LengthDelimitedSlice {
    fn start() -> Self {
        Self(LengthDelimited::start())
    }
}

impl Sender for LengthDelimitedSlice {
    fn send(&mut self, batch: &Batch) -> usize {
        let LengthDelimited { codec, out } = &mut self.0;
        out.clear();
        for frame in batch.frames() {
            codec.encode(&frame.body[..], out).unwrap();
        }
        black_box(out).len()
    }
}

/// A length of one to three bytes and no id: what prost puts in front of a
/// message in a stream.
#[derive(Default)]
struct Prost {
    out: Vec<u8>,
}

impl Sender for Prost {
    fn send(&mut self, batch: &Batch) -> usize {
        self.out.clear();
        for frame in batch.frames() {
            prost::encode_length_delimiter(frame.body.len(), &mut self.out).unwrap();
            self.out.extend_from_slice(&frame.body);
        }
        black_box(&mut self.out).len()
    }
}

struct Codec {
    codec: FrameCodec,
    out: BytesMut,
}

impl Codec {
    fn start() -> Self {
        Self { codec: FrameCodec::default(), out: BytesMut::new() }
    }
}

impl Sender for Codec {
    fn send(&mut self, batch: &Batch) -> usize {
        self.out.clear();
        for frame in batch.frames() {
            self.codec.encode(frame.clone(), &mut self.out).unwrap();
        }
        black_box(&mut self.out).len()
    }
}

#[derive(Default)]
struct IntoVec {
    out: Vec<u8>,
}

impl Sender for IntoVec {
    fn send(&mut self, batch: &Batch) -> usize {
        self.out.clear();
        for frame in batch.frames() {
            uschat_wire::encode(frame.id, &frame.body, &mut self.out).unwrap();
        }
        black_box(&mut self.out).len()
    }
}

struct Pushed {
    out: WriteBuffer,
}

impl Pushed {
    fn start() -> Self {
        Self { out: WriteBuffer::new(Limits::unrestricted()) }
    }
}

impl Sender for Pushed {
    fn send(&mut self, batch: &Batch) -> usize {
        self.out.clear();
        for frame in batch.frames() {
            self.out.push(frame.id, &frame.body).unwrap();
        }
        black_box(&mut self.out).remaining()
    }
}

/// Bodies stay where they are; a vectored write gets their places.
struct Shared {
    out: WriteBuffer,
}

impl Shared {
    fn start() -> Self {
        Self { out: WriteBuffer::new(Limits::unrestricted()) }
    }
}

impl Sender for Shared {
    fn send(&mut self, batch: &Batch) -> usize {
        self.out.clear();
        for frame in batch.frames() {
            self.out.push_frame(frame.clone()).unwrap();
        }
        let mut slices = [IoSlice::new(&[]); 64];
        let filled = self.out.chunks_vectored(&mut slices);
        black_box(&slices[..filled]).iter().map(|slice| slice.len()).sum()
    }
}

/// The copies of header and body alone.
#[derive(Default)]
struct Memcpy {
    out: Vec<u8>,
}

impl Sender for Memcpy {
    fn send(&mut self, batch: &Batch) -> usize {
        self.out.resize(batch.encoded_len(), 0);
        let mut rest = &mut self.out[..];
        for frame in batch.frames() {
            let place;
            (place, rest) = rest.split_at_mut(frame.encoded_len());
            place[..HEADER_LEN].copy_from_slice(&[0; HEADER_LEN]);
            place[HEADER_LEN..].copy_from_slice(&frame.body);
        }
        black_box(&mut self.out).len()
    }
}
