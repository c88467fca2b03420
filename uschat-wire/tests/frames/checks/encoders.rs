//! All ways to encode. Each has to write, byte for byte, what the reference writes, to refuse what it refuses for the
//! same reason, and to leave no trace of a refused frame.

use std::any::TypeId;
use std::io::IoSlice;

use bytes::{Buf, Bytes, BytesMut};
#[cfg(feature = "tokio")]
use tokio_util::codec::Encoder;
#[cfg(feature = "tokio")]
use uschat_wire::{CodecError, FrameCodec, Limits};
use uschat_wire::{
    EncodeError, EncodeWithError, Frame, FrameEncoder, Id16Length16, Layout, WriteBuffer, encode, encode_with,
};

use super::{Bounds, shape};

use crate::reference::{self, Refusal};

/// A frame to send: its id and its body, which is static so that nobody has to copy it first.
pub(crate) type Given = (u16, &'static [u8]);

/// Encodes these frames in every way, takes the waiting bytes away in pieces of these sizes, and returns all of them.
pub(crate) fn every_way<L: Layout>(frames: &[Given], sizes: &[usize], bounds: &Bounds) -> Vec<u8> {
    let mut bytes = Vec::new();
    let encode = |&(id, body): &Given| reference::encode(id, body, shape::<L>(), &bounds.rules, &mut bytes);
    let verdicts: Vec<_> = frames.iter().map(encode).collect();
    let expected = Expected { frames, verdicts, bytes };

    expected.appended::<L>(bounds);
    expected.waiting::<L>(sizes, bounds);
    expected.waiting_together::<L>(bounds);
    #[cfg(feature = "tokio")]
    expected.codec::<L>(bounds);
    if TypeId::of::<L>() == TypeId::of::<Id16Length16>() {
        expected.without_an_encoder();
    }
    expected.bytes
}

struct Expected<'a> {
    frames: &'a [Given],
    verdicts: Vec<Result<(), Refusal>>,
    bytes: Vec<u8>,
}

