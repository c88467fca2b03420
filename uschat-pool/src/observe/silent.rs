//! In place of the `metrics` facade, without the feature: nobody is told anything.
#![allow(clippy::unused_self, reason = "there is something to do with the feature")]

use std::time::Duration;

use super::{Closed, Outcome, Refusal, Step};

pub(super) struct Facade;

impl Facade {
    pub(super) fn new(_: &str, _: [&'static str; 3]) -> Self {
        Self
    }

    pub(super) fn record(&self, _: Step, _: Outcome, _: Duration) {}

    pub(super) fn closed(&self, _: Closed) {}

    pub(super) fn refused(&self, _: Refusal) {}

    pub(super) fn counts(&self, _: usize, _: [usize; 3]) {}

    pub(super) fn breaker(&self) -> BreakerGauge {
        BreakerGauge
    }

    pub(super) fn waits(&self) -> WaitMeter {
        WaitMeter
    }
}

pub(crate) struct BreakerGauge;

impl BreakerGauge {
    pub(crate) fn set(&self, _: u8) {}
}

#[derive(Default)]
pub(crate) struct Waits {}

impl Waits {
    pub(crate) fn add(&mut self, _: Duration) -> Self {
        Self {}
    }
}

pub(crate) struct WaitMeter;

impl WaitMeter {
    pub(crate) fn record(&self, _: Waits) {}
}
