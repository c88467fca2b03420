//! However the network cuts the stream, the frames are the same.

mod reference;

use bytes::{BufMut, BytesMut};
use proptest::prelude::*;
use uschat_wire::{DecodeError, Frame, FrameDecoder, HEADER_LEN, Limits, encode, encode_with};

use reference::Outcome;

/// Feeds `chunks` to a decoder the way a connection would: append, then take
/// every complete frame.
fn decode_chunks<'a>(chunks: impl Iterator<Item = &'a [u8]>, limits: &Limits) -> Outcome {
    let mut decoder = FrameDecoder::new(limits.clone());
    let mut buf = BytesMut::new();
    let mut frames = Vec::new();
    let mut error = None;
    for chunk in chunks {
        buf.extend_from_slice(chunk);
        loop {
            let ready = decoder.needs(&buf) == 0;
            let next = decoder.decode(&mut buf);
            assert_eq!(ready, next != Ok(None), "needs and decode disagree");
            match next {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => break,
                Err(this) => {
                    if let Some(earlier) = &error {
                        assert_eq!(earlier, &this, "a fused decoder changed its mind");
                    }
                    error = Some(this);
                    break;
                }
            }
        }
    }
    Outcome { frames, error, rest: buf.to_vec() }
}

fn decode_borrowed(bytes: &[u8], limits: &Limits) -> Outcome {
    let mut decoder = FrameDecoder::new(limits.clone());
    let mut borrowed = decoder.frames(bytes);
    let mut frames = Vec::new();
    let mut error = None;
    for frame in &mut borrowed {
        match frame {
            Ok(frame) => frames.push(frame.to_frame()),
            Err(this) => error = Some(this),
        }
    }
    Outcome { frames, error, rest: borrowed.rest().to_vec() }
}

fn stream_of(frames: &[Frame]) -> BytesMut {
    let mut stream = BytesMut::new();
    for frame in frames {
        encode(frame.id, &frame.body, &mut stream).expect("generated bodies fit");
    }
    stream
}

fn three_frames() -> Vec<Frame> {
    vec![Frame::new(1005, "{\"uid\":1}"), Frame::new(0xFFFF, ""), Frame::new(1017, vec![b'x'; 40])]
}

#[test]
fn two_frames_at_once() {
    let mut decoder = FrameDecoder::default();
    let mut buf = BytesMut::from(&b"\x00\x01\x00\x01a\x00\x02\x00\x01b\x00"[..]);
    assert_eq!(decoder.decode(&mut buf), Ok(Some(Frame::new(1, "a"))));
    assert_eq!(decoder.decode(&mut buf), Ok(Some(Frame::new(2, "b"))));
    assert_eq!(decoder.decode(&mut buf), Ok(None));
    assert_eq!(&buf[..], b"\x00");
}

#[test]
fn one_byte_at_a_time() {
    let stream = stream_of(&three_frames());
    let outcome = decode_chunks(stream.chunks(1), &Limits::default());
    assert_eq!(outcome.frames, three_frames());
    assert_eq!(outcome.rest, b"");
}

#[test]
fn every_split_into_three_pieces() {
    let stream = stream_of(&three_frames());
    for first in 0..=stream.len() {
        for second in first..=stream.len() {
            let pieces = [&stream[..first], &stream[first..second], &stream[second..]];
            let outcome = decode_chunks(pieces.into_iter(), &Limits::default());
            assert_eq!(outcome.frames, three_frames(), "cut at {first}, {second}");
            assert_eq!(outcome.rest, b"");
        }
    }
}

#[test]
fn reading_exactly_what_is_needed_never_reads_into_the_next_frame() {
    let stream = stream_of(&three_frames());
    let mut unread = &stream[..];
    let mut decoder = FrameDecoder::default();
    let mut buf = BytesMut::new();
    for expected in three_frames() {
        while let needed @ 1.. = decoder.needs(&buf) {
            let (piece, rest) = unread.split_at(needed);
            buf.extend_from_slice(piece);
            unread = rest;
        }
        assert_eq!(decoder.decode(&mut buf), Ok(Some(expected)));
        assert!(buf.is_empty());
    }
    assert!(unread.is_empty());
}

/// Every growth of the buffer copies what is in it, so a handful of growths for
/// the largest frame is what makes the decoder linear.
#[test]
fn the_largest_frame_byte_by_byte_grows_the_buffer_only_a_few_times() {
    let body = vec![1; 65_535];
    let stream = stream_of(&[Frame::new(1, body.clone())]);
    let mut decoder = FrameDecoder::new(Limits::default().max_body(65_535));
    let mut buf = BytesMut::new();
    let mut growths = 0;
    let mut frame = None;
    for &byte in &stream {
        let before = buf.capacity();
        buf.put_u8(byte);
        frame = decoder.decode(&mut buf).unwrap();
        growths += usize::from(buf.capacity() > before);
    }
    assert_eq!(frame, Some(Frame::new(1, body)));
    assert!(growths <= 8, "{growths} growths");
}