impl Expected<'_> {
    /// Encodes all frames with this function and compares what it says.
    fn each(&self, way: &str, mut encode: impl FnMut(u16, &'static [u8]) -> Result<(), EncodeError>) {
        for (&(id, body), verdict) in self.frames.iter().zip(&self.verdicts) {
            let result = encode(id, body).map_err(|error| refusal(&error, id, body.len()));
            assert_eq!(result, *verdict, "{way}: frame {id} of {} bytes", body.len());
        }
    }

    /// `FrameEncoder` into both kinds of buffer.
    fn appended<L: Layout>(&self, bounds: &Bounds) {
        let encoder = FrameEncoder::<L>::with_layout(bounds.limits.clone());
        let (mut vec, mut bytes_mut) = (Vec::new(), BytesMut::new());
        self.each("encode into Vec", |id, body| encoder.encode(id, body, &mut vec));
        self.each("encode into BytesMut", |id, body| encoder.encode(id, body, &mut bytes_mut));
        assert_eq!(vec, self.bytes);
        assert_eq!(bytes_mut, self.bytes);

        vec.clear();
        bytes_mut.clear();
        self.each("encode_with into Vec", |id, body| {
            in_place(encoder.encode_with(id, &mut vec, |out| in_two_parts(body, |part| out.extend_from_slice(part))))
        });
        self.each("encode_with into BytesMut", |id, body| {
            let write = |out: &mut BytesMut| in_two_parts(body, |part| out.extend_from_slice(part));
            in_place(encoder.encode_with(id, &mut bytes_mut, write))
        });
        assert_eq!(vec, self.bytes);
        assert_eq!(bytes_mut, self.bytes);
    }

    /// A `WriteBuffer` that is filled in all three ways while it is written from, one size after another.
    fn waiting<L: Layout>(&self, sizes: &[usize], bounds: &Bounds) {
        let mut buffer = WriteBuffer::<L>::with_layout(bounds.limits.clone());
        let mut sizes = sizes.iter().cycle();
        let mut taken = 0;
        let mut turn = 0;
        self.each("WriteBuffer", |id, body| {
            turn += 1;
            let result = match (turn + usize::from(id)) % 3 {
                0 => buffer.push(id, body),
                1 => buffer.push_frame(Frame::new(id, Bytes::from_static(body))),
                _ => in_place(buffer.push_with(id, |out| in_two_parts(body, |part| out.extend_from_slice(part)))),
            };
            if let Some(&size) = sizes.next() {
                taken += take(&mut buffer, size, &self.bytes[taken..]);
            }
            if turn % 5 == 4 {
                buffer.release();
            }
            result
        });
        assert_eq!(buffer.remaining(), self.bytes.len() - taken);
        while buffer.has_remaining() {
            // Thousands of bytes are not taken one by one.
            let size = sizes.next().copied().unwrap_or_default().max(1 + buffer.remaining() / 32);
            taken += take(&mut buffer, size, &self.bytes[taken..]);
        }
        assert_eq!((taken, buffer.frame_count()), (self.bytes.len(), 0));
    }

    /// A `WriteBuffer` that is filled once for each way, and looked at as a whole.
    fn waiting_together<L: Layout>(&self, bounds: &Bounds) {
        let mut buffer = WriteBuffer::<L>::with_layout(bounds.limits.clone());
        for shared in [false, true] {
            self.each("WriteBuffer", |id, body| match shared {
                false => buffer.push(id, body),
                true => buffer.push_frame(Frame::new(id, Bytes::from_static(body))),
            });
            assert_eq!(buffer.frame_count(), self.verdicts.iter().filter(|verdict| verdict.is_ok()).count());
            let mut slices = [IoSlice::new(&[]); 64];
            let filled = buffer.chunks_vectored(&mut slices);
            let mut rest = &self.bytes[..];
            for slice in &slices[..filled] {
                let (written, unwritten) = rest.split_at(slice.len());
                assert_eq!(**slice, *written);
                rest = unwritten;
            }
            assert!(rest.is_empty() || filled == slices.len(), "a vectored write takes all that fits");
            buffer.clear();
        }
    }

    #[cfg(feature = "tokio")]
    fn codec<L: Layout>(&self, bounds: &Bounds) {
        let mut codec = FrameCodec::<L>::with_layout(Limits::default(), bounds.limits.clone());
        let mut out = BytesMut::new();
        self.each("FrameCodec", |id, body| match codec.encode(Frame::new(id, Bytes::from_static(body)), &mut out) {
            Ok(()) => Ok(()),
            Err(CodecError::Encode(error)) => Err(error),
            Err(other) => panic!("{other}"),
        });
        assert_eq!(out, self.bytes);
    }

    /// The functions without limits: they write what an encoder without limits writes.
    fn without_an_encoder(&self) {
        let encoder = FrameEncoder::default();
        let (mut expected, mut at_once, mut in_parts) = (Vec::new(), Vec::new(), Vec::new());
        for &(id, body) in self.frames {
            let verdict = encoder.encode(id, body, &mut expected);
            assert_eq!(encode(id, body, &mut at_once), verdict);
            let written = encode_with(id, &mut in_parts, |out| in_two_parts(body, |part| out.extend_from_slice(part)));
            assert_eq!(in_place(written), verdict);
        }
        assert_eq!(at_once, expected);
        assert_eq!(in_parts, expected);
    }
}

/// Takes up to `size` bytes off the front, as a socket would, and says how many there were.
fn take<L: Layout>(buffer: &mut WriteBuffer<L>, size: usize, expected: &[u8]) -> usize {
    let mut taken = 0;
    while taken < size && buffer.has_remaining() {
        let chunk = buffer.chunk();
        let step = chunk.len().min(size - taken);
        assert!(step > 0, "bytes remain but none are shown");
        assert_eq!(chunk[..step], expected[taken..][..step]);
        buffer.advance(step);
        taken += step;
    }
    taken
}

fn in_two_parts(body: &[u8], mut write: impl FnMut(&[u8])) -> Result<(), std::convert::Infallible> {
    let (first, second) = body.split_at(body.len() / 3);
    write(first);
    write(second);
    Ok(())
}

fn in_place(result: Result<(), EncodeWithError<std::convert::Infallible>>) -> Result<(), EncodeError> {
    result.map_err(|error| match error {
        EncodeWithError::Frame(error) => error,
        other => panic!("{other}"),
    })
}

fn refusal(error: &EncodeError, expected_id: u16, expected_len: usize) -> Refusal {
    match *error {
        EncodeError::IdTooLarge { id, max } => {
            assert_eq!(id, expected_id);
            Refusal::IdTooLarge { max: u64::from(max) }
        }
        EncodeError::UnknownId { id } => {
            assert_eq!(id, expected_id);
            Refusal::UnknownId
        }
        EncodeError::BodyTooLong { id, len, max } => {
            assert_eq!((id, len), (expected_id, expected_len));
            Refusal::BodyTooLong { max: max as u64 }
        }
        ref other => panic!("an error that the reference does not know: {other:?}"),
    }
}
