//! Frames in the layout of chat connections, there and back.

use uschat_wire::Id16Length16;

/// Which limits, two sizes of writes, then frames.
pub(crate) fn check(input: &[u8]) {
    let &[bounds, first, second, ref frames @ ..] = input else { return };
    let sizes = [super::size(first), super::size(second)];
    super::there_and_back::<Id16Length16>(frames, &sizes, super::bounds(bounds));
}
