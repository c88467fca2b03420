//! How many instructions a frame or a check-out takes: a figure that a noisy
//! machine does not move, compared with the ones recorded in `instructions.txt`.
//!
//! `cargo bench -p uschat-benches --bench instructions -- --help`
//!
//! valgrind's callgrind counts this program itself, run with a workload. The
//! difference between two lengths of a run leaves out what happens once.
//!
//! The figures depend on the compiler, on the C library (whose `malloc` an
//! owned frame needs) and on the features of the processor that valgrind knows.
//! callgrind counts an atomic read-modify-write as one instruction, though it
//! takes as long as many: a gate against growth, beside the times of `ratios`.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a contender that fails stops the run")]

mod contenders;
#[path = "contenders/pools/no_op.rs"]
mod no_op;

use std::hint::black_box;
use std::io::ErrorKind;
use std::path::Path;
use std::process::{Command, ExitCode};

use bytes::Bytes;
use contenders::{decode, encode};
use no_op::{Deadpool, Lend, UsChat};
use tokio::runtime::Builder;
use tokio::task::unconstrained;
use uschat_benches::{MAX_STREAM_LEN, body, frames_in_stream, stream};

const BODY_LEN: usize = 64;
/// Streams, or batches, of the two runs that are compared.
const RUNS: [usize; 2] = [20, 120];
/// How much more than recorded is too much.
const TOLERANCE: f64 = 1.02;
/// Names the workload of a run that is counted.
const WORKLOAD: &str = "--workload";

const HELP: &str = "\
Usage: cargo bench -p uschat-benches --bench instructions -- [--record] [--strict]

Counts the instructions that a frame with a body of 64 bytes takes, and getting a connection out of a pool and giving it
back, with valgrind, and compares them with benches/instructions.txt. The exit status is 1 if a figure is more than 2 % above the recorded one.

  --record   write the figures to benches/instructions.txt
  --strict   exit with status 2 if valgrind is missing, instead of 0
  --help     this text
";

/// What is counted.
struct Workload {
    name: &'static str,
    run: Run,
}

enum Run {
    /// Receives a stream. The copy into the buffer is not counted.
    Decode(&'static str),
    /// Makes a batch.
    Encode(&'static str),
    /// Copies each body into memory of its own and frees it: the part of an
    /// owned frame that the allocator has.
    Allocate,
    /// Gets a connection that does nothing and gives it back, as often as a
    /// stream has frames, one task alone.
    Lend(Pool),
}

enum Pool {
    UsChat,
    Deadpool,
}

const WORKLOADS: [Workload; 10] = [
    Workload { name: "batch", run: Run::Decode("uschat_borrowed") },
    Workload { name: "owned", run: Run::Decode("uschat") },
    Workload { name: "owned_sharing", run: Run::Decode("uschat_sharing") },
    Workload { name: "length_delimited_decode", run: Run::Decode("length_delimited") },
    Workload { name: "allocation", run: Run::Allocate },
    Workload { name: "encode", run: Run::Encode("uschat_borrowed") },
    Workload { name: "codec_encode", run: Run::Encode("uschat") },
    Workload { name: "length_delimited_encode", run: Run::Encode("length_delimited") },
    Workload { name: "pool", run: Run::Lend(Pool::UsChat) },
    Workload { name: "deadpool", run: Run::Lend(Pool::Deadpool) },
];

/// The copy that every decoder makes.
const COPY: Workload = Workload { name: "memcpy", run: Run::Decode("memcpy") };

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let (mut record, mut strict) = (false, false);
    for argument in &arguments {
        match argument.as_str() {
            "--help" | "-h" => {
                print!("{HELP}");
                return ExitCode::SUCCESS;
            }
            "--record" => record = true,
            "--strict" => strict = true,
            // What cargo says to every bench target, and what criterion's targets beside this one understand.
            "--bench" | "--noplot" => {}
            WORKLOAD => {
                let [_, name, streams] = &arguments[..] else { panic!("{WORKLOAD} NAME STREAMS") };
                workload(name).run(streams.parse().expect("a number of streams"));
                return ExitCode::SUCCESS;
            }
            other => {
                eprintln!("instructions: {other}: there is no such option; see --help");
                return ExitCode::from(2);
            }
        }
    }
    match count_all() {
        Ok(counted) => report(&counted, record),
        Err(missing) => {
            eprintln!("instructions: {missing}");
            if strict { ExitCode::from(2) } else { ExitCode::SUCCESS }
        }
    }
}

fn workload(name: &str) -> &'static Workload {
    WORKLOADS.iter().chain([&COPY]).find(|workload| workload.name == name).expect("a workload")
}

