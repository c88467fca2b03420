//! The chaos proxy does to a connection what it says, and nothing else.
#![allow(clippy::unwrap_used, unreachable_pub, reason = "tests only")]

mod harness;

mod ends;
mod program;
mod seed;
mod stalls;
mod time;
