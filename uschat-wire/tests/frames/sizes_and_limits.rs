//! Pieces as a network makes them, bodies from none to the longest, and what limits let through.

use bytes::BytesMut;
use uschat_wire::{Frame, FrameDecoder, Id16Length16, Id16Length32, Layout, Limits};

use crate::checks::encoders::Given;
use crate::checks::{AnyLayout, Bounds, decoders, encoders, shape};
use crate::pattern::PATTERN;
use crate::reference::{Event, Rules};

/// A byte, a few, what an Ethernet packet holds, a whole read.
const PIECES: [usize; 4] = [1, 7, 1448, 65_536];

fn up_to(max_body: u64) -> Bounds {
    Bounds::new(Rules { max_body, exceptions: Vec::new(), known: None })
}

fn body(len: usize) -> &'static [u8] {
    &PATTERN[..len]
}

/// There and back in pieces of all sizes. Returns the bytes.
fn there_and_back<L: Layout>(frames: &[Given], bounds: &Bounds) -> Vec<u8> {
    let mut stream = Vec::new();
    let bytes: usize = frames.iter().map(|(_, body)| body.len()).sum();
    // Byte by byte, `linear_work.rs` has the longest frames.
    for size in PIECES.into_iter().filter(|&size| size > 1 || bytes < 20_000) {
        stream = encoders::every_way::<L>(frames, &[size], bounds);
        decoders::every_way::<L>(&stream, &[size], bounds);
    }
    stream
}

#[test]
fn bodies_from_none_to_the_longest() {
    let lengths = [0, 1, 15, 16, 17, 32, 33, 64, 65, 511, 512, 513, 1024, 8191, 8192, 8193, 40_000, 65_535];
    let frames: Vec<Given> = lengths.iter().enumerate().map(|(id, &len)| (id as u16, body(len))).collect();
    let stream = there_and_back::<Id16Length16>(&frames, &up_to(65_535));
    assert_eq!(stream.len(), lengths.iter().map(|len| 4 + len).sum());
}

#[test]
fn a_longer_length_field_takes_longer_bodies() {
    let frames = [(1, body(65_536)), (2, body(0)), (3, body(70_000))];
    assert_eq!(there_and_back::<Id16Length32>(&frames, &up_to(70_000)).len(), 3 * 6 + 65_536 + 70_000);
    assert_eq!(there_and_back::<AnyLayout<1, 3, true, true>>(&frames, &up_to(70_000)).len(), 3 * 4 + 65_536 + 70_000);
}

#[test]
fn one_byte_too_many_for_the_header_is_not_sent() {
    let unrestricted = up_to(0x7FFF_FFFF);
    assert_eq!(there_and_back::<Id16Length16>(&[(1, body(65_536)), (2, b"!")], &unrestricted).len(), 5);
    // Here the length counts the three bytes of the header.
    let frames = [(1, body(252)), (1, body(253)), (2, b"!")];
    assert_eq!(there_and_back::<AnyLayout<2, 1, false, true>>(&frames, &unrestricted).len(), 3 + 252 + 4);
}

#[test]
fn an_id_too_large_for_the_header_is_not_sent() {
    let frames = [(255, body(1)), (256, body(1)), (0, body(1))];
    assert_eq!(there_and_back::<AnyLayout<1, 2, false, false>>(&frames, &up_to(1)).len(), 8);
    assert_eq!(there_and_back::<AnyLayout<0, 2, false, false>>(&frames, &up_to(1)).len(), 3);
}

/// The same limits on both sides: a sender refuses what the receiver would.
fn both_sides(frames: &[Given], bounds: &Bounds, passed: &[u16]) {
    let sent = there_and_back::<Id16Length16>(frames, bounds);
    let ids = |stream: &[u8], bounds: &Bounds| -> Vec<u16> {
        let outcome = crate::reference::decode(stream, shape::<Id16Length16>(), &bounds.rules);
        let frames = outcome.steps.iter().filter_map(|step| match step.event {
            Event::Frame { id, .. } => Some(id),
            _ => None,
        });
        frames.collect()
    };
    assert_eq!(ids(&sent, bounds), passed);

    let all = there_and_back::<Id16Length16>(frames, &up_to(65_535));
    for size in PIECES {
        decoders::every_way::<Id16Length16>(&all, &[size], bounds);
    }
    let refused_for_good = |&(id, len)| len > bounds.limits.max_body_len_of(id).unwrap_or(bounds.limits.max_body_len());
    let lengths: Vec<_> = frames.iter().map(|(id, body)| (*id, body.len())).collect();
    let readable = lengths.iter().position(refused_for_good).unwrap_or(lengths.len());
    let known = lengths[..readable].iter().filter(|(id, _)| bounds.limits.max_body_len_of(*id).is_some());
    assert!(ids(&all, bounds).into_iter().eq(known.map(|(id, _)| *id)));
}

#[test]
fn the_longest_accepted_body_and_one_byte_more() {
    for max in [0, 1, 16, 512, 513, 8192, 32_767, 65_534] {
        both_sides(&[(1, body(max)), (2, body(0)), (3, body(max + 1)), (4, body(0))], &up_to(max as u64), &[1, 2, 4]);
    }
}

#[test]
fn exceptions_hold_for_their_ids() {
    let rules = Rules { max_body: 10, exceptions: vec![(5, 2), (1005, 9000), (0xFFFF, 0), (5, 3)], known: None };
    let frames = [(4, body(10)), (5, body(3)), (1005, body(9000)), (0xFFFF, body(0)), (5, body(4)), (6, body(11))];
    both_sides(&frames, &Bounds::new(rules), &[4, 5, 1005, 0xFFFF]);
}

#[test]
fn known_ids_pass_and_others_are_gone_past() {
    let rules = Rules { max_body: 5000, exceptions: vec![(9, 6000)], known: Some(vec![1, 1023]) };
    let frames = [
        (2, body(5000)),
        (1, body(5000)),
        (3, body(0)),
        (9, body(6000)),
        (1022, body(1)),
        (1023, body(0)),
        (4, body(2)),
    ];
    both_sides(&frames, &Bounds::new(rules), &[1, 9, 1023]);
}

#[test]
fn reading_exactly_what_is_needed_never_reads_into_the_next_frame() {
    let frames = [Frame::new(1005, "{\"uid\":1}"), Frame::new(0xFFFF, ""), Frame::new(1017, vec![b'x'; 4000])];
    let mut stream = Vec::new();
    for frame in &frames {
        uschat_wire::encode(frame.id, &frame.body, &mut stream).unwrap();
    }
    let mut unread = &stream[..];
    let mut decoder = FrameDecoder::new(Limits::default());
    let mut buf = BytesMut::new();
    for expected in frames {
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
