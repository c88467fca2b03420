//! One direction of one connection without its sockets: what is held, what may leave, and when.

use std::{collections::VecDeque, time::Duration};

use rand::{RngExt, rngs::StdRng};
use tokio::time::Instant;

use super::{
    fault::{Cut, End, Faults},
    seed::{Purpose, Seed},
};

/// Bytes under way. Reads no clock and touches no socket: instants and bytes come in as arguments.
#[derive(Debug)]
pub(super) struct Line {
    chunks: VecDeque<Chunk>,
    /// Bytes in the chunks, and the most they may be.
    held: usize,
    bound: usize,
    /// Bytes of the connection that came in and went out.
    taken: u64,
    passed: u64,
    /// Pacing: when the next write may be.
    not_before: Option<Instant>,
    /// Nothing more can come in.
    ended: bool,
    /// Something was swallowed, so everything is from now on.
    lost: bool,
    delays: StdRng,
    flips: StdRng,
}

/// What one read brought.
#[derive(Debug)]
struct Chunk {
    content: Content,
    arrived: Instant,
    /// From -1 to 1: the part of the jitter. Drawn once, so that a delay changed at run time concerns what is held too.
    luck: f64,
}

#[derive(Debug)]
enum Content {
    /// The bytes, and how many of them have left.
    Bytes(Vec<u8>, usize),
    End(End),
}

/// What can be done now.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Step {
    /// Nothing until more comes in or the faults change.
    Idle,
    Wait(Instant),
    /// Write so many bytes of [`Line::front`].
    Write(usize),
    /// Pass on how the stream ended.
    End(End),
    /// End the whole connection.
    Cut(Cut),
}

/// What happened to bytes that came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Pushed {
    pub(super) swallowed: u64,
    pub(super) flipped: u64,
}

impl Line {
    /// Many small chunks would take more memory than the bytes in them.
    const CHUNKS: usize = 1_024;
    /// A limited line writes what it may write in so much time; and so much of what it did not use it may catch up.
    const SLICE: Duration = Duration::from_millis(20);

    pub(super) fn new(bound: usize, seed: Seed) -> Self {
        Self {
            chunks: VecDeque::new(),
            held: 0,
            bound,
            taken: 0,
            passed: 0,
            not_before: None,
            ended: false,
            lost: false,
            delays: seed.rng(Purpose::Delays),
            flips: seed.rng(Purpose::Flips),
        }
    }

    /// How many bytes may come in now.
    pub(super) fn room(&self) -> usize {
        if self.ended || self.chunks.len() >= Self::CHUNKS { 0 } else { self.bound - self.held }
    }

    /// Takes in bytes, at most [`room`](Self::room).
    pub(super) fn push(&mut self, mut bytes: Vec<u8>, now: Instant, faults: &Faults) -> Pushed {
        let mut pushed = Pushed::default();
        if self.lost || faults.black_hole {
            self.lost = true;
            pushed.swallowed = bytes.len() as u64;
        } else {
            pushed.flipped = self.flip(&mut bytes, faults);
            self.held += bytes.len();
        }
        self.taken += bytes.len() as u64;
        if !self.lost {
            self.queue(Content::Bytes(bytes, 0), now);
        }
        pushed
    }

    /// Takes in the end of the stream. A reset after an end in order replaces that, if it is still here.
    pub(super) fn push_end(&mut self, end: End, now: Instant, faults: &Faults) {
        self.ended = true;
        self.lost |= faults.black_hole;
        match self.chunks.back_mut() {
            _ if self.lost => {}
            Some(Chunk { content: Content::End(queued), .. }) => *queued = end,
            _ => self.queue(Content::End(end), now),
        }
    }

    /// For a direction that became a black hole: loses what is held. Returns how many bytes those were.
    pub(super) fn swallow(&mut self) -> u64 {
        self.lost |= !self.chunks.is_empty();
        self.chunks.clear();
        std::mem::take(&mut self.held) as u64
    }

    /// Whether something was swallowed.
    pub(super) fn is_lossy(&self) -> bool {
        self.lost
    }