#[test]
fn a_frame_behind_a_refused_one_is_not_delivered() {
    let mut stream = stream_of(&[Frame::new(1, "ok")]);
    stream.extend_from_slice(b"\x00\x02\x00\x09too large");
    stream.extend_from_slice(&stream_of(&[Frame::new(3, "ok")]));
    let limits = Limits::default().max_body(8);
    let too_long = DecodeError::BodyTooLong { id: 2, len: 9, max: 8, offset: 6 };
    for chunk in 1..=stream.len() {
        let outcome = decode_chunks(stream.chunks(chunk), &limits);
        assert_eq!(outcome.frames, [Frame::new(1, "ok")]);
        assert_eq!(outcome.error, Some(too_long.clone()));
    }
}

/// Mostly small bodies, some around the border between copied and shared ones,
/// a few large.
fn any_frame() -> impl Strategy<Value = Frame> {
    let len = prop_oneof![
        2 => Just(0_usize),
        6 => 1_usize..64,
        2 => 1_000_usize..1_050,
        1 => 0_usize..9_000,
    ];
    let body = (len, any::<u8>())
        .prop_map(|(len, seed)| (0..len).map(|i| seed.wrapping_add((i % 251) as u8)).collect::<Vec<_>>());
    (any::<u16>(), body).prop_map(|(id, body)| Frame::new(id, body))
}

/// Frames, then possibly something that is not one.
fn any_stream() -> impl Strategy<Value = Vec<u8>> {
    let frames = prop::collection::vec(any_frame(), 0..8);
    let tail = prop_oneof![Just(Vec::new()), prop::collection::vec(any::<u8>(), 0..32)];
    (frames, tail).prop_map(|(frames, tail)| {
        let mut bytes = stream_of(&frames).to_vec();
        bytes.extend(tail);
        bytes
    })
}

/// Cuts `bytes` into pieces of these sizes, over and over.
fn cut<'a>(mut bytes: &'a [u8], sizes: &'a [usize]) -> impl Iterator<Item = &'a [u8]> {
    let mut sizes = sizes.iter().cycle();
    std::iter::from_fn(move || {
        let size = (*sizes.next()?).min(bytes.len());
        let (piece, rest) = bytes.split_at(size);
        bytes = rest;
        (!piece.is_empty()).then_some(piece)
    })
}

fn chunk_sizes() -> impl Strategy<Value = Vec<usize>> {
    let size = prop_oneof![4 => 1_usize..9, 2 => 9_usize..1_500, 1 => 1_500_usize..40_000];
    prop::collection::vec(size, 1..12)
}

fn any_limits() -> impl Strategy<Value = Limits> {
    prop_oneof![
        3 => Just(Limits::default()),
        1 => (0_usize..2_000).prop_map(|max| Limits::default().max_body(max)),
        1 => Just(Limits::default().max_body(65_535)),
    ]
}

proptest! {
    #[test]
    fn agrees_with_the_naive_decoder_for_any_chunking(
        stream in any_stream(),
        sizes in chunk_sizes(),
        limits in any_limits(),
    ) {
        let expected = reference::decode_all(&stream, limits.max_body_len());
        prop_assert_eq!(&decode_chunks(cut(&stream, &sizes), &limits), &expected);
        prop_assert_eq!(&decode_borrowed(&stream, &limits), &expected);
    }

    #[test]
    fn agrees_with_the_naive_decoder_on_noise(
        noise in prop::collection::vec(any::<u8>(), 0..400),
        sizes in chunk_sizes(),
    ) {
        let limits = Limits::default();
        let expected = reference::decode_all(&noise, limits.max_body_len());
        prop_assert_eq!(&decode_chunks(cut(&noise, &sizes), &limits), &expected);
        prop_assert_eq!(&decode_borrowed(&noise, &limits), &expected);
    }

    #[test]
    fn what_was_encoded_is_decoded(frames in prop::collection::vec(any_frame(), 0..10)) {
        let stream = stream_of(&frames);
        prop_assert_eq!(stream.len(), frames.iter().map(Frame::encoded_len).sum::<usize>());
        let outcome = decode_chunks(std::iter::once(&stream[..]), &Limits::default());
        prop_assert_eq!(&outcome.frames, &frames);
        prop_assert_eq!(outcome.error, None);

        let mut in_one_pass = BytesMut::new();
        for frame in &frames {
            encode_with(frame.id, &mut in_one_pass, |body| {
                body.extend_from_slice(&frame.body);
                Ok::<_, std::convert::Infallible>(())
            }).unwrap();
        }
        prop_assert_eq!(in_one_pass, stream);
    }

    #[test]
    fn a_stream_cut_short_yields_the_whole_frames_before_the_cut(
        frames in prop::collection::vec(any_frame(), 1..6),
        at in any::<prop::sample::Index>(),
    ) {
        let stream = stream_of(&frames);
        let cut_at = at.index(stream.len());
        let outcome = decode_chunks(stream[..cut_at].chunks(HEADER_LEN - 1), &Limits::default());
        let whole: usize = outcome.frames.iter().map(Frame::encoded_len).sum();
        prop_assert_eq!(&outcome.frames[..], &frames[..outcome.frames.len()]);
        prop_assert_eq!(whole + outcome.rest.len(), cut_at);
        prop_assert!(outcome.rest.len() < frames[outcome.frames.len()].encoded_len());
    }
}
