//! Section `codec`: bytes to frames and back, in memory.

use std::hint::black_box;

use uschat_benches::{BODY_LENS, FRAME_ID, HEADER_LEN, MAX_STREAM_LEN, frames_in_stream, stream};

use crate::contenders::{decode, encode};
use crate::contest::{Bound, Contest, Ratio};
use crate::report::Report;

const ROUNDS: usize = 51;
/// The contender that both directions are compared with.
const BASE: &str = "length_delimited";

pub(crate) fn run(report: &mut Report) {
    for body_len in BODY_LENS {
        decode_whole(report, body_len, MAX_STREAM_LEN);
    }
    // Reads that fit the first cache with room to spare.
    for body_len in [64, 1024] {
        decode_whole(report, body_len, 16 * 1024);
    }
    for chunk in [1, 7, 1448] {
        decode_chunked(report, chunk);
    }
    for body_len in BODY_LENS {
        encode_batch(report, body_len, MAX_STREAM_LEN);
    }
    // A batch that fits the first cache with room to spare.
    for body_len in [16, 64, 256, 1024] {
        encode_batch(report, body_len, 16 * 1024);
    }
}

/// A stream of whole frames comes in one read.
fn decode_whole(report: &mut Report, body_len: usize, read_len: usize) {
    let frames = read_len / (HEADER_LEN + body_len);
    let stream = &stream(body_len)[..frames * (HEADER_LEN + body_len)];
    let title = format!("decode, bodies of {body_len} bytes, {} KiB a read", read_len / 1024);
    let mut contest = Contest::new(title, "ns a frame", Ratio::Speed);
    for contender in &decode::CONTENDERS {
        let mut receiver = (contender.start)(read_len);
        check(contender.name, receiver.receive(stream, stream.len()), frames, body_len);
        contest.enter_task(contender.name, BASE, frames, move || {
            black_box(receiver.receive(black_box(stream), black_box(stream.len())));
        });
    }
    match body_len {
        64 => {
            contest.goal("uschat", BASE, Bound::Speed(3.2));
            contest.goal("uschat_borrowed", BASE, Bound::Speed(8.0));
            contest.goal("uschat_borrowed", "bare_parser", Bound::Cost(1.5));
        }
        1024 => contest.goal("uschat_borrowed", BASE, Bound::Speed(2.6)),
        _ => {}
    }
    report.run(contest, ROUNDS);
}

/// The network brings the stream in small pieces to a receiver that starts
/// without memory.
fn decode_chunked(report: &mut Report, chunk: usize) {
    let body_lens = [64, 1024, 16_384, 65_531];
    let streams = body_lens.map(stream);
    let mut contest = Contest::new(format!("decode, {chunk} bytes a read"), "ns a byte", Ratio::Speed);
    let title = |name, body_len| format!("{name}, bodies of {body_len}");
    for (stream, body_len) in streams.iter().zip(body_lens) {
        for contender in
            decode::CONTENDERS.iter().filter(|contender| !["uschat_slice", "uschat_sharing"].contains(&contender.name))
        {
            let name = title(contender.name, body_len);
            check(&name, (contender.start)(0).receive(stream, chunk), frames_in_stream(body_len), body_len);
            contest.enter_task(&name, &title(BASE, body_len), stream.len(), || {
                black_box((contender.start)(0).receive(black_box(stream), black_box(chunk)));
            });
        }
    }
    if chunk == 1 {
        for body_len in body_lens {
            contest.goal(&title("uschat_borrowed", body_len), &title(BASE, body_len), Bound::Cost(0.65));
        }
        contest.goal(&title("uschat_borrowed", 65_531), &title("uschat_borrowed", 64), Bound::Cost(1.15));
    }
    report.run(contest, ROUNDS);
}

/// The checksum says whether a receiver saw every frame.
fn check(name: &str, sum: u64, frames: usize, body_len: usize) {
    let expected = (frames * (usize::from(FRAME_ID) + body_len)) as u64;
    assert!(sum == expected || name.starts_with("memcpy"), "{name} saw {sum} instead of {expected}");
}

/// Frames for one write.
fn encode_batch(report: &mut Report, body_len: usize, batch_len: usize) {
    let frames = batch_len / (HEADER_LEN + body_len);
    let batch = encode::Batch::new(body_len, frames);
    let title = format!("encode, bodies of {body_len} bytes, {} KiB a batch", batch_len / 1024);
    let mut contest = Contest::new(title, "ns a frame", Ratio::Speed);
    for contender in encode::CONTENDERS.iter().filter(|contender| body_len >= contender.min_body) {
        let mut sender = (contender.start)();
        let batch = &batch;
        let sent = sender.send(batch);
        assert!(sent == batch.encoded_len() || contender.name == "prost", "{} made {sent} bytes", contender.name);
        contest.enter_task(contender.name, BASE, frames, move || {
            black_box(sender.send(black_box(batch)));
        });
    }
    match body_len {
        64 => {
            contest.goal("uschat_borrowed", BASE, Bound::Speed(7.0));
            contest.goal("uschat_borrowed", "length_delimited_slice", Bound::Speed(2.5));
            contest.goal("uschat_borrowed", "prost", Bound::Speed(2.5));
        }
        16_384 => contest.goal("uschat_shared", BASE, Bound::Cost(0.1)),
        _ => {}
    }
    report.run(contest, ROUNDS);
}
