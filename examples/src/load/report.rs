//! What people read at the end, and what programs read.

use std::fmt;

use serde::Serialize;

use super::{
    error::LoadError,
    idle::IdleMemory,
    meter::Latency,
    options::{Placement, RunOptions},
    traffic::Outcome,
};

/// All results of `load`, with what they were measured with. Its JSON has these names.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    pub(super) pairs: u32,
    pub(super) window: u32,
    pub(super) size_bytes: usize,
    pub(super) placement: Placement,
    pub(super) seed: u64,
    pub(super) warm_up_s: f64,
    pub(super) duration_s: f64,
    pub(super) idle: Option<IdleMemory>,
    /// A closed loop, an open one, or both in this order.
    pub(super) stretches: Vec<Outcome>,
}

impl Report {
    pub(super) fn new(options: &RunOptions) -> Self {
        let shape = &options.shape;
        Self {
            pairs: shape.pairs,
            window: shape.window,
            size_bytes: shape.size,
            placement: options.placement,
            seed: shape.seed,
            warm_up_s: shape.warm_up.as_secs_f64(),
            duration_s: shape.duration.as_secs_f64(),
            idle: None,
            stretches: Vec::new(),
        }
    }

    pub(super) fn is_sound(&self) -> bool {
        self.stretches.iter().all(Outcome::is_sound)
    }

    pub(super) fn to_json(&self) -> Result<String, LoadError> {
        to_json(self)
    }
}

/// Lines of JSON, with a line end behind the last.
pub(super) fn to_json(value: &impl Serialize) -> Result<String, LoadError> {
    let json = serde_json::to_string_pretty(value);
    json.map(|json| json + "\n").map_err(|error| LoadError::failed(error.to_string()))
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { pairs, window, size_bytes, duration_s, .. } = self;
        let placement = match self.placement {
            Placement::Same => "on the same chat server",
            Placement::Other => "on two chat servers",
            Placement::Any => "wherever the gate sent them",
        };
        write!(f, "{pairs} pairs {placement}, texts of {size_bytes} bytes, {duration_s} s")?;
        if let Some(idle) = &self.idle {
            write!(f, "\n\n{idle}")?;
        }
        for outcome in &self.stretches {
            match outcome.wanted_per_s {
                Some(rate) => write!(f, "\n\nopen loop, {rate:.0} texts/s wanted")?,
                None => write!(f, "\n\nclosed loop, {window} under way for each sender")?,
            }
            write!(f, "\n{outcome}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts = &self.counts;
        writeln!(f, "  acknowledged {:>10.0} /s", self.acknowledged_per_s)?;
        writeln!(f, "  delivered    {:>10.0} /s", self.delivered_per_s)?;
        writeln!(f, "  latency, ms            p50      p90      p99    p99.9      max")?;
        for (name, latency) in [("acknowledgement", &self.acknowledgement), ("delivery", &self.delivery)] {
            let Latency { p50_us, p90_us, p99_us, p99_9_us, max_us, .. } = latency;
            write!(f, "  {name:<16}")?;
            for us in [p50_us, p90_us, p99_us, p99_9_us, max_us] {
                write!(f, " {:>8.2}", *us as f64 / 1_000.0)?;
            }
            writeln!(f)?;
        }
        writeln!(
            f,
            "  in all {} sent, {} acknowledged, {} delivered",
            counts.sent, counts.acknowledged, counts.delivered
        )?;
        let refused: u64 = counts.refused.values().sum();
        write!(f, "  {} lost, {} doubled, {} out of order", counts.lost, counts.doubled, counts.reordered)?;
        write!(f, "; {refused} refused, {} unanswered", counts.unanswered)?;
        for (code, count) in &counts.refused {
            write!(f, "\n  refused with code {code}: {count}")?;
        }
        for (reason, count) in &self.connections_ended {
            write!(f, "\n  connections ended, {reason}: {count}")?;
        }
        for used in &self.processes {
            write!(f, "\n  process {}: {:.2} cores", used.pid, used.cores)?;
            if let Some(microseconds) = used.cpu_us_per_text {
                write!(f, ", {microseconds:.2} µs of CPU a text")?;
            }
            write!(f, ", {:.1} MB", used.resident_bytes as f64 / 1e6)?;
        }
        if let Some(cores) = self.generator_cores {
            write!(f, "\n  the generator itself: {cores:.2} cores")?;
        }
        Ok(())
    }
}

impl fmt::Display for IdleMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} idle sessions", self.sessions)?;
        for memory in &self.processes {
            let megabytes = |bytes: u64| bytes as f64 / 1e6;
            let (before, after) = (megabytes(memory.resident_bytes_before), megabytes(memory.resident_bytes_after));
            let (pid, each) = (memory.pid, memory.bytes_per_session);
            write!(f, "\n  process {pid}: {before:.1} MB before, {after:.1} MB after, {each} bytes a session")?;
        }
        Ok(())
    }
}