impl Workload {
    /// Does it so many times.
    fn run(&self, times: usize) {
        match self.run {
            Run::Decode(name) => {
                let mut receiver = (decode::contender(name).start)(MAX_STREAM_LEN);
                let stream = stream(black_box(BODY_LEN));
                for _ in 0..times {
                    black_box(receiver.receive(black_box(&stream), black_box(stream.len())));
                }
            }
            Run::Encode(name) => {
                let mut sender = (encode::contender(name).start)();
                let batch = encode::Batch::new(black_box(BODY_LEN), frames_in_stream(BODY_LEN));
                for _ in 0..times {
                    black_box(sender.send(black_box(&batch)));
                }
            }
            Run::Allocate => {
                let body = body(black_box(BODY_LEN));
                for _ in 0..times * frames_in_stream(BODY_LEN) {
                    drop(black_box(Bytes::copy_from_slice(black_box(&body))));
                }
            }
            Run::Lend(Pool::UsChat) => lend(|| UsChat::new(8), times * frames_in_stream(BODY_LEN)),
            Run::Lend(Pool::Deadpool) => lend(|| Deadpool::new(8), times * frames_in_stream(BODY_LEN)),
        }
    }

    /// Instructions a frame. The error is one line.
    fn count(&self) -> Result<f64, String> {
        let [short, long] = RUNS;
        let difference = self.instructions(long)? - self.instructions(short)?;
        eprintln!("counted: {}", self.name);
        Ok(difference / ((long - short) * frames_in_stream(BODY_LEN)) as f64)
    }

    /// Instructions of a whole run.
    fn instructions(&self, times: usize) -> Result<f64, String> {
        let output = Command::new("valgrind")
            .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
            .arg(std::env::current_exe().expect("a program has a path"))
            .args([WORKLOAD, self.name, &times.to_string()])
            .output()
            .map_err(|error| match error.kind() {
                ErrorKind::NotFound => "valgrind is missing, so nothing was counted (Debian package: valgrind)".into(),
                _ => format!("valgrind cannot be started: {error}"),
            })?;
        let said = String::from_utf8_lossy(&output.stderr);
        let collected = said.lines().find_map(|line| line.split_once("Collected :")?.1.trim().parse().ok());
        collected.filter(|_| output.status.success()).ok_or_else(|| format!("valgrind failed: {}", said.trim()))
    }
}

/// Lends so often.
fn lend<L: Lend>(pool: impl Fn() -> L, times: usize) {
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(unconstrained(async {
        let pool = pool();
        for _ in 0..times {
            drop(black_box(pool.get().await));
        }
    }));
}

/// Each workload and its instructions a frame, without the copy that nobody can
/// do without.
fn count_all() -> Result<Vec<(&'static Workload, f64)>, String> {
    let copy = COPY.count()?;
    let count = |workload: &'static Workload| {
        let counted = workload.count()?;
        Ok((workload, if matches!(workload.run, Run::Decode(_)) { counted - copy } else { counted }))
    };
    WORKLOADS.iter().map(count).collect()
}

/// A line of `instructions.txt`.
struct Recorded<'a> {
    figure: f64,
    goal: Option<&'a str>,
}

fn recorded<'a>(text: &'a str, name: &str) -> Option<Recorded<'a>> {
    text.lines().find_map(|line| {
        let mut words = line.split_whitespace();
        let figure = (words.next()? == name).then(|| words.next()?.parse().ok())??;
        Some(Recorded { figure, goal: words.next() })
    })
}

/// Prints the table. Writes the figures, or compares them.
fn report(counted: &[(&Workload, f64)], record: bool) -> ExitCode {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/instructions.txt");
    let old = std::fs::read_to_string(&path).unwrap_or_default();
    let mut new = String::from(
        "# Instructions a frame, bodies of 64 bytes; decoding without the copy into the buffer. Or, for pools, a check-out.\n\
         # Written by `cargo bench -p uschat-benches --bench instructions -- --record`, but for the goals.\n\
         # workload figure goal\n",
    );
    let mut grown = 0;
    println!(
        "instructions a frame, bodies of {BODY_LEN} bytes; decoding without the copy into the buffer; pools: a check-out"
    );
    println!("  {:<24} {:>8} {:>9}  goal", "workload", "counted", "recorded");
    for &(&Workload { name, .. }, figure) in counted {
        let old = recorded(&old, name);
        let goal = old.as_ref().and_then(|old| old.goal);
        new += format!("{name} {figure:.1} {}", goal.unwrap_or_default()).trim_end();
        new += "\n";
        let goal = goal.map_or(String::new(), |goal| {
            let met = goal.parse().is_ok_and(|most: f64| figure <= most);
            format!("<= {goal}: {}", if met { "met" } else { "MISSED" })
        });
        let before = old.as_ref().map_or("none".into(), |old| format!("{:.1}", old.figure));
        let too_much = old.is_none_or(|old| figure > old.figure * TOLERANCE);
        grown += usize::from(too_much);
        let mark = if too_much && !record { "  MORE THAN RECORDED" } else { "" };
        println!("{}", format!("  {name:<24} {figure:>8.1} {before:>9}  {goal}{mark}").trim_end());
    }
    if record {
        std::fs::write(&path, new).expect("instructions.txt can be written");
        println!("recorded in {}", path.display());
    } else if grown > 0 {
        println!("{grown} of {} above the record by more than 2 %", counted.len());
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}
