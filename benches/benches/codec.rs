//! How fast bytes become frames and frames become bytes.
//!
//! `cargo bench -p uschat-benches --bench codec -- --noplot --quick`
//!
//! | id | `decode/<body>`, `decode_chunked/<chunk>` | `encode/<body>` |
//! |---|---|---|
//! | `uschat` | `FrameCodec`, owned frames | `FrameCodec`, owned frames |
//! | `uschat_borrowed` | `ReadBuffer`, borrowed frames | `WriteBuffer::push` from a slice |
//! | `length_delimited` | tokio-util's `LengthDelimitedCodec`, owned | the same, from `Bytes` |
//! | `memcpy` | the copy into the buffer alone | the copies of header and body alone |
//!
//! One iteration is one stream, or one batch, of up to 64 KiB of equal frames.
//! Decoders first copy the stream into their read buffer, as a socket read
//! would: all of it at once, or in chunks of some bytes and then into a buffer
//! that holds no memory at the start. Throughput is in frames, for chunks in
//! bytes. `tcp_echo/<body>` has ids of its own.
//!
//! Criterion runs the contenders one after another, so compare them only on a
//! quiet machine; the target `ratios` lets them take turns.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a contender that fails stops the run")]

mod contenders;
#[path = "codec/tcp_echo.rs"]
mod tcp_echo;

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, Throughput};
use uschat_benches::{BODY_LENS, MAX_STREAM_LEN, frames_in_stream, stream};

use contenders::{decode, encode};

const IDS: [&str; 4] = ["uschat", "uschat_borrowed", "length_delimited", "memcpy"];

// By hand instead of `criterion_main!`, whose public items have no docs.
fn main() {
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .configure_from_args();
    for body_len in BODY_LENS {
        decode_group(&mut criterion, body_len);
    }
    for chunk in [1, 7, 1448, 65_536] {
        decode_chunked_group(&mut criterion, chunk);
    }
    for body_len in BODY_LENS {
        encode_group(&mut criterion, body_len);
    }
    for body_len in [64, 1024, 16_384] {
        tcp_echo::group(&mut criterion, body_len);
    }
    criterion.final_summary();
}

fn decode_group(criterion: &mut Criterion, body_len: usize) {
    let stream = stream(body_len);
    let mut group = criterion.benchmark_group(format!("decode/{body_len}"));
    group.throughput(Throughput::Elements(frames_in_stream(body_len) as u64));
    for id in IDS {
        let mut receiver = (decode::contender(id).start)(MAX_STREAM_LEN);
        group.bench_function(id, |bencher| {
            bencher.iter(|| receiver.receive(black_box(&stream), black_box(stream.len())));
        });
    }
    group.finish();
}

fn decode_chunked_group(criterion: &mut Criterion, chunk: usize) {
    let stream = stream(64);
    let mut group = criterion.benchmark_group(format!("decode_chunked/{chunk}"));
    group.throughput(Throughput::Bytes(stream.len() as u64));
    for id in IDS {
        let start = decode::contender(id).start;
        group.bench_function(id, |bencher| {
            bencher.iter(|| start(0).receive(black_box(&stream), black_box(chunk)));
        });
    }
    group.finish();
}

fn encode_group(criterion: &mut Criterion, body_len: usize) {
    let batch = encode::Batch::new(body_len, frames_in_stream(body_len));
    let mut group = criterion.benchmark_group(format!("encode/{body_len}"));
    group.throughput(Throughput::Elements(frames_in_stream(body_len) as u64));
    for id in IDS {
        let mut sender = (encode::contender(id).start)();
        group.bench_function(id, |bencher| {
            bencher.iter(|| sender.send(black_box(&batch)));
        });
    }
    group.finish();
}
