//! Judges whether a run kept the guarantee, from the histories that its clients wrote.
//!
//! ```text
//! cargo run --release --bin oracle -- --help
//! ```

#![forbid(unsafe_code)]

use std::{
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
};

use clap::Parser;
use uschat_examples::oracle::{Evidence, Verdict, read_file};

/// Judges whether a run kept the guarantee, from the histories that its clients wrote
#[derive(Parser)]
#[command(name = "oracle", version, after_help = HELP)]
struct Options {
    /// Histories and the dump of the store: lines of JSON, as the documentation of uschat_examples::oracle shows them. Several
    /// files of one client: oldest first
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Describe at most so many violations of each kind; all are counted
    #[arg(long, default_value_t = 10, value_name = "N")]
    show: usize,
    /// Print the verdict as JSON
    #[arg(long)]
    json: bool,
}

const HELP: &str = "Exit status: 0 the guarantee holds, 1 it is violated, 2 there is nothing to judge by (one line says which\nfile and line, and why)";

const VIOLATED: u8 = 1;
const NO_VERDICT: u8 = 2;

fn main() -> ExitCode {
    let options = Options::parse();
    let verdict = match judge(&options) {
        Ok(verdict) => verdict,
        Err(problem) => {
            eprintln!("oracle: {problem}");
            return ExitCode::from(NO_VERDICT);
        }
    };
    if let Err(error) = print(&verdict, options.json) {
        eprintln!("oracle: the verdict cannot be written: {error}");
        return ExitCode::from(NO_VERDICT);
    }
    if verdict.holds() { ExitCode::SUCCESS } else { ExitCode::from(VIOLATED) }
}

fn judge(options: &Options) -> Result<Verdict, String> {
    let mut evidence = Evidence::default();
    for file in &options.files {
        read_file(&mut evidence, file).map_err(|bad| bad.to_string())?;
    }
    let verdict = evidence.judge(options.show).map_err(|bad| bad.to_string())?;
    // A run in which nothing was promised breaks no promise. Somebody forgot a file, or the system was down all the time.
    if verdict.counts.acknowledged == 0 && verdict.holds() {
        return Err("no text was acknowledged in these files, so they prove nothing".into());
    }
    Ok(verdict)
}

fn print(verdict: &Verdict, json: bool) -> io::Result<()> {
    let mut output = io::stdout().lock();
    if json {
        serde_json::to_writer(&mut output, verdict)?;
        writeln!(output)?;
    } else {
        writeln!(output, "{verdict}")?;
    }
    output.flush()
}
