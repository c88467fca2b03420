//! What the contests showed: tables on the standard output, progress on the
//! standard error, and a file for programs.

use std::io::{IsTerminal, Write};
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::contest::{Bound, Contest, Outcome, Ratio, Reached, Row};

/// Runs contests and keeps what came of them.
pub(crate) struct Report {
    rounds: Option<usize>,
    contests: Vec<Value>,
    goals: usize,
    missed: usize,
}

impl Report {
    /// `rounds`: how often each contender runs, if not as often as usual.
    pub(crate) fn new(rounds: Option<usize>) -> Self {
        Self { rounds, contests: Vec::new(), goals: 0, missed: 0 }
    }

    /// Runs a contest, usually with so many rounds, and prints its table.
    pub(crate) fn run(&mut self, contest: Contest<'_>, usual_rounds: usize) {
        let rounds = self.rounds.unwrap_or(usual_rounds);
        let (title, unit, ratio) = (contest.title.clone(), contest.unit, contest.ratio);
        let terminal = std::io::stderr().is_terminal();
        if !terminal {
            eprintln!("{title}: {rounds} rounds");
        }
        let outcome = contest.run(rounds, |round| {
            if terminal {
                eprint!("\r\x1b[K{title}: round {} of {rounds}", round + 1);
            }
        });
        if terminal {
            eprint!("\r\x1b[K");
        }
        print_table(&format!("{title} ({rounds} rounds)"), unit, ratio, &outcome);
        self.goals += outcome.goals.len();
        self.missed += outcome.goals.iter().filter(|reached| !reached.met).count();
        self.contests.push(as_json(&title, unit, ratio, rounds, &outcome));
    }

    /// Sums up and writes the file.
    pub(crate) fn finish(self) {
        println!("\n{} of {} goals met", self.goals - self.missed, self.goals);
        let path = target_dir().join("ratios.json");
        let text = format!("{:#}\n", json!({ "contests": self.contests }));
        match std::fs::write(&path, text) {
            Ok(()) => println!("written to {}", path.display()),
            Err(error) => eprintln!("ratios: {} cannot be written: {error}", path.display()),
        }
    }
}

fn print_table(title: &str, unit: &str, ratio: Ratio, outcome: &Outcome) {
    let names = outcome.rows.iter().map(|row| row.name.len());
    let width = names.chain([unit.len()]).max().unwrap_or(0);
    println!("\n{title}\n  {unit:<width$} {:>9} {:>7}  goals", "median", heading(ratio));
    for Row { name, cost, ratio, .. } in &outcome.rows {
        let goals = outcome.goals.iter().filter(|reached| reached.goal.name == *name).map(in_words);
        let line =
            format!("  {name:<width$} {:>9} {ratio:>6.2}x  {}", figure(*cost), goals.collect::<Vec<_>>().join("; "));
        println!("{}", line.trim_end());
    }
    let _ = std::io::stdout().flush();
}

fn heading(ratio: Ratio) -> &'static str {
    match ratio {
        Ratio::Speed => "speed",
        Ratio::Cost => "cost",
        Ratio::Share => "share",
    }
}

/// Three digits that say something.
fn figure(cost: f64) -> String {
    match cost {
        ..0.1 => format!("{cost:.4}"),
        0.1..10.0 => format!("{cost:.2}"),
        _ => format!("{cost:.1}"),
    }
}

fn in_words(Reached { goal, ratio, met }: &Reached) -> String {
    let met = if *met { "met" } else { "MISSED" };
    match goal.bound {
        Bound::Speed(least) => format!(">= {least}x the speed of {}: {met} ({ratio:.2}x)", goal.against),
        Bound::Cost(most) => format!("<= {most}x the cost of {}: {met} ({ratio:.2}x)", goal.against),
        Bound::Floor(least) => format!(">= {least}: {met} ({ratio:.2})"),
    }
}

fn as_json(title: &str, unit: &str, ratio: Ratio, rounds: usize, outcome: &Outcome) -> Value {
    let ratio_name = heading(ratio);
    let rows = outcome.rows.iter().map(
        |Row { name, base, cost, ratio }| json!({ "name": name, "median": cost, "base": base, ratio_name: ratio }),
    );
    let goals = outcome.goals.iter().map(|Reached { goal, ratio, met }| {
        let (kind, bound) = match goal.bound {
            Bound::Speed(least) => ("speed_at_least", least),
            Bound::Cost(most) => ("cost_at_most", most),
            Bound::Floor(least) => ("median_at_least", least),
        };
        json!({ "name": goal.name, "against": goal.against, kind: bound, "ratio": ratio, "met": met })
    });
    json!({
        "title": title,
        "unit": unit,
        "rounds": rounds,
        "rows": rows.collect::<Vec<_>>(),
        "goals": goals.collect::<Vec<_>>(),
    })
}

/// The program lies in `target/<profile>/deps`.
fn target_dir() -> PathBuf {
    let program = std::env::current_exe().expect("a program has a path");
    program.ancestors().nth(3).expect("cargo puts it three folders deep").into()
}
