//! One stretch of texts between all pairs: warm-up, measurement, drain.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, VecDeque},
    rc::Rc,
    time::{Duration, Instant},
};

use rand::{SeedableRng, rngs::StdRng, seq::SliceRandom};
use serde::Serialize;
use tokio::{
    sync::{Notify, watch},
    task::JoinSet,
    time::{Instant as TokioInstant, interval, sleep_until, timeout},
};

use super::{
    clock::Schedule,
    error::LoadError,
    ledger::{Counts, Ledger},
    meter::{Latency, Meter},
    processes::{Processes, Used},
    progress::Progress,
    receiver, sender,
    session::Ended,
    texts::{RunId, TextWriter},
    users::{self, Pair},
};

/// In an open loop: texts that wait in the generator, beyond which the rate is out of reach.
const MOST_OWED: usize = 1_000_000;

/// What decides when the next text goes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Mode {
    /// An acknowledgement: so many texts of each sender are under way.
    Closed { window: u32 },
    /// The clock: so many texts a second of all senders together.
    Open { rate: f64 },
}

/// What one stretch is to be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Plan {
    pub(super) mode: Mode,
    pub(super) size: usize,
    pub(super) seed: u64,
    pub(super) warm_up: Duration,
    pub(super) duration: Duration,
    /// Silence after which what is missing is not waited for.
    pub(super) settle: Duration,
}

/// What all connections of a stretch share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) run: RunId,
    pub(super) mode: Mode,
    pub(super) meter: RefCell<Meter>,
    /// New texts may go.
    pub(super) sending: Cell<bool>,
    /// While draining: something came.
    came: Notify,
}

impl Shared {
    /// Frames came in.
    pub(super) fn noticed(&self) {
        if !self.sending.get() {
            self.came.notify_one();
        }
    }
}

/// What the two tasks of a pair share.
#[derive(Debug, Default)]
pub(super) struct Line {
    pub(super) ledger: RefCell<Ledger>,
    /// In an open loop: the intended times of texts that have not gone yet.
    pub(super) owed: RefCell<VecDeque<Instant>>,
    /// Something is owed.
    pub(super) due: Notify,
}

impl Line {
    fn is_settled(&self) -> bool {
        self.owed.borrow().is_empty() && self.ledger.borrow().is_settled()
    }
}

/// What came of a stretch.
#[derive(Debug, Serialize)]
pub(super) struct Outcome {
    /// `closed` or `open`.
    #[serde(rename = "loop")]
    pub(super) loop_: &'static str,
    /// Texts a second that were to be sent, in an open loop.
    pub(super) wanted_per_s: Option<f64>,
    pub(super) acknowledged_per_s: f64,
    pub(super) delivered_per_s: f64,
    pub(super) counts: Counts,
    /// Connections that ended too early, by reason.
    pub(super) connections_ended: BTreeMap<String, u64>,
    pub(super) acknowledgement: Latency,
    pub(super) delivery: Latency,
    pub(super) acknowledged_in_each_second: Vec<u64>,
    pub(super) delivered_in_each_second: Vec<u64>,
    pub(super) processes: Vec<Used>,
    /// What the generator itself used of a core, where that can be found out. Near 1 it is the limit.
    pub(super) generator_cores: Option<f64>,
}

impl Outcome {
    /// Nothing went wrong with texts or connections.
    pub(super) fn is_sound(&self) -> bool {
        self.counts.are_sound() && self.connections_ended.is_empty() && self.counts.acknowledged > 0
    }
}

