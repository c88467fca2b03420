//! What the program can be told.

use std::{path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand, ValueEnum};
use serde::Serialize;
use uschat_proto::chat::limits;

use super::error::LoadError;
use crate::config::SqlUrl;

/// Drives a running topology with texts, and measures what it does
#[derive(Debug, Parser)]
#[command(name = "load", version, args_conflicts_with_subcommands = true, after_help = AFTER)]
pub(super) struct CommandLine {
    #[command(subcommand)]
    pub(super) command: Option<Command>,
    #[command(flatten)]
    pub(super) run: RunOptions,
}

const AFTER: &str = "\
Exit status: 0 all is well; 1 texts were lost, doubled or out of order, a connection ended, or a run could not be finished; \
2 an option cannot be used.
Users are made at the first run and reused later, so the servers must use the built-in outbox (no --smtp) then.";

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Measures a bare loop of INSERTs into a table like chat_message on the same database
    Insert(InsertOptions),
    /// Alternates rounds of texts and of bare INSERTs, and prints how they compare
    Ratio(RatioOptions),
}

/// Which servers are driven.
#[derive(Debug, Args)]
pub(super) struct TargetOptions {
    /// The ready file of the topology; then --gate is not needed
    #[arg(long, value_name = "FILE")]
    pub(super) ready_file: Option<PathBuf>,
    /// The gate, if there is no ready file
    #[arg(long, env = "USCHAT_GATE", default_value = "http://127.0.0.1:8080", value_name = "URL")]
    pub(super) gate: String,
}

/// Who talks, and how much.
#[derive(Debug, Clone, Args)]
pub(super) struct ShapeOptions {
    /// Pairs of users; one of each sends, the other receives
    #[arg(long, default_value_t = 16, value_name = "N", value_parser = clap::value_parser!(u32).range(..=100_000))]
    pub(super) pairs: u32,
    /// Texts of each sender that are sent and not acknowledged
    #[arg(long, default_value_t = 32, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=4_096))]
    pub(super) window: u32,
    /// Bytes of each text
    #[arg(long, default_value_t = 64, value_name = "BYTES", value_parser = parse_size)]
    pub(super) size: usize,
    /// Seconds that are measured
    #[arg(long, default_value = "10", value_name = "SECONDS", value_parser = parse_seconds)]
    pub(super) duration: Duration,
    /// Seconds before that, which are not
    #[arg(long, default_value = "1", value_name = "SECONDS", value_parser = parse_warm_up)]
    pub(super) warm_up: Duration,
    /// Seconds of silence after the end, after which what is missing counts as lost
    #[arg(long, default_value = "6", value_name = "SECONDS", value_parser = parse_seconds)]
    pub(super) settle: Duration,
    /// Chooses the users, what they say and in which order they begin
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub(super) seed: u64,
}

#[derive(Debug, Args)]
pub(super) struct RunOptions {
    #[command(flatten)]
    pub(super) target: TargetOptions,
    #[command(flatten)]
    pub(super) shape: ShapeOptions,
    /// On which chat servers sender and receiver of a pair are
    #[arg(long, value_enum, default_value = "any")]
    pub(super) placement: Placement,
    /// Open loop: texts a second of all senders together; or N%, of what a closed loop reaches first
    #[arg(long, value_name = "N|N%", value_parser = parse_rate)]
    pub(super) rate: Option<Rate>,
    /// Processes whose CPU time and memory are measured; by default those of the ready file
    #[arg(long = "pid", value_name = "PID")]
    pub(super) pids: Vec<u32>,
    /// Holds so many more sessions that say nothing, and measures the memory of each; with --pairs 0 only them
    #[arg(long, default_value_t = 0, value_name = "N", value_parser = clap::value_parser!(u32).range(..=100_000))]
    pub(super) idle: u32,
    /// Writes the results as JSON
    #[arg(long, value_name = "FILE")]
    pub(super) json: Option<PathBuf>,
    /// Writes a page with a histogram of the latencies and a line of the rates
    #[arg(long, value_name = "FILE.html")]
    pub(super) plot: Option<PathBuf>,
}

impl RunOptions {
    /// What clap cannot see.
    pub(super) fn checked(self) -> Result<Self, LoadError> {
        if self.shape.pairs == 0 && self.idle == 0 {
            return Err(LoadError::option("--pairs", "0 without --idle does nothing", "give at least 1"));
        }
        Ok(self)
    }
}

