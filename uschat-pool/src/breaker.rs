//! Keeps callers away from a peer that cannot be connected to: one attempt for each pause, and the pauses grow.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use crate::{BreakerState, FailedStep, PoolError, jitter, observe::BreakerGauge};

pub(crate) struct Breaker {
    /// The first pause.
    first: Duration,
    /// Where its doubling ends.
    longest: Duration,
    /// How long one attempt may take.
    attempt: Duration,
    state: Mutex<State>,
    /// Follows the state, under its lock.
    gauge: BreakerGauge,
}

enum State {
    Closed,
    /// No attempt before `retry_at`.
    Open {
        failed: Failed,
        retry_at: Instant,
    },
    /// One attempt is under way; one that has not ended by `until` is not heard of again.
    HalfOpen {
        failed: Failed,
        until: Instant,
    },
}

impl State {
    /// As the gauge shows it.
    fn level(&self) -> u8 {
        match self {
            Self::Closed => 0,
            Self::HalfOpen { .. } => 1,
            Self::Open { .. } => 2,
        }
    }
}

#[derive(Clone, Copy)]
struct Failed {
    step: FailedStep,
    in_a_row: u32,
}

/// Whoever may connect.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Admission {
    /// Like anybody else.
    Free,
    /// Alone, to see whether the peer is back.
    Probe,
}

impl Breaker {
    pub(crate) fn new(first: Duration, longest: Duration, attempt: Duration, gauge: BreakerGauge) -> Self {
        gauge.set(State::Closed.level());
        Self { first, longest, attempt, state: Mutex::new(State::Closed), gauge }
    }

    /// Asks for an attempt. A probe must end with `succeed`, `fail` or `give_up`.
    pub(crate) fn admit<E>(&self) -> Result<Admission, PoolError<E>> {
        let mut state = self.state();
        let (failed, not_before) = match *state {
            State::Closed => return Ok(Admission::Free),
            State::Open { failed, retry_at } => (failed, retry_at),
            State::HalfOpen { failed, until } => (failed, until),
        };
        let now = Instant::now();
        let retry_in = not_before.saturating_duration_since(now);
        if !retry_in.is_zero() {
            return Err(PoolError::BackingOff { step: failed.step, retry_in });
        }
        self.turn(&mut state, State::HalfOpen { failed, until: now + self.attempt });
        Ok(Admission::Probe)
    }

    /// What a caller hears who comes during a pause; asks for nothing.
    pub(crate) fn refusal<E>(&self) -> Option<PoolError<E>> {
        match *self.state() {
            State::Open { failed, retry_at: due } | State::HalfOpen { failed, until: due } => {
                let retry_in = due.saturating_duration_since(Instant::now());
                (!retry_in.is_zero()).then_some(PoolError::BackingOff { step: failed.step, retry_in })
            }
            State::Closed => None,
        }
    }

    /// When the next attempt is allowed, if none is now.
    pub(crate) fn retry_at(&self) -> Option<Instant> {
        match *self.state() {
            State::Closed => None,
            State::Open { retry_at: due, .. } | State::HalfOpen { until: due, .. } => Some(due),
        }
    }

    pub(crate) fn succeed(&self) {
        self.turn(&mut self.state(), State::Closed);
    }

    /// Starts the pause before the next attempt: it doubles with every failure, less a random part of up to half.
    /// Attempts that began side by side fail as one.
    pub(crate) fn fail(&self, step: FailedStep) {
        let mut state = self.state();
        let before = match *state {
            State::Closed => 0,
            State::HalfOpen { failed, .. } => failed.in_a_row,
            State::Open { .. } => return,
        };
        let doubled = self.first.saturating_mul(2u32.saturating_pow(before)).min(self.longest);
        let retry_at = Instant::now() + jitter::at_least_percent(50, doubled);
        self.turn(&mut state, State::Open { failed: Failed { step, in_a_row: before.saturating_add(1) }, retry_at });
    }

    /// Ends a probe without an outcome: the next caller may try.
    pub(crate) fn give_up(&self) {
        let mut state = self.state();
        if let State::HalfOpen { failed, .. } = *state {
            self.turn(&mut state, State::Open { failed, retry_at: Instant::now() });
        }
    }

    /// For a snapshot.
    pub(crate) fn shown(&self) -> BreakerState {
        match *self.state() {
            State::Closed => BreakerState::Closed,
            State::HalfOpen { failed, .. } => BreakerState::HalfOpen { step: failed.step },
            State::Open { failed, retry_at } => {
                BreakerState::Open { step: failed.step, retry_in: retry_at.saturating_duration_since(Instant::now()) }
            }
        }
    }

    fn turn(&self, state: &mut State, next: State) {
        self.gauge.set(next.level());
        *state = next;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;
    use crate::observe::Meters;

    const ATTEMPT: Duration = Duration::from_secs(2);

    fn breaker() -> Breaker {
        let gauge = Meters::of_pool("test").breaker();
        Breaker::new(Duration::from_millis(100), Duration::from_secs(5), ATTEMPT, gauge)
    }

    fn refused(breaker: &Breaker) -> Duration {
        match breaker.admit::<()>() {
            Err(PoolError::BackingOff { retry_in, .. }) => retry_in,
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn pauses_double_up_to_the_longest() {
        let breaker = breaker();
        for expected in [100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000] {
            assert!(breaker.admit::<()>().is_ok());
            breaker.fail(FailedStep::Connect);
            let expected = Duration::from_millis(expected);
            let pause = refused(&breaker);
            assert!((expected / 2..=expected).contains(&pause), "{pause:?} for {expected:?}");
            advance(pause).await;
        }
        assert_eq!(breaker.admit::<()>().unwrap(), Admission::Probe);
        breaker.succeed();
        assert_eq!(breaker.admit::<()>().unwrap(), Admission::Free);
        breaker.fail(FailedStep::Connect);
        assert!(refused(&breaker) <= Duration::from_millis(100), "the past is forgotten");
    }

    #[tokio::test(start_paused = true)]
    async fn attempts_side_by_side_fail_as_one() {
        let breaker = breaker();
        for _ in 0..8 {
            breaker.fail(FailedStep::Connect);
        }
        assert!(refused(&breaker) <= Duration::from_millis(100));
    }

    #[tokio::test(start_paused = true)]
    async fn one_probe_at_a_time_and_a_lost_one_is_replaced() {
        let breaker = breaker();
        breaker.fail(FailedStep::Connect);
        advance(Duration::from_millis(100)).await;
        assert_eq!(breaker.admit::<()>().unwrap(), Admission::Probe);
        assert_eq!(refused(&breaker), ATTEMPT);
        breaker.give_up();
        assert_eq!(breaker.admit::<()>().unwrap(), Admission::Probe);
        advance(ATTEMPT).await;
        assert_eq!(breaker.admit::<()>().unwrap(), Admission::Probe);
    }
}
