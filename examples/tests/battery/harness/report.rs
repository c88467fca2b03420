use std::{fs::File, io::Write, time::Duration};

use uschat_examples::oracle::Verdict;

use super::{Plan, target};

const HEADER: &str = "\
| id | seed | rounds | acknowledged | refused | reconnects | lost | doubled | gaps | reordered | recovery, longest / median |
|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|
";

/// What came out of a run.
#[derive(Debug)]
pub struct Report {
    /// How it was laid out.
    pub plan: Plan,
    /// What the judge says.
    pub verdict: Verdict,
    /// How long each member needed after each fault, ascending.
    pub recoveries: Vec<Duration>,
    /// How often each member who talks lost their session.
    pub sessions_lost: Vec<usize>,
    /// Why texts were refused.
    pub refusals: Vec<String>,
}

impl Report {
    /// Whether anybody who talks did.
    pub fn lost_a_session(&self) -> bool {
        self.sessions_lost.iter().any(|lost| *lost > 0)
    }

    /// A row of the table.
    pub fn row(&self) -> String {
        let counts = &self.verdict.counts;
        let milliseconds = |time: Option<&Duration>| time.map_or("-".into(), |time| time.as_millis().to_string());
        let (longest, median) = (self.recoveries.last(), self.recoveries.get(self.recoveries.len() / 2));
        format!(
            "| {} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} / {} ms |\n",
            self.plan.id,
            self.plan.seed,
            self.plan.rounds,
            counts.acknowledged,
            counts.refused,
            counts.reconnects,
            counts.lost,
            counts.doubled,
            counts.gaps,
            counts.reordered,
            milliseconds(longest),
            milliseconds(median),
        )
    }

    /// Adds the row to the table of all runs.
    pub fn add_to_table(&self) {
        let path = target("battery.md");
        // Whoever creates the file writes the header; one write each, so that test programs may run side by side.
        if let Ok(mut table) = File::create_new(&path) {
            table.write_all(HEADER.as_bytes()).unwrap();
        }
        let mut table = File::options().append(true).open(&path).unwrap();
        table.write_all(self.row().as_bytes()).unwrap();
        print!("{HEADER}{}", self.row());
    }
}
