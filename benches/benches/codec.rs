//! How fast bytes become frames and frames become bytes.
//!
//! `cargo bench -p uschat-benches --bench codec -- --noplot --quick`
//!
//! One iteration is one stream of up to 64 KiB of equal frames; the throughput
//! is in frames. Decoders first copy the stream into their read buffer, as a
//! socket read would; encoders fill one write buffer. Both buffers are reused.
//!
//! | id | decode | encode |
//! |---|---|---|
//! | `uschat` | `FrameDecoder`, owned frames | `FrameCodec`, owned frames |
//! | `uschat_borrowed` | `decode_slice` | `encode` from a slice |
//! | `length_delimited` | tokio-util's `LengthDelimitedCodec`, owned | the same, from `Bytes` |
//! | `memcpy` | the copy into the buffer alone | the copies of header and body alone |
//!
//! Criterion runs the contenders one after another, so compare them only on a
//! quiet machine.

#![allow(clippy::unwrap_used, reason = "a contender that fails stops the run")]

use std::hint::black_box;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use criterion::{Criterion, Throughput};
use tokio_util::codec::{Decoder, Encoder, LengthDelimitedCodec};
use uschat_benches::{BODY_LENS, FRAME_ID, HEADER_LEN, MAX_STREAM_LEN, body, frames_in_stream, stream};
use uschat_wire::{Frame, FrameCodec, FrameDecoder, Limits, decode_slice, encode};

// By hand instead of `criterion_main!`, whose public items have no docs.
fn main() {
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_secs(1))
        .measurement_time(Duration::from_secs(2))
        .configure_from_args();
    for body_len in BODY_LENS {
        decode_group(&mut criterion, body_len);
    }
    for body_len in BODY_LENS {
        encode_group(&mut criterion, body_len);
    }
    criterion.final_summary();
}

fn decode_group(criterion: &mut Criterion, body_len: usize) {
    let stream = stream(body_len);
    let frames = frames_in_stream(body_len);
    let mut group = criterion.benchmark_group(format!("decode/{body_len}"));
    group.throughput(Throughput::Elements(frames as u64));

    let mut buf = BytesMut::with_capacity(MAX_STREAM_LEN);
    let mut decoder = FrameDecoder::new(Limits::default());
    group.bench_function("uschat", |bencher| {
        bencher.iter(|| {
            buf.extend_from_slice(black_box(&stream));
            let mut seen = 0;
            while let Some(frame) = decoder.decode(&mut buf).unwrap() {
                black_box(frame);
                seen += 1;
            }
            assert_eq!(seen, frames);
        });
    });

    let mut buf = BytesMut::with_capacity(MAX_STREAM_LEN);
    let limits = Limits::default();
    group.bench_function("uschat_borrowed", |bencher| {
        bencher.iter(|| {
            buf.clear();
            buf.extend_from_slice(black_box(&stream));
            let mut rest = &buf[..];
            let mut seen = 0;
            while let Some((frame, len)) = decode_slice(rest, &limits).unwrap() {
                black_box(frame);
                rest = &rest[len..];
                seen += 1;
            }
            assert_eq!(seen, frames);
        });
    });

    // The header stays in front of the body: without it the id would be lost.
    let mut buf = BytesMut::with_capacity(MAX_STREAM_LEN);
    let mut codec = LengthDelimitedCodec::builder()
        .length_field_offset(2)
        .length_field_length(2)
        .length_adjustment(HEADER_LEN as isize)
        .num_skip(0)
        .new_codec();
    group.bench_function("length_delimited", |bencher| {
        bencher.iter(|| {
            buf.extend_from_slice(black_box(&stream));
            let mut seen = 0;
            while let Some(frame) = codec.decode(&mut buf).unwrap() {
                black_box(frame);
                seen += 1;
            }
            assert_eq!(seen, frames);
        });
    });

    let mut buf = BytesMut::with_capacity(MAX_STREAM_LEN);
    group.bench_function("memcpy", |bencher| {
        bencher.iter(|| {
            buf.clear();
            buf.extend_from_slice(black_box(&stream));
            black_box(&mut buf);
        });
    });
    group.finish();
}

fn encode_group(criterion: &mut Criterion, body_len: usize) {
    let expected = stream(body_len);
    let frames = frames_in_stream(body_len);
    let body = Bytes::from(body(body_len));
    let mut group = criterion.benchmark_group(format!("encode/{body_len}"));
    group.throughput(Throughput::Elements(frames as u64));
    let mut out = BytesMut::with_capacity(MAX_STREAM_LEN);

    let mut codec = FrameCodec::new(Limits::default());
    group.bench_function("uschat", |bencher| {
        bencher.iter(|| {
            out.clear();
            for _ in 0..frames {
                let frame = Frame::new(FRAME_ID, black_box(&body).clone());
                codec.encode(frame, &mut out).unwrap();
            }
            black_box(&mut out);
        });
        assert_eq!(out, expected);
    });

    group.bench_function("uschat_borrowed", |bencher| {
        bencher.iter(|| {
            out.clear();
            for _ in 0..frames {
                encode(FRAME_ID, black_box(&body), &mut out).unwrap();
            }
            black_box(&mut out);
        });
        assert_eq!(out, expected);
    });

    // It cannot write an id. Its four-byte length makes as many bytes.
    let mut codec = LengthDelimitedCodec::builder().length_field_length(HEADER_LEN).new_codec();
    group.bench_function("length_delimited", |bencher| {
        bencher.iter(|| {
            out.clear();
            for _ in 0..frames {
                codec.encode(black_box(&body).clone(), &mut out).unwrap();
            }
            black_box(&mut out);
        });
        assert_eq!(out.len(), expected.len());
    });

    let header: [u8; HEADER_LEN] = black_box([0; HEADER_LEN]);
    let mut memory = vec![0; expected.len()];
    group.bench_function("memcpy", |bencher| {
        bencher.iter(|| {
            let body = black_box(&body);
            for frame in memory.chunks_exact_mut(HEADER_LEN + body_len) {
                frame[..HEADER_LEN].copy_from_slice(&header);
                frame[HEADER_LEN..].copy_from_slice(body);
            }
            black_box(&mut memory);
        });
    });
    group.finish();
}
