//! Bytes written down by hand, for layouts of every kind: what each way to encode writes and each way to decode reads.

use uschat_wire::{Id16Length16, Id16Length32, Layout};

use crate::checks::encoders::Given;
use crate::checks::{AnyLayout, Bounds, decoders, encoders, shape};
use crate::reference::{Event, Rules};

/// A frame, and how it travels.
type Golden = (Given, &'static [u8]);

fn check<L: Layout>(golden: &[Golden]) {
    let frames: Vec<Given> = golden.iter().map(|&(frame, _)| frame).collect();
    let stream: Vec<u8> = golden.iter().flat_map(|&(_, bytes)| bytes.iter().copied()).collect();
    let bounds = Bounds::new(Rules { max_body: 0x7FFF_FFFF, exceptions: Vec::new(), known: None });

    // That the reference itself is right is known from here.
    let outcome = crate::reference::decode(&stream, shape::<L>(), &bounds.rules);
    let expected: Vec<_> = frames.iter().map(|&(id, body)| Event::Frame { id, body }).collect();
    assert!(outcome.steps.iter().map(|step| step.event).eq(expected));
    assert_eq!(outcome.consumed, stream.len() as u64);

    for size in [1, 2, 3, 5, stream.len()] {
        assert_eq!(encoders::every_way::<L>(&frames, &[size], &bounds), stream);
        decoders::every_way::<L>(&stream, &[size], &bounds);
    }
}

#[test]
fn chat_connections() {
    check::<Id16Length16>(&[
        ((1017, b"{\"a\":1}"), b"\x03\xF9\x00\x07{\"a\":1}"),
        ((0xFFFF, b""), b"\xFF\xFF\x00\x00"),
        ((0x8001, b"\x00\xFF"), b"\x80\x01\x00\x02\x00\xFF"),
        ((0, &[b' '; 0x0102]), LONGER),
    ]);
}

#[test]
fn resource_connections() {
    check::<Id16Length32>(&[
        ((1001, b"part"), b"\x03\xE9\x00\x00\x00\x04part"),
        ((1002, b""), b"\x03\xEA\x00\x00\x00\x00"),
    ]);
}

#[test]
fn a_length_alone() {
    check::<AnyLayout<0, 1, false, false>>(&[((0, b"hi"), b"\x02hi"), ((0, b""), b"\x00")]);
    check::<AnyLayout<0, 4, false, false>>(&[((0, b"hi"), b"\x00\x00\x00\x02hi")]);
    check::<AnyLayout<0, 2, true, true>>(&[((0, b"hi"), b"\x04\x00hi"), ((0, b""), b"\x02\x00")]);
}

#[test]
fn a_byte_of_id() {
    check::<AnyLayout<1, 1, false, true>>(&[((7, b"hi"), b"\x07\x04hi"), ((255, b""), b"\xFF\x02")]);
    check::<AnyLayout<1, 3, true, false>>(&[((7, b"hi"), b"\x07\x02\x00\x00hi")]);
    check::<AnyLayout<1, 3, false, true>>(&[((7, b"hi"), b"\x07\x00\x00\x06hi")]);
}

#[test]
fn little_endian() {
    check::<AnyLayout<2, 2, true, false>>(&[
        ((0x0102, b"hi"), b"\x02\x01\x02\x00hi"),
        ((0x0001, b""), b"\x01\x00\x00\x00"),
    ]);
    check::<AnyLayout<2, 4, true, true>>(&[
        ((0x0102, b"hi"), b"\x02\x01\x08\x00\x00\x00hi"),
        ((0xFF00, b""), b"\x00\xFF\x06\x00\x00\x00"),
    ]);
}

/// Its length needs both bytes.
const LONGER: &[u8] = &{
    let mut bytes = [b' '; 4 + 0x0102];
    (bytes[0], bytes[1], bytes[2], bytes[3]) = (0, 0, 1, 2);
    bytes
};
