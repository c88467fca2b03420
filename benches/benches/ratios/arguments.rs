//! The command line.

use std::fmt::Write;

use crate::{SECTIONS, Section};

/// What the command line asks for.
#[derive(Debug, PartialEq)]
pub(crate) enum Request {
    Help,
    Run(Arguments),
}

#[derive(Debug, PartialEq, Default)]
pub(crate) struct Arguments {
    /// The names of the sections to run; none means all.
    pub(crate) sections: Vec<&'static str>,
    /// How often each contender runs, if not as often as its section thinks.
    pub(crate) rounds: Option<usize>,
}

impl Request {
    /// Reads the arguments behind the program's name. The error is one line.
    pub(crate) fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut asked = Arguments::default();
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--help" | "-h" => return Ok(Self::Help),
                "--rounds" => {
                    let rounds = arguments.next().unwrap_or_default();
                    let number = rounds.parse().ok().filter(|&rounds| rounds > 0);
                    asked.rounds = Some(number.ok_or(format!("--rounds takes a number from 1 on, not '{rounds}'"))?);
                }
                // What cargo says to every bench target, and what criterion's targets beside this one understand.
                "--bench" | "--noplot" => {}
                name => {
                    let before = asked.sections.len();
                    let named = |section: &&Section| {
                        section.name.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
                    };
                    asked.sections.extend(SECTIONS.iter().filter(named).map(|section| section.name));
                    if asked.sections.len() == before {
                        return Err(format!("{name}: there is no such section or option; see --help"));
                    }
                }
            }
        }
        Ok(Self::Run(asked))
    }
}

/// The text of `--help`.
pub(crate) fn help() -> String {
    let mut text = String::from(
        "Usage: cargo bench -p uschat-benches --bench ratios -- [SECTION...] [--rounds N]\n\n\
         Compares this project's crates with their peers: all contenders run once a round, in turn, and the\n\
         figures are medians over the rounds. Times are CPU times of the thread, if they are not called wall. Also\n\
         writes target/ratios.json.\n\n\
         Sections (all of them, if none is named; `pools` names all that begin with it):\n",
    );
    for section in &SECTIONS {
        let _ = writeln!(text, "  {:<12} {}", section.name, section.about);
    }
    text.push_str("\n  --rounds N   how often each contender runs; each section has a number of its own\n");
    text.push_str("  --help       this text\n");
    text
}
