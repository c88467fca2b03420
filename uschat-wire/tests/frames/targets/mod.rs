//! What the fuzz targets check, apart from the fuzzer: from any bytes to limits, cuts, streams and frames. `corpus.rs`
//! replays the corpus of each.

pub(crate) mod decode;
pub(crate) mod encode;
pub(crate) mod layouts;

use std::sync::LazyLock;

use uschat_wire::{FrameDecoder, Layout, WriteBuffer};

use crate::checks::encoders::Given;
use crate::checks::{Bounds, decoders, encoders};
use crate::pattern::PATTERN;
use crate::reference::Rules;

/// Encodes the frames that `input` describes, four bytes each: id, length, content. Decodes what was written.
fn there_and_back<L: Layout>(input: &[u8], sizes: &[usize], bounds: &Bounds) {
    let frames: Vec<Given> = input.chunks_exact(4).take(MAX_FRAMES).map(frame).collect();
    let stream = encoders::every_way::<L>(&frames, sizes, bounds);
    decoders::in_memory::<L>(&stream, &[], bounds);
}

/// More would make an execution slow and meet nothing new.
const MAX_FRAMES: usize = 10;

/// Most bodies are short; some lie around the lengths from which on a body is shared instead of copied.
fn frame(input: &[u8]) -> Given {
    let len = match input[2] {
        len @ 0..232 => usize::from(len),
        near @ 232..248 => FrameDecoder::MAX_COPIED_BODY - 8 + usize::from(near - 232),
        near => WriteBuffer::MIN_SHARED_BODY - 4 + usize::from(near - 248),
    };
    (u16::from_be_bytes([input[0], input[1]]), &PATTERN[usize::from(input[3])..][..len])
}

/// Small pieces byte by byte, large ones coarsely: up to 16 KiB. Zeros alone are one piece.
fn size(input: u8) -> usize {
    match usize::from(input) {
        small @ 0..128 => small,
        large => (large - 127) * (large - 127),
    }
}

/// The lowest three bits choose the common maximum, the next one exceptions, the next one the known ids.
fn bounds(input: u8) -> &'static Bounds {
    static ALL: LazyLock<Vec<Bounds>> = LazyLock::new(|| (0..32).map(make_bounds).collect());
    &ALL[usize::from(input % 32)]
}

fn make_bounds(choice: usize) -> Bounds {
    const LENGTHS: [u64; 8] = [32_767, 0, 1, 16, 200, 1024, 65_535, 0x7FFF_FFFF];
    let exceptions = vec![(1, 3), (2, 100_000), (0x0102, 64), (0, 0), (2, 40)];
    Bounds::new(Rules {
        max_body: LENGTHS[choice % 8],
        exceptions: if choice & 8 == 0 { Vec::new() } else { exceptions },
        known: (choice & 16 != 0).then(|| vec![1, 5, 0x0103, 0x0403]),
    })
}
