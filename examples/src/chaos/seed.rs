//! Where random choices come from.

use rand::{SeedableRng, rngs::StdRng};

use super::Direction;

/// The seed of one direction of one connection. Each purpose draws from a generator of its own, so that what one fault
/// draws does not change what another gets.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seed {
    pub(super) seed: u64,
    pub(super) connection: u64,
    pub(super) direction: Direction,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Purpose {
    Delays,
    Flips,
}

impl Seed {
    /// The generator's key is the seed itself, spelled out: different places never share a sequence.
    pub(super) fn rng(self, purpose: Purpose) -> StdRng {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&self.seed.to_le_bytes());
        key[8..16].copy_from_slice(&self.connection.to_le_bytes());
        key[16] = self.direction as u8;
        key[17] = purpose as u8;
        StdRng::from_seed(key)
    }
}
