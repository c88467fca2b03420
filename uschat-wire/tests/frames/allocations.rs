//! What allocates, and what does not: counted by the allocator.

use std::convert::Infallible;
use std::hint::black_box;
use std::io::IoSlice;
use std::mem::size_of;

use allocation_counter::{AllocationInfo, measure};
use bytes::{Buf, Bytes, BytesMut};
use uschat_wire::{Frame, FrameDecoder, FrameEncoder, Limits, ReadBuffer, WriteBuffer, decode_slice, encode};

const FRAMES: usize = 100;

fn stream(body_len: usize) -> Vec<u8> {
    let mut stream = Vec::new();
    for id in 0..FRAMES {
        encode(id as u16, &vec![7; body_len], &mut stream).expect("it fits");
    }
    stream
}

fn allocations(run: impl FnOnce()) -> u64 {
    measure(run).count_total
}

/// With a table of exceptions, which is shared and not copied.
fn limits() -> Limits {
    Limits::default().max_body(65_535).max_body_of(5000, 10).only_known(0..FRAMES as u16)
}

#[test]
fn the_counter_counts() {
    let AllocationInfo { count_total, bytes_max, .. } = measure(|| drop(black_box(vec![0_u8; 10])));
    assert_eq!((count_total, bytes_max), (1, 10));
}

#[test]
fn nothing_is_held_before_bytes_come() {
    let limits = limits();
    let made = allocations(|| {
        black_box(FrameDecoder::new(limits.clone()));
        black_box(FrameEncoder::new(limits.clone()));
        black_box(ReadBuffer::new(limits.clone()));
        black_box(WriteBuffer::new(limits.clone()));
        black_box(Limits::default());
    });
    assert_eq!(made, 0);
    let state = size_of::<ReadBuffer>() + size_of::<WriteBuffer>();
    assert!(state <= 512, "{state} bytes for an idle connection");
}

#[test]
fn borrowed_frames() {
    let stream = stream(64);
    let mut decoder = FrameDecoder::new(limits());
    let limits = limits();
    let made = allocations(|| {
        assert_eq!(decoder.frames(&stream).filter(|frame| black_box(frame).is_ok()).count(), FRAMES);
        let mut rest = &stream[..];
        while let Some((frame, len)) = decode_slice(rest, &limits).unwrap() {
            black_box(frame);
            rest = &rest[len..];
        }
        black_box(decoder.needs(&stream));
    });
    assert_eq!(made, 0);
}

#[test]
fn a_read_buffer_that_has_been_used() {
    let stream = stream(64);
    for piece in [1, 7, 1448, stream.len()] {
        let mut buffer = ReadBuffer::new(limits());
        let mut pass = || {
            let mut seen = 0;
            for (turn, bytes) in stream.chunks(piece).enumerate() {
                if turn % 2 == 0 {
                    buffer.extend(bytes);
                } else {
                    buffer.spare(bytes.len())[..bytes.len()].copy_from_slice(bytes);
                    buffer.advance(bytes.len());
                }
                seen += buffer.frames().filter(|frame| black_box(frame).is_ok()).count();
            }
            assert_eq!(seen, FRAMES);
        };
        pass();
        assert_eq!(allocations(pass), 0, "pieces of {piece}");
    }
}

#[test]
fn a_write_buffer_that_has_been_used() {
    let shared = Bytes::from(vec![7; WriteBuffer::MIN_SHARED_BODY]);
    let mut buffer = WriteBuffer::new(limits());
    let mut pass = || {
        for id in 0..FRAMES as u16 {
            buffer.push(id, &[7; 64]).unwrap();
            buffer.push_frame(Frame::new(id, shared.clone())).unwrap();
            let write = |out: &mut Vec<u8>| {
                out.extend_from_slice(&[7; 64]);
                Ok::<_, Infallible>(())
            };
            buffer.push_with(id, write).unwrap();
        }
        while buffer.has_remaining() {
            let mut slices = [IoSlice::new(&[]); 16];
            let filled = buffer.chunks_vectored(&mut slices);
            let written = slices[..filled].iter().map(|slice| slice.len()).sum();
            buffer.advance(written);
        }
    };
    // The first use shares the body, which makes a counter for it.
    pass();
    assert_eq!(allocations(pass), 0);
}

