//! The parts of the `client` binary: what a line asks for, how it is done, what is printed.

mod command;
mod contacts;
mod failure;
mod incoming;
mod print;
mod session;

pub(crate) use command::{Command, HELP};
pub(crate) use failure::Failure;
pub(crate) use print::Printer;
pub(crate) use session::Client;
