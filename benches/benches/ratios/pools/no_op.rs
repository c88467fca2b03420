//! Connections that do nothing, so that what is left is the pool.

use std::hint::black_box;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::task::unconstrained;

use super::Crowd;
use crate::contest::{Bound, Contest, Ratio};
use crate::pool_contenders::load::{HeldOverYield, for_a_while};
use crate::pool_contenders::no_op::{Bare, Bb8, Deadpool, Lend, UsChat};
use crate::pool_contenders::{recorder, runtime};
use crate::report::Report;

const BASE: &str = "deadpool";
const ROUNDS_ALONE: usize = 51;
const ROUNDS: usize = 31;
const TURN: Duration = Duration::from_millis(100);
/// Fairness shows only when every task has had many turns.
const ROUNDS_FAIR: usize = 3;
const TURN_FAIR: Duration = Duration::from_secs(2);

pub(crate) fn run(report: &mut Report) {
    let runtime = runtime();
    let _current = runtime.enter();
    // Built before there is a recorder, which it therefore never sees.
    let unrecorded = [8, 32].map(UsChat::new);
    recorder::install();
    alone(report, &unrecorded[0]);
    for (tasks, size, unrecorded) in [(64, 8, &unrecorded[0]), (1_000, 32, &unrecorded[1])] {
        contended(report, &runtime, tasks, size, unrecorded);
    }
}

fn alone(report: &mut Report, unrecorded: &UsChat) {
    let mut contest = Contest::new("pools, get and return, one task".into(), "ns a check-out", Ratio::Cost);
    enter_alone(&mut contest, BASE, Deadpool::new(8));
    enter_alone(&mut contest, "deadpool, 3 time-outs", Deadpool::with_timeouts(8));
    enter_alone(&mut contest, "bb8", Bb8::new(8));
    enter_alone(&mut contest, "semaphore", Bare::new(8));
    enter_alone(&mut contest, "uschat, no recorder", unrecorded.clone());
    enter_alone(&mut contest, "uschat", UsChat::new(8));
    contest.goal("uschat", BASE, Bound::Cost(1.1));
    report.run(contest, ROUNDS_ALONE);
}

fn enter_alone(contest: &mut Contest<'_>, name: &str, pool: impl Lend) {
    const CHECK_OUTS: usize = 256;
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
    contest.enter_task(name, BASE, CHECK_OUTS, move || {
        // tokio would have its resources, and so some of the pools, step back now and then.
        runtime.block_on(unconstrained(async {
            for _ in 0..CHECK_OUTS {
                drop(black_box(pool.get().await));
            }
        }));
    });
}

fn contended(report: &mut Report, runtime: &Runtime, tasks: usize, size: usize, unrecorded: &UsChat) {
    let title = format!("pools, {tasks} tasks on {size} connections, held over a yield");
    let mut crowd = Crowd::new(runtime, &title, tasks, TURN);
    crowd.enter(BASE, BASE, HeldOverYield(Deadpool::new(size)));
    crowd.enter("deadpool, 3 time-outs", BASE, HeldOverYield(Deadpool::with_timeouts(size)));
    crowd.enter("bb8", BASE, HeldOverYield(Bb8::new(size)));
    crowd.enter("semaphore", BASE, HeldOverYield(Bare::new(size)));
    crowd.enter("uschat, no recorder", BASE, HeldOverYield(unrecorded.clone()));
    crowd.enter("uschat", BASE, HeldOverYield(UsChat::new(size)));
    crowd.speed.goal("uschat", BASE, Bound::Speed(1.0));
    crowd.tails.goal("uschat", BASE, Bound::Cost(1.0));
    crowd.run(report, ROUNDS);

    let title = format!("{title}: units of the slowest task");
    let mut contest = Contest::new(title, "of the mean", Ratio::Share);
    enter_fair(&mut contest, runtime, tasks, BASE, Deadpool::new(size));
    enter_fair(&mut contest, runtime, tasks, "bb8", Bb8::new(size));
    enter_fair(&mut contest, runtime, tasks, "uschat", UsChat::new(size));
    contest.floor("uschat", 0.97);
    report.run(contest, ROUNDS_FAIR);
}

fn enter_fair<'a>(contest: &mut Contest<'a>, runtime: &'a Runtime, tasks: usize, name: &str, pool: impl Lend) {
    let work = HeldOverYield(pool);
    contest.enter(name, BASE, move || for_a_while(runtime, &work, tasks, TURN_FAIR).slowest);
}
