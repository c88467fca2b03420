//! Codes by mail: the verify service, and what an SMTP server is told.
#![allow(clippy::unwrap_used, unreachable_pub, reason = "tests only")]

#[cfg(feature = "smtp")]
#[path = "../real_servers/smtp.rs"]
mod smtp;

#[cfg(feature = "smtp")]
mod smtp_mail;
#[cfg(feature = "verify")]
mod verify_grpc_server;
#[cfg(feature = "verify")]
mod verify_mail;
