//! Many tasks that do the same thing over and over.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;
use tokio::sync::Barrier;
use tokio::task::{JoinSet, yield_now};

use super::no_op::Lend;
use super::recorder;

/// One in so many units is timed: reading the clock twice costs as much as a tenth of a check-out.
const TIMED: u64 = 16;

/// What a task does.
pub(crate) trait Work: Clone + Send + Sync + 'static {
    /// What the first step leaves for the second.
    type Held: Send;

    /// The step whose time a caller feels: a check-out, or a whole call.
    fn begin(&self) -> impl Future<Output = Self::Held> + Send;

    /// What follows.
    fn finish(held: Self::Held) -> impl Future<Output = ()> + Send {
        async { drop(held) }
    }
}

/// Check-outs that last until the task has been at the end of the runtime's queue once.
#[derive(Clone)]
pub(crate) struct HeldOverYield<L>(pub(crate) L);

impl<L: Lend> Work for HeldOverYield<L> {
    type Held = L::Lease;

    async fn begin(&self) -> L::Lease {
        self.0.get().await
    }

    async fn finish(held: L::Lease) {
        yield_now().await;
        drop(held);
    }
}

/// How it went.
pub(crate) struct Outcome {
    /// What all tasks have done.
    pub(crate) units: u64,
    /// Of the wall clock, for each unit that any of the tasks has done.
    pub(crate) nanos_a_unit: f64,
    /// 99th percentile of the first step.
    pub(crate) p99: Duration,
    /// Units of the slowest task, divided by the mean.
    pub(crate) slowest: f64,
}

/// Lets so many tasks work for so long.
pub(crate) fn for_a_while<W: Work>(runtime: &Runtime, work: &W, tasks: usize, time: Duration) -> Outcome {
    let stop = Arc::new(AtomicBool::new(false));
    let start = Arc::new(Barrier::new(tasks + 1));
    let mut working = JoinSet::new();
    for place in 0..tasks {
        let (work, stop, start) = (work.clone(), Arc::clone(&stop), Arc::clone(&start));
        let task = async move {
            start.wait().await;
            let (mut units, mut times) = (0, Vec::new());
            while !stop.load(Ordering::Relaxed) {
                if (units + place as u64).is_multiple_of(TIMED) {
                    let asked = Instant::now();
                    let held = work.begin().await;
                    times.push(asked.elapsed());
                    W::finish(held).await;
                } else {
                    W::finish(work.begin().await).await;
                }
                units += 1;
            }
            (units, times)
        };
        working.spawn_on(task, runtime.handle());
    }
    runtime.block_on(start.wait());
    let began = Instant::now();
    std::thread::sleep(time);
    stop.store(true, Ordering::Relaxed);
    let took = began.elapsed();
    let (units, times): (Vec<_>, Vec<_>) = runtime.block_on(working.join_all()).into_iter().unzip();
    recorder::fold();
    let mut times = times.concat();
    times.sort_unstable();
    let total: u64 = units.iter().sum();
    let mean = total as f64 / tasks as f64;
    Outcome {
        units: total,
        nanos_a_unit: took.as_nanos() as f64 / total as f64,
        p99: times[times.len() * 99 / 100],
        slowest: *units.iter().min().expect("a task") as f64 / mean,
    }
}

/// How long so many tasks take for so many units, each task for an equal part of them.
pub(crate) fn so_often<W: Work>(runtime: &Runtime, work: &W, tasks: usize, units: u64) -> Duration {
    let each = units.div_ceil(tasks as u64);
    let start = Arc::new(Barrier::new(tasks + 1));
    let mut working = JoinSet::new();
    for _ in 0..tasks {
        let (work, start) = (work.clone(), Arc::clone(&start));
        let task = async move {
            start.wait().await;
            for _ in 0..each {
                W::finish(work.begin().await).await;
            }
        };
        working.spawn_on(task, runtime.handle());
    }
    runtime.block_on(start.wait());
    let began = Instant::now();
    runtime.block_on(working.join_all());
    let took = began.elapsed();
    recorder::fold();
    took.mul_f64(units as f64 / (each * tasks as u64) as f64)
}
