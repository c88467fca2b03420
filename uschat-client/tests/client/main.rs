//! The SDK against a server of the test: logins, calls, events, and the messenger that loses nothing.
#![allow(clippy::unwrap_used, unreachable_pub, reason = "tests only")]

mod support;

mod calls;
mod end_of_session;
mod events;
mod gate;
mod history;
mod login;
mod messenger_progress;
mod messenger_random;
mod messenger_receiving;
mod messenger_reconnect;
mod messenger_sending;
