//! Packets of the MySQL protocol: three bytes of length, low byte first, one byte that counts, then the payload.

/// The answer that something was done, the first packet after a command: no rows, no key, autocommit, no warnings.
pub const OK: &[u8] = &[7, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0];

const HEADER: usize = 4;
const QUERY: u8 = 3;

/// Puts packets together out of what was read.
#[derive(Default)]
pub struct Packets(Vec<u8>);

impl Packets {
    /// Where to read to.
    pub fn buffer(&mut self) -> &mut Vec<u8> {
        self.0.reserve(65_536);
        &mut self.0
    }

    /// The next one that is complete.
    pub fn take(&mut self) -> Option<Packet> {
        let &[low, middle, high, _] = self.0.first_chunk()?;
        let end = HEADER + usize::from(low) + (usize::from(middle) << 8) + (usize::from(high) << 16);
        if self.0.len() < end {
            return None;
        }
        let rest = self.0.split_off(end);
        Some(Packet(std::mem::replace(&mut self.0, rest)))
    }
}

/// A whole packet.
pub struct Packet(Vec<u8>);

impl Packet {
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    pub fn payload(&self) -> &[u8] {
        &self.0[HEADER..]
    }

    /// Whether it is a command with exactly this statement as text; commands count from 0.
    pub fn is_query(&self, statement: &str) -> bool {
        self.0[HEADER - 1] == 0 && self.payload().split_first() == Some((&QUERY, statement.as_bytes()))
    }
}
