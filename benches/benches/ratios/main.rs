//! By what factor one is faster than another.
//!
//! `cargo bench -p uschat-benches --bench ratios -- --help`
//!
//! Machines drift, and criterion runs the contenders one after another, so its
//! figures of two of them are minutes apart. Here all contenders of a contest
//! run once a round, each round in another order, and what counts is the median
//! of the ratios of each round.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a contender that fails stops the run")]

mod arguments;
mod clock;
mod codec;
#[path = "../contenders/mod.rs"]
mod contenders;
mod contest;
#[path = "../contenders/pools/mod.rs"]
mod pool_contenders;
mod pools;
mod report;
mod tcp;

use std::process::ExitCode;

use arguments::{Arguments, Request};

/// A group of contests that can be asked for.
struct Section {
    name: &'static str,
    about: &'static str,
    run: fn(&mut report::Report),
}

const SECTIONS: [Section; 6] = [
    Section { name: "codec", about: "bytes to frames and back, in memory", run: codec::run },
    Section { name: "tcp", about: "frames over a loopback connection", run: tcp::run },
    Section { name: "pools/no_op", about: "connections that do nothing, lent", run: pools::no_op::run },
    Section { name: "pools/grpc", about: "calls over channels lent and shared", run: pools::grpc::run },
    Section { name: "pools/redis", about: "commands over connections lent and shared", run: pools::redis::run },
    Section { name: "pools/sql", about: "statements on connections lent", run: pools::sql::run },
];

fn main() -> ExitCode {
    pool_contenders::grpc_server::serve_if_asked();
    let Arguments { sections, rounds } = match Request::parse(std::env::args().skip(1)) {
        Ok(Request::Run(arguments)) => arguments,
        Ok(Request::Help) => {
            print!("{}", arguments::help());
            return ExitCode::SUCCESS;
        }
        Err(refused) => {
            eprintln!("ratios: {refused}");
            return ExitCode::from(2);
        }
    };
    let mut report = report::Report::new(rounds);
    for section in SECTIONS.iter().filter(|section| sections.is_empty() || sections.contains(&section.name)) {
        (section.run)(&mut report);
    }
    report.finish();
    ExitCode::SUCCESS
}
