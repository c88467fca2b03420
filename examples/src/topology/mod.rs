//! A whole UsChat installation: gate, verification, status and chat servers, in one process or in one each.

mod banner;
mod in_process;
mod migrate;
mod processes;

use std::process::ExitCode;

use crate::{
    StartError,
    config::{Invocation, Settings},
    logging,
    server::{block_on, exit, note_unknown, say},
};

/// The program: reads its options, runs until it is told to end. What could not start says so in one line.
#[must_use]
pub fn main() -> ExitCode {
    if processes::is_child() {
        return processes::child_main();
    }
    exit(Invocation::of_this_process().and_then(|invocation| match invocation {
        Invocation::Print(text) => {
            say(&text);
            Ok(ExitCode::SUCCESS)
        }
        Invocation::Check(settings) => {
            say(&format!("The configuration is good.\n{}", describe(&settings)));
            Ok(ExitCode::SUCCESS)
        }
        Invocation::Migrate { database, dry_run } => block_on(migrate::run(database, dry_run)),
        Invocation::Run(settings) => run(*settings),
    }))
}

fn run(settings: Settings) -> Result<ExitCode, StartError> {
    logging::install(&settings.log, settings.processes.then_some("topology"))?;
    note_unknown(&settings.unknown_sections);
    if settings.processes { block_on(processes::run(settings)) } else { block_on(in_process::run(settings)) }
}

fn describe(settings: &Settings) -> String {
    let Settings { gate, verify, status, chats, metrics, backends, processes, .. } = settings;
    let mut text = format!(
        "  gate on {}\n  verify on {}\n  status on {}\n",
        gate.listen.value, verify.listen.value, status.listen.value
    );
    for chat in chats {
        text += &format!("  {} on {} for clients, {} for peers\n", chat.name, chat.clients.value, chat.peers.value);
    }
    text += &format!("  metrics on {}\n", metrics.value);
    text += if *processes { "  a process for each server\n" } else { "  one process for all\n" };
    text + &backends.describe()
}
