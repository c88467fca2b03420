//! A stream in the layout of chat connections, in pieces.

use uschat_wire::Id16Length16;

use crate::checks::decoders;

/// Which limits, two sizes of pieces, then the stream.
pub(crate) fn check(input: &[u8]) {
    let &[bounds, first, second, ref stream @ ..] = input else { return };
    let sizes = [super::size(first), super::size(second)];
    decoders::every_way::<Id16Length16>(stream, &sizes, super::bounds(bounds));
}
