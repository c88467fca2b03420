//! However the network cuts a stream, the frames and the errors are the same, and come at the same byte. Not sampled:
//! every way to cut it.

use uschat_wire::{Id16Length16, Id16Length32, Layout};

use crate::checks::encoders::Given;
use crate::checks::{AnyLayout, Bounds, decoders, encoders};
use crate::reference::Rules;

type LittleCounted = AnyLayout<1, 3, true, true>;
type ByteOnly = AnyLayout<0, 1, false, false>;

fn anything() -> Bounds {
    Bounds::new(Rules { max_body: 65_535, exceptions: Vec::new(), known: None })
}

fn only(known: &[u16], max_body: u64) -> Bounds {
    Bounds::new(Rules { max_body, exceptions: Vec::new(), known: Some(known.to_vec()) })
}

/// Cuts the stream once and twice, at all places.
fn two_and_three_pieces<L: Layout>(stream: &[u8], bounds: &Bounds) {
    for first in 0..=stream.len() {
        for second in 0..=stream.len() - first {
            decoders::every_way::<L>(stream, &[first, second, usize::MAX], bounds);
        }
    }
}

/// Cuts the stream at every set of places.
fn every_cut<L: Layout>(stream: &[u8], bounds: &Bounds) {
    each_cut(stream.len(), |sizes| decoders::every_way::<L>(stream, sizes, bounds));
}

/// All ways to write `len` as a sum.
fn each_cut(len: usize, mut check: impl FnMut(&[usize])) {
    let mut sizes = Vec::new();
    for cuts in 0..1_u32 << (len - 1) {
        sizes.clear();
        let mut start = 0;
        for place in 1..=len {
            if place == len || cuts & (1 << (place - 1)) != 0 {
                sizes.push(place - start);
                start = place;
            }
        }
        check(&sizes);
    }
}

const THREE_FRAMES: [Given; 3] = [(5, b"{\"uid\":1}"), (255, b""), (17, b"three times the same")];

fn three_frames<L: Layout>() {
    let frames: Vec<Given> =
        THREE_FRAMES.iter().map(|&(id, body)| (if L::ID_LEN == 0 { 0 } else { id }, body)).collect();
    let stream = encoders::every_way::<L>(&frames, &[7], &anything());
    two_and_three_pieces::<L>(&stream, &anything());
}

#[test]
fn three_frames_in_two_and_three_pieces() {
    three_frames::<Id16Length16>();
    three_frames::<Id16Length32>();
    three_frames::<LittleCounted>();
    three_frames::<ByteOnly>();
}

#[test]
fn three_frames_of_which_one_is_refused_in_two_and_three_pieces() {
    let stream = encoders::every_way::<Id16Length16>(&THREE_FRAMES, &[7], &anything());
    two_and_three_pieces::<Id16Length16>(&stream, &only(&[5, 255], 100));
    two_and_three_pieces::<Id16Length16>(&stream, &only(&[255, 17], 100));
    two_and_three_pieces::<Id16Length16>(&stream, &only(&[], 100));
    two_and_three_pieces::<Id16Length16>(&stream, &only(&[5, 255, 17], 10));
}

#[test]
fn a_short_stream_at_every_cut() {
    every_cut::<Id16Length16>(b"\x00\x01\x00\x02hi\x00\x02\x00\x00\x00\x03\x00\x01!", &anything());
    every_cut::<LittleCounted>(b"\x01\x05\x00\x00!\x02\x04\x00\x00\x03\x05\x00\x00?", &anything());
    every_cut::<ByteOnly>(b"\x02hi\x00\x00\x01!\x03two", &anything());
}

#[test]
fn an_unfinished_stream_at_every_cut() {
    every_cut::<Id16Length16>(b"\x00\x01\x00\x01!\x00\x02\x00\x05half", &anything());
    every_cut::<Id16Length16>(b"\x00\x01\x00\x01!\x00\x02\x00", &anything());
}

#[test]
fn a_refused_header_at_every_cut() {
    let limits = Bounds::new(Rules { max_body: 100, exceptions: vec![(2, 3)], known: None });
    every_cut::<Id16Length16>(b"\x00\x01\x00\x01!\x00\x02\x00\x04four", &limits);
    every_cut::<Id16Length16>(b"\x80\x01\x80\x00\x00\x01\x00\x01!", &limits);
    every_cut::<LittleCounted>(b"\x01\x05\x00\x00!\x02\x03\x00\x00\x03\x05\x00\x00?", &limits);
}

#[test]
fn unknown_ids_are_passed_over_at_every_cut() {
    every_cut::<Id16Length16>(b"\x00\x09\x00\x02no\x00\x08\x00\x00\x00\x01\x00\x01!", &only(&[1], 100));
    every_cut::<Id16Length16>(b"\x00\x01\x00\x01!\x00\x09\x00\x05never", &only(&[1], 100));
    every_cut::<Id16Length16>(b"\x00\x01\x00\x01!\x00\x09\x00\x07cut", &only(&[1], 100));
    // An unknown frame may not be longer than a known one.
    every_cut::<Id16Length16>(b"\x00\x01\x00\x01!\x00\x09\x00\x02no", &only(&[1], 1));
}

#[test]
fn what_waits_to_be_written_at_every_cut() {
    let frames: [Given; 3] = [(1, b"hi"), (2, b""), (3, b"!")];
    each_cut(15, |sizes| {
        encoders::every_way::<Id16Length16>(&frames, sizes, &anything());
    });
}
