//! Any frames, any bytes, any cuts, any limits, any layout: every way to decode and to encode agrees with the reference.
//!
//! `scripts/deep.sh properties` runs a million cases of each.

use bytes::BytesMut;
use proptest::collection::vec;
use proptest::prelude::*;
use uschat_wire::{FrameDecoder, Id16Length16, Layout, WriteBuffer};

use crate::checks::encoders::Given;
use crate::checks::{AnyLayout, Bounds, decoders, encoders, shape};
use crate::pattern::PATTERN;
use crate::reference::{Event, Rules};

/// Checks that are the same in each layout.
struct Checks {
    decode: fn(&[u8], &[usize], &Bounds),
    /// Encodes the frames, appends the bytes, decodes all of it.
    round_trip: fn(&[Given], &[u8], &[usize], &Bounds),
    read_what_is_needed: fn(&[Given], &[u8], &Bounds),
}

impl Checks {
    const fn of<L: Layout>() -> Self {
        Self {
            decode: decoders::every_way::<L>,
            round_trip: round_trip::<L>,
            read_what_is_needed: read_what_is_needed::<L>,
        }
    }
}

macro_rules! all_layouts {
    ($($id:literal: $($length:literal)*;)*) => {
        [Checks::of::<Id16Length16>(), $($(
            Checks::of::<AnyLayout<$id, $length, false, false>>(),
            Checks::of::<AnyLayout<$id, $length, false, true>>(),
            Checks::of::<AnyLayout<$id, $length, true, false>>(),
            Checks::of::<AnyLayout<$id, $length, true, true>>(),
        )*)*]
    };
}

/// The layout of chat connections, then every layout there can be.
static LAYOUTS: [Checks; 49] = all_layouts!(0: 1 2 3 4; 1: 1 2 3 4; 2: 1 2 3 4;);

fn round_trip<L: Layout>(frames: &[Given], tail: &[u8], sizes: &[usize], bounds: &Bounds) {
    let mut stream = encoders::every_way::<L>(frames, sizes, bounds);
    let is_sent = |&&(id, body): &&Given| {
        crate::reference::encode(id, body, shape::<L>(), &bounds.rules, &mut Vec::new()).is_ok()
    };
    let sent = frames.iter().filter(is_sent).map(|&(id, body)| Event::Frame { id, body });
    let outcome = crate::reference::decode(&stream, shape::<L>(), &bounds.rules);
    let read = outcome.steps.iter().map(|step| step.event);
    assert!(read.eq(sent));

    stream.extend_from_slice(tail);
    decoders::every_way::<L>(&stream, sizes, bounds);
}

/// Reads as many bytes as the decoder says it needs, again and again: it gives something each time it needs no more, and
/// nothing behind that has been read.
fn read_what_is_needed<L: Layout>(frames: &[Given], tail: &[u8], bounds: &Bounds) {
    let everything = Bounds::new(Rules { max_body: 0x7FFF_FFFF, exceptions: Vec::new(), known: None });
    let mut stream = encoders::every_way::<L>(frames, &[], &everything);
    stream.extend_from_slice(tail);
    let outcome = crate::reference::decode(&stream, shape::<L>(), &bounds.rules);

    let mut decoder = FrameDecoder::<L>::with_layout(bounds.limits.clone());
    let mut buf = BytesMut::new();
    let mut read = 0;
    for step in &outcome.steps {
        while let needed @ 1.. = decoder.needs(&buf) {
            buf.extend_from_slice(&stream[read..][..needed]);
            read += needed;
        }
        assert_eq!(read as u64, step.ready_at);
        assert_ne!(decoder.decode(&mut buf), Ok(None));
    }
    if outcome.needs > 0 {
        let missing = decoder.needs(&buf) as u64 + read as u64;
        assert!(missing > stream.len() as u64 || decoder.needs(&stream[decoder.offset() as usize..]) > 0);
    }
}

/// Few ids, so that they meet exceptions and known ids; now and then any.
fn id() -> impl Strategy<Value = u16> {
    prop_oneof![8 => 0_u16..8, 1 => any::<u16>()]
}

/// Mostly short, some around the lengths from which on a body is shared, a few large.
fn body_len() -> impl Strategy<Value = usize> {
    let copied = FrameDecoder::MAX_COPIED_BODY;
    let shared = WriteBuffer::MIN_SHARED_BODY;
    prop_oneof![8 => 0_usize..8, 24 => 8_usize..80, 2 => copied - 4..copied + 4, 1 => shared - 4..shared + 4]
}

fn frames() -> impl Strategy<Value = Vec<Given>> {
    let frame = (id(), body_len(), 0_usize..251).prop_map(|(id, len, start)| (id, &PATTERN[start..][..len]));
    vec(frame, 0..6)
}

/// Bytes that are often a header with a small length.
fn noise(len: std::ops::Range<usize>) -> impl Strategy<Value = Vec<u8>> {
    vec(prop_oneof![4 => 0_u8..6, 1 => any::<u8>()], len)
}

fn sizes() -> impl Strategy<Value = Vec<usize>> {
    vec(prop_oneof![4 => 1_usize..9, 2 => 9_usize..1_500, 1 => 1_500_usize..10_000], 1..5)
}

fn bounds() -> impl Strategy<Value = Bounds> {
    let max_body = prop_oneof![2 => Just(32_767_u64), 1 => 0_u64..100, 1 => Just(0x7FFF_FFFF_u64)];
    let exceptions = prop_oneof![2 => Just(Vec::new()), 1 => vec((0_u16..8, 0_u64..100), 1..4)];
    let known = prop_oneof![2 => Just(None), 1 => vec(0_u16..8, 0..6).prop_map(Some)];
    (max_body, exceptions, known)
        .prop_map(|(max_body, exceptions, known)| Bounds::new(Rules { max_body, exceptions, known }))
}

/// Half of the cases are in the layout of chat connections.
fn layout() -> impl Strategy<Value = usize> {
    prop_oneof![Just(0), 1..LAYOUTS.len()]
}

proptest! {
    #[test]
    fn what_was_encoded_is_decoded(
        layout in layout(), frames in frames(), tail in noise(0..8), sizes in sizes(), bounds in bounds(),
    ) {
        (LAYOUTS[layout].round_trip)(&frames, &tail, &sizes, &bounds);
    }

    #[test]
    fn noise_leads_to_frames_or_errors(
        layout in layout(), noise in noise(0..60), sizes in sizes(), bounds in bounds(),
    ) {
        (LAYOUTS[layout].decode)(&noise, &sizes, &bounds);
    }

    #[test]
    fn what_is_needed_is_neither_too_little_nor_too_much(
        layout in layout(), frames in frames(), tail in noise(0..8), bounds in bounds(),
    ) {
        (LAYOUTS[layout].read_what_is_needed)(&frames, &tail, &bounds);
    }
}