/// Drives all pairs as planned.
pub(super) async fn drive(
    pairs: &[Pair],
    plan: &Plan,
    processes: &Processes,
    progress: &Progress,
) -> Result<Outcome, LoadError> {
    let sessions = users::connect(pairs).await?;
    let begin = Instant::now();
    let start = begin + plan.warm_up;
    let shared = Rc::new(Shared {
        run: RunId::random(),
        mode: plan.mode,
        meter: RefCell::new(Meter::new(start, plan.duration).map_err(|error| LoadError::failed(error.to_string()))?),
        sending: Cell::new(true),
        came: Notify::new(),
    });
    let mut tasks = JoinSet::new();
    let mut lines = Vec::with_capacity(pairs.len());
    for ((sending, receiving), (pair, seed)) in sessions.into_iter().zip(pairs.iter().zip(plan.seed..)) {
        let line = Rc::new(Line::default());
        let writer = TextWriter::new(pair.receiver.ticket.uid.0, &shared.run, plan.size, seed);
        tasks.spawn_local(receiver::run(receiving, Rc::clone(&line), Rc::clone(&shared)));
        tasks.spawn_local(sender::run(sending, writer, Rc::clone(&line), Rc::clone(&shared)));
        lines.push(line);
    }
    let mut dealer = JoinSet::new();
    if let Mode::Open { rate } = plan.mode {
        let schedule = Schedule::new(begin, rate, plan.warm_up + plan.duration);
        let mut order = lines.clone();
        order.shuffle(&mut StdRng::seed_from_u64(plan.seed));
        dealer.spawn_local(deal(schedule, schedule.follow(), order));
    }

    let mut watched = Watched { tasks, dealer, ended: BTreeMap::new(), shared: Rc::clone(&shared) };
    watched.until(start, "warm-up", progress).await?;
    let own = Processes::new(vec![std::process::id()]).ok();
    let (before, own_before) = (processes.usage()?, own.as_ref().and_then(|own| own.usage().ok()));
    let measuring = Instant::now();
    watched.until(start + plan.duration, "measuring", progress).await?;
    let measured = measuring.elapsed();
    let texts = shared.meter.borrow().acknowledged.count;
    let used = processes.used_since(&before, measured, texts)?;
    let own_used = own.zip(own_before).and_then(|(own, before)| own.used_since(&before, measured, texts).ok());

    watched.drain(&lines, plan.settle).await?;
    let ended = watched.end().await;
    let mut counts = Counts::default();
    for line in lines {
        counts.add(&line.ledger.take().close());
    }
    let meter = shared.meter.borrow();
    let per_second = |count: u64| count as f64 / plan.duration.as_secs_f64();
    Ok(Outcome {
        loop_: if matches!(plan.mode, Mode::Open { .. }) { "open" } else { "closed" },
        wanted_per_s: if let Mode::Open { rate } = plan.mode { Some(rate) } else { None },
        acknowledged_per_s: per_second(meter.acknowledged.count),
        delivered_per_s: per_second(meter.delivered.count),
        counts,
        connections_ended: ended,
        acknowledgement: Latency::of(&meter.acknowledged.latency),
        delivery: Latency::of(&meter.delivered.latency),
        acknowledged_in_each_second: meter.acknowledged.in_each_second.clone(),
        delivered_in_each_second: meter.delivered.in_each_second.clone(),
        processes: used,
        generator_cores: own_used.and_then(|used| Some(used.first()?.cores)),
    })
}

/// The tasks of a stretch, and what became of them.
struct Watched {
    tasks: JoinSet<Ended>,
    /// False if too many texts waited.
    dealer: JoinSet<bool>,
    ended: BTreeMap<String, u64>,
    shared: Rc<Shared>,
}

impl Watched {
    /// Lets them run until then, or until all have ended.
    async fn until(&mut self, end: Instant, what: &str, progress: &Progress) -> Result<(), LoadError> {
        let end = sleep_until(TokioInstant::from_std(end));
        let mut seconds = interval(Duration::from_secs(1));
        let mut before = 0;
        tokio::pin!(end);
        loop {
            tokio::select! {
                () = &mut end => return Ok(()),
                ended = self.tasks.join_next() => match ended {
                    Some(Ok(ended)) => *self.ended.entry(ended.to_string()).or_default() += 1,
                    Some(Err(error)) => return Err(LoadError::failed(format!("a task of the generator failed: {error}"))),
                    None => return Ok(()),
                },
                Some(kept_up) = self.dealer.join_next() => if !matches!(kept_up, Ok(true)) {
                    return Err(too_fast());
                },
                _ = seconds.tick() => {
                    let count = self.shared.meter.borrow().acknowledged.count;
                    progress.say(&format!("{what}: {} acknowledged/s", count - before));
                    before = count;
                }
            }
        }
    }

    /// Sends nothing new but what was to go before, and waits for what is under way.
    async fn drain(&mut self, lines: &[Rc<Line>], settle: Duration) -> Result<(), LoadError> {
        self.shared.sending.set(false);
        // Longer only when all connections have ended, long before the last text is due.
        if let Ok(Some(kept_up)) = timeout(settle, self.dealer.join_next()).await
            && !matches!(kept_up, Ok(true))
        {
            return Err(too_fast());
        }
        while !lines.iter().all(|line| line.is_settled()) {
            if timeout(settle, self.shared.came.notified()).await.is_err() {
                break;
            }
        }
        Ok(())
    }

    /// Ends all; the reasons of those that had ended before.
    async fn end(mut self) -> BTreeMap<String, u64> {
        self.tasks.abort_all();
        while let Some(ended) = self.tasks.join_next().await {
            if let Ok(ended) = ended {
                *self.ended.entry(ended.to_string()).or_default() += 1;
            }
        }
        self.ended
    }
}

/// Gives the texts of an open loop to the senders in turn. False if too many wait.
async fn deal(schedule: Schedule, mut due: watch::Receiver<u64>, lines: Vec<Rc<Line>>) -> bool {
    let mut turns = (0_u64..).zip(lines.iter().cycle());
    let mut dealt = 0;
    while due.changed().await.is_ok() {
        let due = *due.borrow_and_update();
        for (number, line) in turns.by_ref().take(usize::try_from(due - dealt).unwrap_or(usize::MAX)) {
            line.owed.borrow_mut().push_back(schedule.intended(number));
            line.due.notify_one();
        }
        dealt = due;
        if lines.iter().map(|line| line.owed.borrow().len()).sum::<usize>() > MOST_OWED {
            return false;
        }
    }
    true
}

fn too_fast() -> LoadError {
    let problem = format!("{MOST_OWED} texts wait in the generator, the servers do not keep up");
    LoadError::option("--rate", problem, "give a lower one")
}
