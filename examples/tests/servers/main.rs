//! The programs: options, files, starts, stops, faults of what they need, and the tour of the README.
#![allow(clippy::unwrap_used, unreachable_pub, reason = "tests only")]

#[path = "../support/mod.rs"]
mod support;

mod client_tour;
mod configuration_files;
mod health;
mod options;
mod out_of_files;
mod outbox_and_log;
mod processes_restart;
mod processes_stop;
mod processes_tour;
mod recovery;
mod single_servers;
mod smtp;
mod start_and_stop;
mod start_errors;
mod take_over;
