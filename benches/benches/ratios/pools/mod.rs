//! Sections `pools/…`: what a pool costs its callers, by the wall clock of two
//! threads, and one task alone by its CPU time.

pub(crate) mod grpc;
pub(crate) mod no_op;
pub(crate) mod redis;
pub(crate) mod sql;

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use tokio::runtime::Runtime;

use crate::clock;
use crate::contest::{Contest, Ratio};
use crate::pool_contenders::load::{Work, for_a_while};
use crate::report::Report;

/// Contenders with the same work for the same number of tasks. Their turns are
/// looked at three times: how much was done, how long the slow ones waited, and
/// what it cost this process.
struct Crowd<'a> {
    runtime: &'a Runtime,
    tasks: usize,
    turn: Duration,
    speed: Contest<'a>,
    tails: Contest<'a>,
    cpu: Contest<'a>,
}

/// What is kept of a turn.
struct Seen {
    tail_micros: f64,
    cpu_nanos: f64,
}

impl<'a> Crowd<'a> {
    fn new(runtime: &'a Runtime, title: &str, tasks: usize, turn: Duration) -> Self {
        Self {
            runtime,
            tasks,
            turn,
            speed: Contest::new(title.into(), "wall ns a unit", Ratio::Speed),
            tails: Contest::new(format!("{title}: slow units"), "wall us, 99th percentile", Ratio::Cost),
            cpu: Contest::new(format!("{title}: CPU time"), "CPU ns a unit, without servers", Ratio::Cost),
        }
    }

    fn enter<W: Work>(&mut self, name: &str, base: &str, work: W) {
        let seen = Rc::new(RefCell::new(Vec::<Seen>::new()));
        look_again(&mut self.tails, name, base, &seen, |seen| seen.tail_micros);
        look_again(&mut self.cpu, name, base, &seen, |seen| seen.cpu_nanos);
        let (runtime, tasks, turn) = (self.runtime, self.tasks, self.turn);
        self.speed.enter(name, base, move || {
            let start = clock::now_of_all_threads();
            let outcome = for_a_while(runtime, &work, tasks, turn);
            let cpu = clock::now_of_all_threads() - start;
            seen.borrow_mut().push(Seen {
                tail_micros: outcome.p99.as_nanos() as f64 / 1e3,
                cpu_nanos: cpu.as_nanos() as f64 / outcome.units as f64,
            });
            outcome.nanos_a_unit
        });
    }

    /// Lets everybody take so many turns.
    fn run(self, report: &mut Report, rounds: usize) {
        for contest in [self.speed, self.tails, self.cpu] {
            report.run(contest, rounds);
        }
    }
}

/// Enters a contender whose turns were taken before.
fn look_again(
    contest: &mut Contest<'_>,
    name: &str,
    base: &str,
    seen: &Rc<RefCell<Vec<Seen>>>,
    figure: fn(&Seen) -> f64,
) {
    let (seen, mut turns) = (Rc::clone(seen), 0);
    contest.enter(name, base, move || {
        turns += 1;
        figure(&seen.borrow()[turns - 1])
    });
}