#[test]
fn bodies_on_either_side_of_the_border_between_copied_and_shared() {
    for (len, copied) in [(WriteBuffer::MIN_SHARED_BODY - 1, true), (WriteBuffer::MIN_SHARED_BODY, false)] {
        let body = Bytes::from(vec![7; len]);
        let mut buffer = WriteBuffer::new(Limits::default());
        buffer.push_frame(Frame::new(1, body.clone())).unwrap();
        assert_eq!(buffer.capacity() > len, copied, "{len}");
        buffer.advance(4);
        assert_eq!(buffer.chunk().as_ptr() != body.as_ptr(), copied, "{len}");
    }
}

#[test]
fn an_encoder_into_a_buffer_that_has_been_used() {
    let encoder = FrameEncoder::new(limits());
    let (mut vec, mut bytes_mut) = (Vec::new(), BytesMut::new());
    let mut pass = || {
        vec.clear();
        bytes_mut.clear();
        for id in 0..FRAMES as u16 {
            encoder.encode(id, &[7; 64], &mut vec).unwrap();
            encoder.encode(id, &[7; 64], &mut bytes_mut).unwrap();
            let write = |out: &mut Vec<u8>| {
                out.extend_from_slice(&[7; 64]);
                Ok::<_, Infallible>(())
            };
            encoder.encode_with(id, &mut vec, write).unwrap();
        }
    };
    pass();
    assert_eq!(allocations(pass), 0);
}

#[test]
fn refused_frames() {
    // Too long, and an unknown id, in the receiver's eyes and in the sender's.
    let (too_long, unknown) = (b"\x00\x01\xFF\xFF".to_vec(), b"\x01\x00\x00\x02no".to_vec());
    let limits = limits().max_body(100);
    for bytes in [&too_long, &unknown] {
        let mut buf = BytesMut::from(&bytes[..]);
        let mut owned = FrameDecoder::new(limits.clone());
        let mut borrowed = FrameDecoder::new(limits.clone());
        let mut buffer = ReadBuffer::new(limits.clone());
        buffer.extend(bytes);
        let made = allocations(|| {
            assert!(owned.decode(&mut buf).is_err());
            assert!(borrowed.frames(bytes).next().unwrap().is_err());
            assert!(buffer.next_frame().is_err());
            assert!(decode_slice(bytes, &limits).is_err());
            // The second time: the same error again, or on behind the frame.
            black_box(owned.decode(&mut buf).is_err());
            black_box(buffer.next_frame().is_err());
        });
        assert_eq!(made, 0);
    }
    let body = vec![7; 101];
    let mut out = WriteBuffer::new(limits.clone());
    let mut vec = Vec::new();
    let made = allocations(|| {
        assert!(out.push(1, &body).is_err());
        assert!(out.push(1000, b"").is_err());
        assert!(FrameEncoder::new(limits.clone()).encode(1, &body, &mut vec).is_err());
    });
    assert_eq!((made, out.capacity(), vec.capacity()), (0, 0, 0));
}

#[test]
fn an_announced_length_is_only_a_claim() {
    let bytes = b"\x00\x01\xFF\xFF";
    let limits = limits();
    let of_a_read_buffer = measure(|| {
        let mut buffer = ReadBuffer::new(limits.clone());
        buffer.extend(bytes);
        assert_eq!(buffer.next_frame(), Ok(None));
    });
    assert!(of_a_read_buffer.bytes_max <= 64, "{of_a_read_buffer:?}");
    let of_a_decoder = measure(|| {
        let mut buf = BytesMut::from(&bytes[..]);
        assert_eq!(FrameDecoder::new(limits.clone()).decode(&mut buf), Ok(None));
    });
    assert!(of_a_decoder.bytes_max <= 8 * 1024, "{of_a_decoder:?}");
}

/// All frames of a stream that came at once, kept.
fn owned(body_len: usize) -> u64 {
    let mut buf = BytesMut::from(&stream(body_len)[..]);
    let mut decoder = FrameDecoder::new(limits());
    let mut frames = Vec::with_capacity(FRAMES);
    let made = allocations(|| {
        while let Some(frame) = decoder.decode(&mut buf).expect("acceptable frames") {
            frames.push(frame);
        }
    });
    assert_eq!(frames.len(), FRAMES);
    made
}

#[test]
fn owned_frames() {
    let each = FRAMES as u64;
    assert_eq!(owned(0), 0, "an empty body needs no memory");
    assert_eq!(owned(1), each, "one for each small body");
    assert_eq!(owned(FrameDecoder::MAX_COPIED_BODY), each);
    assert_eq!(owned(FrameDecoder::MAX_COPIED_BODY + 1), 1, "one counter for all that share the buffer");
}
