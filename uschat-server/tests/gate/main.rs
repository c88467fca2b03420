//! The gate over HTTP: registration, reset and login, in its own dialect and in those of the originals.
#![cfg(all(feature = "gate", feature = "verify", feature = "status"))]
#![allow(clippy::unwrap_used, unreachable_pub, reason = "tests only")]

mod support;

mod http;
mod legacy;
mod login;
mod register;
mod reset;
