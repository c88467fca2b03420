//! `load ratio`: how texts compare with bare INSERTs into the same database. Rounds of both alternate, because machines
//! drift, and each round has a ratio of its own.

use serde::Serialize;

use super::{
    error::LoadError,
    insert::{self, Inserted},
    ledger::Counts,
    options::{RatioOptions, parse_sql},
    processes::{Processes, cpu_us_per_text},
    progress::Progress,
    report::to_json,
    run,
    target::Target,
    traffic::{Mode, drive},
    users,
};

/// All rounds. Its JSON has these names.
#[derive(Debug, Serialize)]
struct Comparison {
    pairs: u32,
    window: u32,
    size_bytes: usize,
    rows_per_transaction: u32,
    rounds: Vec<Round>,
    /// Each figure's own; that of the ratios is not the ratio of the other two.
    median: Round,
    counts: Counts,
}

/// One of each.
#[derive(Debug, Clone, Copy, Serialize)]
struct Round {
    texts_per_s: f64,
    rows_per_s: f64,
    ratio: f64,
    cpu_us_per_text: Option<f64>,
    cpu_us_per_row: Option<f64>,
}

pub(super) async fn carry_out(options: RatioOptions) -> Result<bool, LoadError> {
    let shape = &options.shape;
    let sql = parse_sql(&options.sql)?;
    if shape.pairs == 0 {
        return Err(LoadError::option("--pairs", "0 sends nothing", "give at least 1"));
    }
    let target = Target::find(&options.target)?;
    let progress = Progress::new();
    let pids = if options.pids.is_empty() { &target.pids } else { &options.pids };
    let processes = Processes::new(pids.clone())?;
    let tickets = users::enter(&target, &users::names_of_pairs(shape.pairs, shape.seed), &progress).await?;
    let pairs = users::place(tickets, &target, options.placement)?;
    let batch = insert::batch(options.batch, shape);
    let plan = run::plan(shape, Mode::Closed { window: shape.window });

    let mut sound = true;
    let mut counts = Counts::default();
    let mut rounds = Vec::new();
    println!("{} pairs, {} under way for each, texts of {} bytes", shape.pairs, shape.window, shape.size);
    println!("bare transactions of {batch} rows; CPU of the watched processes, for bare rows also of the loop");
    println!("round    texts/s     rows/s    ratio   µs a text    µs a row");
    for number in 1..=options.rounds {
        // Whatever comes first has the emptier caches, so they take turns in that, too.
        let inserted_first =
            if number % 2 == 0 { Some(insert::measure(&sql, batch, shape, &processes).await?) } else { None };
        let outcome = drive(&pairs, &plan, &processes, &progress).await?;
        progress.say("inserting");
        let Inserted { rows_per_s, cpu_us_per_row, .. } = match inserted_first {
            Some(inserted) => inserted,
            None => insert::measure(&sql, batch, shape, &processes).await?,
        };
        progress.end();
        let texts_per_s = outcome.acknowledged_per_s;
        let ratio = texts_per_s / rows_per_s;
        let cpu_us_per_text = cpu_us_per_text(&outcome.processes);
        let round = Round { texts_per_s, rows_per_s, ratio, cpu_us_per_text, cpu_us_per_row };
        print_line(&number.to_string(), &round);
        sound &= outcome.is_sound();
        counts.add(&outcome.counts);
        rounds.push(round);
    }
    let median = Round::median(&rounds);
    print_line("median", &median);
    println!("{} lost, {} doubled, {} out of order", counts.lost, counts.doubled, counts.reordered);
    if let Some(path) = &options.json {
        let comparison = Comparison {
            pairs: shape.pairs,
            window: shape.window,
            size_bytes: shape.size,
            rows_per_transaction: batch,
            rounds,
            median,
            counts,
        };
        run::write("--json", path, &to_json(&comparison)?)?;
    }
    Ok(sound)
}

impl Round {
    fn median(rounds: &[Self]) -> Self {
        let of = |value: fn(&Self) -> f64| median(rounds.iter().map(value).collect());
        let of_known = |value: fn(&Self) -> Option<f64>| rounds.iter().map(value).collect::<Option<_>>().map(median);
        Self {
            texts_per_s: of(|round| round.texts_per_s),
            rows_per_s: of(|round| round.rows_per_s),
            ratio: of(|round| round.ratio),
            cpu_us_per_text: of_known(|round| round.cpu_us_per_text),
            cpu_us_per_row: of_known(|round| round.cpu_us_per_row),
        }
    }
}

fn print_line(name: &str, round: &Round) {
    let Round { texts_per_s, rows_per_s, ratio, cpu_us_per_text, cpu_us_per_row } = round;
    let cpu = |cpu: &Option<f64>| cpu.map_or("-".to_owned(), |cpu| format!("{cpu:.2}"));
    let (a_text, a_row) = (cpu(cpu_us_per_text), cpu(cpu_us_per_row));
    println!("{name:<6} {texts_per_s:>9.0} {rows_per_s:>10.0} {ratio:>8.2} {a_text:>11} {a_row:>11}");
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let upper = values.get(values.len() / 2).copied().unwrap_or(f64::NAN);
    let lower = values.get((values.len().max(1) - 1) / 2).copied().unwrap_or(f64::NAN);
    f64::midpoint(lower, upper)
}

#[cfg(test)]
mod tests {
    use super::median;

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), 2.5);
        assert!(median(vec![]).is_nan());
    }
}
