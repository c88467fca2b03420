//! Layouts of each width, byte order and way to count. A few, since each one more slows every execution down; the
//! property tests have all of them.

use uschat_wire::{Id16Length32, Layout};

use crate::checks::{AnyLayout, Bounds, decoders};

/// Which layout, which limits, a size of pieces, then a stream, the start of which also says what to encode.
pub(crate) fn check(input: &[u8]) {
    let &[layout, bounds, size, ref stream @ ..] = input else { return };
    let check = LAYOUTS[usize::from(layout) % LAYOUTS.len()];
    check(stream, &[super::size(size)], super::bounds(bounds));
}

type Check = fn(&[u8], &[usize], &Bounds);

const LAYOUTS: [Check; 6] = [
    both_ways::<Id16Length32>,
    both_ways::<AnyLayout<0, 1, false, false>>,
    both_ways::<AnyLayout<0, 4, true, true>>,
    both_ways::<AnyLayout<1, 2, false, true>>,
    both_ways::<AnyLayout<1, 3, true, false>>,
    both_ways::<AnyLayout<2, 1, true, true>>,
];

fn both_ways<L: Layout>(stream: &[u8], sizes: &[usize], bounds: &Bounds) {
    decoders::in_memory::<L>(stream, sizes, bounds);
    super::there_and_back::<L>(&stream[..stream.len().min(16)], sizes, bounds);
}
