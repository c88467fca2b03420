use std::fmt;

/// What a proxy has done so far. Connections still at work may be between two counters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Snapshot {
    /// Where all random choices come from.
    pub seed: u64,
    /// Connections since the start.
    pub accepted: u64,
    /// Connections now, half-open ones included.
    pub live: u64,
    /// Connections now whose client has vanished and whose server has not given them up.
    pub half_open: u64,
    /// Connections that were reset because the server did not accept.
    pub unreachable: u64,
    /// Connections ended by [`Fault::Cut`](super::Fault::Cut) or [`Fault::CutOnce`](super::Fault::CutOnce).
    pub cuts: u64,
    /// Connections ended by [`Chaos::drop_all`](super::Chaos::drop_all).
    pub dropped: u64,
    /// What clients sent.
    pub to_server: Traffic,
    /// What the server sent.
    pub to_client: Traffic,
}

/// The bytes of one direction of all connections since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Traffic {
    /// Bytes that came in.
    pub taken: u64,
    /// Bytes that went out.
    pub passed: u64,
    /// Bytes that came in and never go out, because of [`Fault::BlackHole`](super::Fault::BlackHole) or because the other
    /// end was half-open.
    pub swallowed: u64,
    /// Bits that were changed under way.
    pub flipped_bits: u64,
}

impl fmt::Display for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "seed {}, connections {} (live {}, half-open {}, server unreachable {}, cut {}, dropped {}), to server {}, to client {}",
            self.seed,
            self.accepted,
            self.live,
            self.half_open,
            self.unreachable,
            self.cuts,
            self.dropped,
            self.to_server,
            self.to_client,
        )
    }
}

impl fmt::Display for Traffic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { taken, passed, swallowed, flipped_bits } = self;
        write!(f, "{passed} of {taken} bytes (swallowed {swallowed}, bits flipped {flipped_bits})")
    }
}
