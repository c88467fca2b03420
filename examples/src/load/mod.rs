//! The load generator: pairs of users, of whom one sends texts to the other through a running topology.
//!
//! ```text
//! options -> target, users        who is there, and accounts that can talk
//!         -> run                  one run: warm-up, measurement, drain
//!              sender, receiver   a connection each, all on one thread
//!              ledger             what was sent, answered and delivered: finds what is lost, doubled or out of order
//!              meter              rates and latencies
//!         -> report, plot         what people and programs read
//! insert, ratio                   the bare loop of INSERTs on the same database, and how texts compare with it
//! ```
//!
//! A text is under way from the moment it was sent until it was acknowledged. In a closed loop every acknowledgement lets
//! the next text go. In an open loop texts have intended times, whatever the servers do, and latencies count from these: a
//! server that stands still for a second shows a second. Generator and servers share the machine's cores, so for comparison
//! take the CPU time a text, or ratios within one run.

mod clock;
mod error;
mod idle;
mod insert;
mod ledger;
mod meter;
mod options;
mod plot;
mod processes;
mod progress;
mod ratio;
mod receiver;
mod report;
mod run;
mod sender;
mod session;
mod target;
mod texts;
mod traffic;
mod users;

use std::process::ExitCode;

use clap::{Parser, error::ErrorKind};
use tokio::{runtime::Builder, task::LocalSet};

use self::{
    error::LoadError,
    options::{Command, CommandLine},
};

/// The program `load`: reads its options, drives the servers, and says what came of it.
///
/// Exit status 0: all is well. 1: texts were lost, doubled or out of order, or a run could not be finished. 2: an option
/// cannot be used; one line says which and why.
#[must_use]
pub fn main() -> ExitCode {
    let line = match CommandLine::try_parse() {
        Ok(line) => line,
        Err(help) if matches!(help.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) => help.exit(),
        Err(error) => return refuse(&LoadError::of_clap(&error)),
    };
    // One thread: the generator is to take as little of the machine as it can.
    let runtime = match Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return refuse(&LoadError::failed(format!("the runtime does not start: {error}"))),
    };
    match LocalSet::new().block_on(&runtime, carry_out(line)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => refuse(&error),
    }
}

/// False when something went wrong with texts; that has been said then.
async fn carry_out(line: CommandLine) -> Result<bool, LoadError> {
    match line.command {
        None => run::carry_out(&line.run.checked()?).await,
        Some(Command::Insert(options)) => insert::carry_out(&options).await,
        Some(Command::Ratio(options)) => ratio::carry_out(options).await,
    }
}

fn refuse(error: &LoadError) -> ExitCode {
    eprintln!("load: {error}");
    ExitCode::from(error.exit_status())
}
