//! Copies of a few bytes.

/// Copies `from` over `to`, which has its length. Up to 64 bytes, which is most
/// of a chat, two copies of fixed size that may overlap cost less than a call of
/// `memcpy`, which has to look at the length first.
#[inline(always)]
pub(crate) fn copy_short(from: &[u8], to: &mut [u8]) {
    let copied = match from.len() {
        33..=64 => ends::<32>(from, to),
        17..=32 => ends::<16>(from, to),
        9..=16 => ends::<8>(from, to),
        4..=8 => ends::<4>(from, to),
        2..=3 => ends::<2>(from, to),
        1 => ends::<1>(from, to),
        _ => false,
    };
    if !copied {
        to.copy_from_slice(from);
    }
}

/// Copies the first `N` bytes, and the last `N`. That is all, if there are from
/// `N` to twice `N`.
#[inline(always)]
fn ends<const N: usize>(from: &[u8], to: &mut [u8]) -> bool {
    if from.len() != to.len() {
        return false;
    }
    let (Some(&first), Some(&last)) = (from.first_chunk::<N>(), from.last_chunk::<N>()) else {
        return false;
    };
    if let Some(to) = to.first_chunk_mut::<N>() {
        *to = first;
    }
    if let Some(to) = to.last_chunk_mut::<N>() {
        *to = last;
    }
    true
}

#[cfg(test)]
mod tests {
    use alloc::vec;
    use alloc::vec::Vec;

    use super::*;

    #[test]
    fn every_length_is_copied_whole() {
        for len in 0..200 {
            let from: Vec<u8> = (1..=len).collect();
            let mut to = vec![0; from.len()];
            copy_short(&from, &mut to);
            assert_eq!(to, from, "{len}");
        }
    }
}
