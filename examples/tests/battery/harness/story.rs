//! What happened to a member's connection, as far as recovery is concerned.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use tokio::sync::watch;
use uschat_proto::chat::{ThreadId, UserId};

/// One connection of a member.
#[derive(Debug, Clone)]
pub struct Stretch {
    /// When the application was told of it.
    pub began: Instant,
    /// As the SDK names it.
    pub server: String,
    /// When it ended and why, if it has.
    pub ended: Option<(Instant, String)>,
}

impl Stretch {
    /// Whether it ended after this moment.
    pub fn ended_after(&self, moment: Instant) -> bool {
        self.ended.as_ref().is_some_and(|(ended, _)| *ended > moment)
    }
}

/// All that became of a member so far.
#[derive(Debug, Default)]
pub struct Story {
    /// Its connections, the last one last.
    pub stretches: Vec<Stretch>,
    /// When its texts were acknowledged.
    pub acknowledged: Vec<Instant>,
    /// Texts that were not answered yet.
    pub unanswered: usize,
    /// The refusals, in words.
    pub refusals: Vec<String>,
    /// The highest number that its application was shown of each sender in each conversation.
    pub seen: HashMap<(ThreadId, UserId), i64>,
    /// Why the SDK gave up, if it did.
    pub gave_up: Option<String>,
}

impl Story {
    /// Whether it is connected, and to whom.
    pub fn server(&self) -> Option<&str> {
        self.stretches.last().filter(|stretch| stretch.ended.is_none()).map(|stretch| &*stretch.server)
    }

    /// When it was first acknowledged something after this moment.
    pub fn acknowledged_after(&self, moment: Instant) -> Option<Instant> {
        let later = self.acknowledged.partition_point(|at| *at <= moment);
        self.acknowledged.get(later).copied()
    }

    /// When it first connected after this moment.
    pub fn connected_after(&self, moment: Instant) -> Option<Instant> {
        self.stretches.iter().map(|stretch| stretch.began).find(|began| *began > moment)
    }

    /// The longest time without an acknowledgement between these moments.
    pub fn longest_silence(&self, from: Instant, to: Instant) -> Duration {
        let inside = self.acknowledged.iter().copied().filter(|at| (from..to).contains(at));
        let ends: Vec<_> = std::iter::once(from).chain(inside).chain([to]).collect();
        ends.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or_default()
    }
}

/// A story that is being told: written by the member's tasks, awaited by the test.
pub type Telling = watch::Sender<Story>;
