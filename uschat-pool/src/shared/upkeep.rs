//! The one task that works for a set: it connects, one connection at a time, and looks for connections that have stalled.
//!
//! The set owns it. It starts with the first connect and ends with the last clone of the set, or when that is closed. If
//! its runtime ends before, the next call that needs it starts it again.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{
    runtime::Handle,
    task::{JoinError, JoinSet},
    time::{Instant, sleep_until, timeout},
};
use tracing::{Instrument, debug, debug_span, error, info, warn};

use super::{core::Core, roster::Order};
use crate::{
    FailedStep, Manager, PoolError,
    attempt::attempt,
    observe::{Closed, Outcome, Step},
};

/// Stalled connections are looked for so often while they become so.
const LOOKS: u32 = 4;

/// The set's knowledge of its task: unset when that ends, before the callers that count on it hear that.
pub(super) struct Upkeep(Mutex<Arc<AtomicBool>>);

impl Upkeep {
    pub(super) fn new() -> Self {
        Self(Mutex::default())
    }
}

impl<M: Manager<Connection: Clone + Sync>> Core<M> {
    /// Has upkeep look at what has changed; starts it if need be and the caller is on a runtime.
    pub(super) fn wake_upkeep(self: &Arc<Self>) {
        let mut alive = self.upkeep.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !alive.load(Ordering::SeqCst)
            && let Ok(runtime) = Handle::try_current()
        {
            *alive = Arc::new(AtomicBool::new(true));
            runtime.spawn(Task::new(self, &alive).run());
        }
        drop(alive);
        self.changed.notify_one();
    }
}

type Connected<M> = Result<<M as Manager>::Connection, PoolError<<M as Manager>::Error>>;

struct Task<M: Manager<Connection: Clone + Sync>> {
    core: Arc<Core<M>>,
    connects: JoinSet<Connected<M>>,
    /// Connections by their number; with an error, what was wrong with them.
    verifications: JoinSet<(u64, Result<(), String>)>,
    /// None while no handle is out.
    next_look: Option<Instant>,
    /// What the last connect failed with; a peer that stays away is not reported again and again.
    reported: Option<String>,
    alive: Arc<AtomicBool>,
}

impl<M: Manager<Connection: Clone + Sync>> Task<M> {
    fn new(core: &Arc<Core<M>>, alive: &Arc<AtomicBool>) -> Self {
        Self {
            core: Arc::clone(core),
            connects: JoinSet::new(),
            verifications: JoinSet::new(),
            next_look: None,
            reported: None,
            alive: Arc::clone(alive),
        }
    }

    async fn run(mut self) {
        while !self.core.roster().closed {
            let look_at = self.look(Instant::now());
            let connect_at = self.start_connect();
            let due = [look_at, connect_at].into_iter().flatten().min();
            tokio::select! {
                () = self.core.changed.notified() => {}
                Some(outcome) = self.connects.join_next() => self.connected(outcome),
                Some(outcome) = self.verifications.join_next() => self.verified(outcome),
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {}
            }
        }
    }

    /// Starts the connect that was ordered, or one in place of a connection that was lost. Says when to try again if the
    /// peer may not be asked now.
    fn start_connect(&mut self) -> Option<Instant> {
        let core = &self.core;
        let mut roster = core.roster();
        if let Some(order) = &mut roster.order {
            if std::mem::replace(&mut order.started, true) {
                return None;
            }
        } else {
            // With nothing left, the caller that comes after the pause makes the attempt, and hears why it fails.
            let for_callers = roster.live() == 0 && core.breaker.retry_at().is_some();
            if for_callers || !roster.is_short() {
                return None;
            }
            if core.breaker.admit::<M::Error>().is_err() {
                return core.breaker.retry_at();
            }
            roster.order = Some(Order { caller: None, started: true });
        }
        drop(roster);
        let core = Arc::clone(core);
        self.connects.spawn(async move {
            attempt(&core.name, &core.manager, core.config.create, &core.breaker, &core.meters).await
        });
        None
    }

    fn connected(&mut self, outcome: Result<Connected<M>, JoinError>) {
        let name = &self.core.name;
        match outcome {
            Ok(outcome) => {
                match &outcome {
                    Ok(_) if self.reported.take().is_some() => info!(pool = %name, "connected again"),
                    Ok(_) => {}
                    Err(error) => self.report(error),
                }
                self.core.connected(Some(outcome));
            }
            Err(panic) => {
                error!(pool = %name, %panic, "connecting did not end");
                self.core.breaker.fail(FailedStep::Connect);
                self.core.connected(None);
            }
        }
    }

    /// Most callers meanwhile use another connection, or are told no more than that a pause is on.
    fn report(&mut self, error: &PoolError<M::Error>) {
        let cause = match error {
            PoolError::Connect(cause) => cause.to_string(),
            other => other.to_string(),
        };
        // What a peer says may hold line breaks, and a log line is one.
        let cause = cause.replace(char::is_control, " ");
        let name = &self.core.name;
        if self.reported.as_ref() == Some(&cause) {
            debug!(pool = %name, error = cause, "connecting failed again");
        } else {
            warn!(pool = %name, error = cause, "connecting failed");
            self.reported = Some(cause);
        }
    }

    /// Has the connections verified from which nothing comes back. Says when to look again.
    fn look(&mut self, now: Instant) -> Option<Instant> {
        let stall_after = self.core.config.stall_after;
        if stall_after.is_zero() {
            return None;
        }
        let next = now + (stall_after / LOOKS).max(Duration::from_millis(1));
        match self.next_look {
            Some(at) if now < at => {}
            // One look is done with before the next.
            Some(_) if !self.verifications.is_empty() => self.next_look = Some(next),
            Some(_) => {
                let mut roster = self.core.roster();
                let stalled = roster.stalled(now, stall_after);
                self.next_look = roster.watched.then_some(next);
                drop(roster);
                for (number, connection) in stalled {
                    self.verify(number, connection);
                }
            }
            None => self.next_look = self.core.roster().watched.then_some(next),
        }
        self.next_look
    }

    fn verify(&mut self, number: u64, mut connection: M::Connection) {
        let core = Arc::clone(&self.core);
        self.verifications.spawn(async move {
            let start = Instant::now();
            let after = core.config.recycle;
            let outcome = timeout(
                after,
                core.manager.verify(&mut connection).instrument(debug_span!("verify", pool = %core.name)),
            )
            .await;
            core.meters.record(Step::Verify, Outcome::of(&outcome), start.elapsed());
            let verdict = match outcome {
                Ok(Ok(())) => Ok(()),
                Ok(Err(error)) => Err(error.to_string().replace(char::is_control, " ")),
                Err(_) => Err(format!("no answer within {after:?}")),
            };
            (number, verdict)
        });
    }

    fn verified(&self, outcome: Result<(u64, Result<(), String>), JoinError>) {
        let name = &self.core.name;
        match outcome {
            Ok((_, Ok(()))) => {}
            Ok((number, Err(error))) => {
                if self.core.replace(number, Closed::Unverified) {
                    warn!(pool = %name, error, "replacing a connection that has stalled");
                }
            }
            Err(panic) => error!(pool = %name, %panic, "verifying did not end"),
        }
    }
}

/// However the task ends, nobody may count on it from here on.
impl<M: Manager<Connection: Clone + Sync>> Drop for Task<M> {
    fn drop(&mut self) {
        self.alive.store(false, Ordering::SeqCst);
        self.core.breaker.give_up();
        self.core.connected(None);
    }
}
