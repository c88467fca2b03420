//! Contenders that take turns.

use std::hint::black_box;
use std::time::Duration;

use crate::clock;

/// Long enough that reading the clock does not count, short enough that a
/// round is over before the machine changes its mind.
const TURN: Duration = Duration::from_micros(500);

/// What ratios are called in a report.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Ratio {
    /// How many times as fast as its base a contender is.
    Speed,
    /// How many times what its base costs a contender costs.
    Cost,
    /// How many times its base's figure a contender's is, where a figure is no
    /// cost.
    Share,
}

/// Some contenders with the same task.
pub(crate) struct Contest<'a> {
    pub(crate) title: String,
    /// What the figures count.
    pub(crate) unit: &'static str,
    pub(crate) ratio: Ratio,
    pub(crate) entries: Vec<Entry<'a>>,
    pub(crate) goals: Vec<Goal>,
}

/// One contender.
pub(crate) struct Entry<'a> {
    pub(crate) name: String,
    /// The name of the one it is compared with.
    pub(crate) base: String,
    /// Takes one turn and says what it cost, in the contest's unit.
    pub(crate) turn: Box<dyn FnMut() -> f64 + 'a>,
}

/// What a contender is meant to reach.
pub(crate) struct Goal {
    pub(crate) name: String,
    pub(crate) against: String,
    pub(crate) bound: Bound,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Bound {
    /// At least so many times as fast.
    Speed(f64),
    /// At most so many times the cost.
    Cost(f64),
    /// A median of its own of at least this much.
    Floor(f64),
}

/// The medians of a contest.
pub(crate) struct Outcome {
    pub(crate) rows: Vec<Row>,
    pub(crate) goals: Vec<Reached>,
}

pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) base: String,
    /// In the contest's unit.
    pub(crate) cost: f64,
    pub(crate) ratio: f64,
}

/// How a goal went.
pub(crate) struct Reached {
    pub(crate) goal: Goal,
    pub(crate) ratio: f64,
    pub(crate) met: bool,
}

impl<'a> Contest<'a> {
    pub(crate) fn new(title: String, unit: &'static str, ratio: Ratio) -> Self {
        Self { title, unit, ratio, entries: Vec::new(), goals: Vec::new() }
    }

    /// Adds a contender that measures itself.
    pub(crate) fn enter(&mut self, name: &str, base: &str, turn: impl FnMut() -> f64 + 'a) {
        self.entries.push(Entry { name: name.into(), base: base.into(), turn: Box::new(turn) });
    }

    /// Adds a contender whose `task` does so many units of work.
    pub(crate) fn enter_task(&mut self, name: &str, base: &str, units: usize, mut task: impl FnMut() + 'a) {
        let once = cpu_time(&mut task).max(Duration::from_nanos(1));
        let repeats = TURN.div_duration_f64(once).ceil() as usize;
        self.enter(name, base, move || {
            let cost = cpu_time(|| (0..repeats).for_each(|_| task()));
            cost.as_nanos() as f64 / (repeats * units) as f64
        });
    }

    pub(crate) fn goal(&mut self, name: &str, against: &str, bound: Bound) {
        self.goals.push(Goal { name: name.into(), against: against.into(), bound });
    }

    /// A goal that nobody else has a part in: the least that the median may be.
    pub(crate) fn floor(&mut self, name: &str, least: f64) {
        self.goal(name, name, Bound::Floor(least));
    }

    /// Lets everybody take so many turns. `progress` hears of each round.
    pub(crate) fn run(mut self, rounds: usize, progress: impl Fn(usize)) -> Outcome {
        let count = self.entries.len();
        let mut costs = vec![Vec::with_capacity(rounds); count];
        for entry in &mut self.entries {
            black_box((entry.turn)());
        }
        for round in 0..rounds {
            progress(round);
            for place in 0..count {
                // Nobody always runs behind the same one.
                let index = if round % 2 == 0 { place + round } else { count - 1 - place + round } % count;
                costs[index].push((self.entries[index].turn)());
            }
        }
        let index_of = |name: &str| self.entries.iter().position(|entry| entry.name == name).expect("a contender");
        let ratio = |name: &str, base: &str, ratio: Ratio| {
            let (own, base) = (&costs[index_of(name)], &costs[index_of(base)]);
            median(own.iter().zip(base).map(|(own, base)| match ratio {
                Ratio::Speed => base / own,
                Ratio::Cost | Ratio::Share => own / base,
            }))
        };
        let rows = self.entries.iter().zip(&costs).map(|(entry, costs)| Row {
            name: entry.name.clone(),
            base: entry.base.clone(),
            cost: median(costs.iter().copied()),
            ratio: ratio(&entry.name, &entry.base, self.ratio),
        });
        let rows = rows.collect();
        let goals = self.goals.into_iter().map(|goal| {
            let (ratio, met) = match goal.bound {
                Bound::Speed(least) => {
                    let speed = ratio(&goal.name, &goal.against, Ratio::Speed);
                    (speed, speed >= least)
                }
                Bound::Cost(most) => {
                    let cost = ratio(&goal.name, &goal.against, Ratio::Cost);
                    (cost, cost <= most)
                }
                Bound::Floor(least) => {
                    let figure = median(costs[index_of(&goal.name)].iter().copied());
                    (figure, figure >= least)
                }
            };
            Reached { goal, ratio, met }
        });
        Outcome { rows, goals: goals.collect() }
    }
}

/// CPU time that `task` takes.
pub(crate) fn cpu_time(task: impl FnOnce()) -> Duration {
    let start = clock::now();
    task();
    clock::now() - start
}

fn median(figures: impl Iterator<Item = f64>) -> f64 {
    let mut figures: Vec<_> = figures.collect();
    figures.sort_by(f64::total_cmp);
    let middle = figures.len() / 2;
    if figures.len() % 2 == 1 { figures[middle] } else { (figures[middle - 1] + figures[middle]) / 2.0 }
}
