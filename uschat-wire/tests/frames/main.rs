//! What frames are, whichever way their bytes come: against a reference, in every layout, with any cuts.
#![allow(clippy::unwrap_used, unreachable_pub, reason = "tests only")]

mod checks;
mod pattern;
mod reference;
mod targets;

mod allocations;
mod corpus;
mod every_split;
mod golden;
mod linear_work;
mod properties;
mod sizes_and_limits;