    /// Whether nothing will ever leave again because it was swallowed, the end of the stream included.
    pub(super) fn is_swallowed(&self) -> bool {
        self.lost && self.ended
    }

    pub(super) fn step(&self, now: Instant, faults: &Faults) -> Step {
        if let Some(cut) = faults.cut.filter(|cut| cut.after <= self.passed) {
            return Step::Cut(cut);
        }
        let Some(front) = self.chunks.front().filter(|_| !faults.stalled) else { return Step::Idle };
        let due = self.not_before.map_or(front.due(faults), |paced| front.due(faults).max(paced));
        if due > now {
            return Step::Wait(due);
        }
        let length = match &front.content {
            Content::End(end) => return Step::End(*end),
            Content::Bytes(bytes, left) => bytes.len() - left,
        };
        let slice = faults.bytes_per_second.map_or(u64::MAX, |rate| (rate / slices_in_a_second()).max(1));
        let to_cut = faults.cut.map_or(u64::MAX, |cut| cut.after - self.passed);
        let dribble = faults.dribble.map_or(usize::MAX, |dribble| dribble.bytes);
        Step::Write(length.min(dribble).min(usize::try_from(slice.min(to_cut)).unwrap_or(usize::MAX)))
    }

    /// The bytes that leave next. Empty if there are none.
    pub(super) fn front(&self) -> &[u8] {
        match self.chunks.front() {
            Some(Chunk { content: Content::Bytes(bytes, left), .. }) => &bytes[*left..],
            _ => &[],
        }
    }

    /// The first `count` bytes of the front have left.
    pub(super) fn pass(&mut self, count: usize, now: Instant, faults: &Faults) {
        if let Some(Chunk { content: Content::Bytes(bytes, left), .. }) = self.chunks.front_mut() {
            *left += count;
            if *left >= bytes.len() {
                self.chunks.pop_front();
            }
        }
        self.held -= count;
        self.passed += count as u64;
        let limited = faults.bytes_per_second.map(|rate| {
            let earliest = now.checked_sub(Self::SLICE).unwrap_or(now);
            let begin = self.not_before.map_or(earliest, |paced| paced.max(earliest));
            begin + Duration::from_secs_f64(count as f64 / rate as f64)
        });
        let dribbled = faults.dribble.map(|dribble| now + dribble.pause);
        self.not_before = limited.max(dribbled);
    }

    /// Forgets the pace of faults that are no more.
    pub(super) fn restart_pace(&mut self) {
        self.not_before = None;
    }

    fn queue(&mut self, content: Content, now: Instant) {
        let luck = self.delays.random_range(-1.0..=1.0);
        self.chunks.push_back(Chunk { content, arrived: now, luck });
    }

    fn flip(&mut self, bytes: &mut [u8], faults: &Faults) -> u64 {
        let mut flipped = 0;
        if faults.corrupt > 0.0 {
            for byte in bytes.iter_mut() {
                if self.flips.random::<f64>() < faults.corrupt {
                    *byte ^= 1 << self.flips.random_range(0..8);
                    flipped += 1;
                }
            }
        }
        let chosen = faults.corrupt_at.and_then(|(offset, bit)| {
            let index = usize::try_from(offset.checked_sub(self.taken)?).ok()?;
            Some((bytes.get_mut(index)?, bit))
        });
        if let Some((byte, bit)) = chosen {
            *byte ^= 1 << bit;
            flipped += 1;
        }
        flipped
    }
}

impl Chunk {
    fn due(&self, faults: &Faults) -> Instant {
        let jitter = faults.jitter.mul_f64(self.luck.abs());
        let delay =
            if self.luck < 0.0 { faults.delay.saturating_sub(jitter) } else { faults.delay.saturating_add(jitter) };
        self.arrived + delay
    }
}

const fn slices_in_a_second() -> u64 {
    1_000 / Line::SLICE.as_millis() as u64
}

#[cfg(test)]
#[path = "line_tests.rs"]
mod tests;
