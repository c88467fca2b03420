//! What can be done to the bytes of one direction.

use std::time::Duration;

/// Which way bytes travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, clap::ValueEnum)]
pub enum Direction {
    /// From the clients to the server.
    ToServer,
    /// From the server to the clients.
    ToClient,
    /// Both of them.
    Both,
}

/// How a connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, clap::ValueEnum)]
pub enum End {
    /// In order: whoever reads comes to the end of the stream.
    Fin,
    /// With a reset: reads and writes fail. What the receiver's kernel has not taken by then is lost.
    Reset,
}

/// One thing that goes wrong in one direction. All kinds can be had at the same time.
///
/// Delays and pauses are cut down to one day.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Fault {
    /// What one read brought comes out after `base`, give or take a random part of `jitter`, in the order in which it came in.
    /// The end of the stream is as late as bytes are.
    Delay {
        /// The middle of the delay.
        base: Duration,
        /// The furthest from the middle. A delay below zero is none.
        jitter: Duration,
    },
    /// So many bytes of a connection in a second, in portions of some 20 ms. With 0 nothing passes, as with `Stall`.
    Bandwidth {
        /// Bytes in a second.
        bytes_per_second: u64,
    },
    /// Nothing comes out, neither bytes nor the end of the stream, until the fault is taken away. Bytes are taken in up to
    /// [`ChaosConfig::buffer`](super::ChaosConfig::buffer).
    Stall,
    /// Ends each connection, in both directions, as soon as so many bytes of it have come out in this direction. One that
    /// is further already is ended at once; what is still held is lost.
    Cut {
        /// Bytes that come out before.
        after: u64,
        /// How both ends are told.
        end: End,
    },
    /// The same for one connection only, the first that gets there.
    CutOnce {
        /// Bytes that come out before.
        after: u64,
        /// How both ends are told.
        end: End,
    },
    /// Writes a few bytes at a time.
    Dribble {
        /// The most bytes of a write; 0 counts as 1.
        bytes: usize,
        /// The wait after each write.
        pause: Duration,
    },
    /// Flips one random bit in randomly chosen bytes, which are the same with the same seed however the bytes arrive.
    Corrupt {
        /// For each byte, from 0 (none) to 1 (all); what is not in that range counts as the nearer end.
        probability: f64,
    },
    /// Flips one bit of one byte of each connection, if that byte has yet to come in.
    CorruptAt {
        /// The byte, counted from 0.
        offset: u64,
        /// The bit, from 0 (lowest) to 7; of larger numbers the lowest three bits count.
        bit: u8,
    },
    /// Swallows bytes and the end of the stream. A connection that lost anything goes on losing everything in this
    /// direction until its end, because a stream with a hole in it would be no TCP. While both directions are
    /// black holes, new connections are accepted and the server hears nothing of them.
    BlackHole,
}

/// The faults of one direction, one of each kind.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Faults {
    pub(super) delay: Duration,
    pub(super) jitter: Duration,
    pub(super) bytes_per_second: Option<u64>,
    pub(super) stalled: bool,
    pub(super) cut: Option<Cut>,
    pub(super) dribble: Option<Dribble>,
    pub(super) corrupt: f64,
    pub(super) corrupt_at: Option<(u64, u8)>,
    pub(super) black_hole: bool,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Cut {
    pub(super) after: u64,
    pub(super) end: End,
    /// For a cut of one connection: which call of `set` it came from, so that one connection can claim it.
    pub(super) once: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Dribble {
    pub(super) bytes: usize,
    pub(super) pause: Duration,
}

impl Faults {
    /// The later of two faults of one kind counts. `call` is a number of its own for each call of `set`.
    pub(super) fn new(faults: impl IntoIterator<Item = Fault>, call: u64) -> Self {
        let mut all = Self::default();
        for fault in faults {
            match fault {
                Fault::Delay { base, jitter } => (all.delay, all.jitter) = (base.min(LONGEST), jitter.min(LONGEST)),
                Fault::Bandwidth { bytes_per_second: 0 } | Fault::Stall => all.stalled = true,
                Fault::Bandwidth { bytes_per_second } => all.bytes_per_second = Some(bytes_per_second),
                Fault::Cut { after, end } => all.cut = Some(Cut { after, end, once: None }),
                Fault::CutOnce { after, end } => all.cut = Some(Cut { after, end, once: Some(call) }),
                Fault::Dribble { bytes, pause } => {
                    all.dribble = Some(Dribble { bytes: bytes.max(1), pause: pause.min(LONGEST) });
                }
                Fault::Corrupt { probability } if probability > 0.0 => all.corrupt = probability.min(1.0),
                // What is no number too: it would differ from itself.
                Fault::Corrupt { .. } => all.corrupt = 0.0,
                Fault::CorruptAt { offset, bit } => all.corrupt_at = Some((offset, bit % 8)),
                Fault::BlackHole => all.black_hole = true,
            }
        }
        all
    }
}

/// Instants stay far from their limits.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);
