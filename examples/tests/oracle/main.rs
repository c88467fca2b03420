//! The oracle accepts what the guarantee allows, and fails in every way it can fail.
#![allow(clippy::unwrap_used, unreachable_pub, reason = "tests only")]

mod harness;
#[path = "../support/mod.rs"]
mod support;

mod files;
mod judges_topology;
mod linear;
mod order;
mod program;
mod random;
mod violations;