#[derive(Debug, Args)]
pub(super) struct InsertOptions {
    /// The database: sqlite:PATH or mysql://user:pass@host:port/db
    #[arg(long, value_name = "URL")]
    pub(super) sql: String,
    /// Rows of one transaction; by default pairs times window
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=4_096))]
    pub(super) batch: Option<u32>,
    /// The processes of the database, whose CPU time counts too
    #[arg(long = "pid", value_name = "PID")]
    pub(super) pids: Vec<u32>,
    #[command(flatten)]
    pub(super) shape: ShapeOptions,
}

#[derive(Debug, Args)]
pub(super) struct RatioOptions {
    /// The database of the topology, reached directly: sqlite:PATH or mysql://user:pass@host:port/db
    #[arg(long, value_name = "URL")]
    pub(super) sql: String,
    /// Rows of one bare transaction; by default pairs times window
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=4_096))]
    pub(super) batch: Option<u32>,
    /// Processes whose CPU time counts, those of the database too; by default those of the ready file
    #[arg(long = "pid", value_name = "PID")]
    pub(super) pids: Vec<u32>,
    /// How often each of the two is measured
    #[arg(long, default_value_t = 5, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub(super) rounds: u32,
    /// On which chat servers sender and receiver of a pair are
    #[arg(long, value_enum, default_value = "any")]
    pub(super) placement: Placement,
    /// Writes the results as JSON
    #[arg(long, value_name = "FILE")]
    pub(super) json: Option<PathBuf>,
    #[command(flatten)]
    pub(super) target: TargetOptions,
    #[command(flatten)]
    pub(super) shape: ShapeOptions,
}

/// Where the two users of a pair are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Placement {
    /// On one chat server, another for the next pair
    Same,
    /// On two chat servers
    Other,
    /// Where the gate sends them
    Any,
}

/// What an open loop sends.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Rate {
    /// Texts a second.
    Texts(f64),
    /// A part of what a closed loop acknowledged.
    Part(f64),
}

fn parse_rate(text: &str) -> Result<Rate, String> {
    let (number, rate): (&str, fn(f64) -> Rate) = match text.strip_suffix('%') {
        Some(percent) => (percent, |percent| Rate::Part(percent / 100.0)),
        None => (text, Rate::Texts),
    };
    let number = number.parse().ok().filter(|number| (0.1..=10_000_000.0).contains(number));
    number.map(rate).ok_or_else(|| "give texts a second, or a part such as 70%; at least 0.1".to_owned())
}

fn parse_seconds(text: &str) -> Result<Duration, String> {
    seconds(text, 0.1)
}

fn parse_warm_up(text: &str) -> Result<Duration, String> {
    seconds(text, 0.0)
}

fn seconds(text: &str, least: f64) -> Result<Duration, String> {
    let number = text.parse().ok().filter(|number| (least..=86_400.0).contains(number));
    number.map(Duration::from_secs_f64).ok_or_else(|| format!("not a number of seconds from {least} to 86400"))
}

fn parse_size(text: &str) -> Result<usize, String> {
    let size = text.parse().ok().filter(|size| (1..=limits::MAX_CONTENT).contains(size));
    size.ok_or_else(|| format!("not a number of bytes from 1 to {}", limits::MAX_CONTENT))
}

/// Not clap's business: it would repeat the URL, which may hold a password.
pub(super) fn parse_sql(text: &str) -> Result<SqlUrl, LoadError> {
    let wrong =
        |problem: String| LoadError::option("--sql", problem, "give sqlite:PATH or mysql://user:pass@host:port/db");
    match text.parse() {
        Ok(SqlUrl::Memory) => Err(wrong("in memory there is nothing to compare with".to_owned())),
        Ok(url) => Ok(url),
        Err(error) => Err(wrong(error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_and_seconds() {
        assert_eq!(parse_rate("70%"), Ok(Rate::Part(0.7)));
        assert_eq!(parse_rate("2500"), Ok(Rate::Texts(2500.0)));
        for wrong in ["", "%", "0", "-1", "fast", "NaN", "inf"] {
            assert!(parse_rate(wrong).is_err(), "{wrong}");
        }
        assert_eq!(parse_seconds("1.5"), Ok(Duration::from_millis(1500)));
        assert!(parse_seconds("0").is_err());
        assert_eq!(parse_warm_up("0"), Ok(Duration::ZERO));
    }

    #[test]
    fn a_wrong_database_does_not_show_its_password() {
        let wrong = parse_sql("mysql://root:hunter2@h:port/db").unwrap_err().to_string();
        assert!(wrong.starts_with("--sql: ") && !wrong.contains("hunter2"), "{wrong}");
        assert!(parse_sql("memory:").is_err());
    }

    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory;
        CommandLine::command().debug_assert();
    }
}
