//! The meters of a pool at the `metrics` facade. The front page of the crate lists them.

use std::time::Duration;

use metrics::{
    Counter, Gauge, Histogram, Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram,
};

use super::{Closed, Outcome, Refusal, Step, WaitMeter};

const STEP_SECONDS: &str = "uschat_pool_step_seconds";
const CLOSED: &str = "uschat_pool_closed_total";
const REFUSED: &str = "uschat_pool_refused_total";
const CONNECTIONS: &str = "uschat_pool_connections";
const MAX_CONNECTIONS: &str = "uschat_pool_max_connections";
const BREAKER: &str = "uschat_pool_breaker";

/// Labels in the order of the enums whose values pick from them.
const STEPS: [&str; 4] = ["wait", "connect", "verify", "clean"];
const OUTCOMES: [&str; 3] = ["ok", "failed", "timeout"];
const REFUSALS: [&str; 3] = ["exhausted", "backing_off", "full"];

pub(super) struct Facade {
    steps: [[Histogram; 3]; 4],
    closed: [Counter; 9],
    refused: [Counter; 3],
    connections: [Gauge; 3],
    max_connections: Gauge,
    breaker: Gauge,
}

impl Facade {
    pub(super) fn new(pool: &str, states: [&'static str; 3]) -> Self {
        describe();
        let pool = || pool.to_owned();
        let steps = STEPS.map(|step| {
            OUTCOMES.map(|outcome| histogram!(STEP_SECONDS, "pool" => pool(), "step" => step, "outcome" => outcome))
        });
        Self {
            steps,
            closed: Closed::LABELS.map(|reason| counter!(CLOSED, "pool" => pool(), "reason" => reason)),
            refused: REFUSALS.map(|reason| counter!(REFUSED, "pool" => pool(), "reason" => reason)),
            connections: states.map(|state| gauge!(CONNECTIONS, "pool" => pool(), "state" => state)),
            max_connections: gauge!(MAX_CONNECTIONS, "pool" => pool()),
            breaker: gauge!(BREAKER, "pool" => pool()),
        }
    }

    pub(super) fn record(&self, step: Step, outcome: Outcome, took: Duration) {
        self.steps[step as usize][outcome as usize].record(took);
    }

    pub(super) fn closed(&self, why: Closed) {
        self.closed[why as usize].increment(1);
    }

    pub(super) fn refused(&self, why: Refusal) {
        self.refused[why as usize].increment(1);
    }

    #[allow(clippy::cast_precision_loss, reason = "no pool is that large")]
    pub(super) fn counts(&self, max_size: usize, counts: [usize; 3]) {
        self.max_connections.set(max_size as f64);
        for (gauge, count) in self.connections.iter().zip(counts) {
            gauge.set(count as f64);
        }
    }

    pub(super) fn breaker(&self) -> BreakerGauge {
        BreakerGauge(self.breaker.clone())
    }

    pub(super) fn waits(&self) -> WaitMeter {
        WaitMeter(self.steps[Step::Wait as usize][Outcome::Ok as usize].clone())
    }
}

fn describe() {
    describe_histogram!(STEP_SECONDS, Unit::Seconds, "Time that a pool's callers and connections spent in a step.");
    describe_counter!(CLOSED, "Connections that left a pool, by reason.");
    describe_counter!(REFUSED, "Callers that a pool turned away at once, by reason.");
    describe_gauge!(CONNECTIONS, "A pool's connections and callers by state, as of its last snapshot.");
    describe_gauge!(MAX_CONNECTIONS, "Most connections that a pool may have, as of its last snapshot.");
    describe_gauge!(
        BREAKER,
        "Whether a pool may connect: 0 yes, 1 one attempt is under way, 2 not before a pause is over."
    );
}

/// Shows the state of a breaker.
pub(crate) struct BreakerGauge(Gauge);

impl BreakerGauge {
    pub(crate) fn set(&self, level: u8) {
        self.0.set(f64::from(level));
    }
}
