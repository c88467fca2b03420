use std::{sync::Arc, thread::available_parallelism, time::Duration};

use crate::mail::ReadOutbox;

/// Settings and limits of the gate.
#[derive(Debug, Clone)]
pub struct GateConfig {
    /// Connections at one time; more of them wait in the kernel's backlog. Default 4,096.
    pub max_connections: usize,
    /// How long a connection may be without a complete request header, also between two requests. Default 5 s.
    pub header_deadline: Duration,
    /// How long a request's body may take. Default 5 s.
    pub body_deadline: Duration,
    /// The longest body. Default 64 KiB.
    pub max_body_bytes: usize,
    /// How long a request may be worked on, everything behind the gate included. Default 15 s.
    pub request_deadline: Duration,
    /// After this long a connection takes no further request. Default 5 min.
    pub connection_lifetime: Duration,
    /// How long requests may go on after shutdown began, or on a connection at the end of its lifetime. Default 10 s.
    pub drain: Duration,
    /// How passwords are hashed.
    pub password_cost: PasswordCost,
    /// Whether an account of an original server gets an Argon2 hash at its first login here. Such an account cannot log in
    /// at an original gate any more; without it the stored text stays as it is. Default true.
    pub upgrade_legacy_passwords: bool,
    /// Wrong passwords for one e-mail address within a window. Default 10.
    pub max_wrong_passwords: u32,
    /// The window, which begins with the first wrong password. Default 10 min.
    pub wrong_password_window: Duration,
    /// Wrong tries that void a code. Default 5.
    pub max_wrong_codes: u32,
    /// Limits per network address; `None` for none, which is right behind a proxy. Loopback is never limited.
    pub address_limit: Option<AddressLimit>,
    /// What the login reply calls the resource server's host; `None`: the same as the chat server's.
    pub resource_host: Option<String>,
    /// What the login reply calls the resource server's port. Default "9090".
    pub resource_port: String,
    /// Serves `GET /dev/outbox` from here. Whoever reaches that can take over accounts; default `None`.
    pub outbox: Option<Arc<dyn ReadOutbox>>,
}

impl Default for GateConfig {
    fn default() -> Self {
        Self {
            max_connections: 4_096,
            header_deadline: Duration::from_secs(5),
            body_deadline: Duration::from_secs(5),
            max_body_bytes: 64 * 1024,
            request_deadline: Duration::from_secs(15),
            connection_lifetime: Duration::from_secs(300),
            drain: Duration::from_secs(10),
            password_cost: PasswordCost::default(),
            upgrade_legacy_passwords: true,
            max_wrong_passwords: 10,
            wrong_password_window: Duration::from_secs(600),
            max_wrong_codes: 5,
            address_limit: Some(AddressLimit::default()),
            resource_host: None,
            resource_port: "9090".to_owned(),
            outbox: None,
        }
    }
}

/// What hashing one password costs (Argon2id), and how many are hashed at a time.
///
/// Stored hashes carry their own cost; changing it concerns new passwords only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PasswordCost {
    /// Memory of one computation in KiB. Default 19,456 (19 MiB).
    pub memory_kib: u32,
    /// Passes over that memory. Default 2.
    pub iterations: u32,
    /// Lanes. Default 1.
    pub lanes: u32,
    /// Computations at one time; bounds the memory of all of them together. Default: the machine's cores.
    pub parallel: usize,
    /// How long a request waits for its computation to begin. Default 5 s.
    pub wait: Duration,
}

impl Default for PasswordCost {
    fn default() -> Self {
        Self {
            memory_kib: 19 * 1024,
            iterations: 2,
            lanes: 1,
            parallel: available_parallelism().map_or(1, usize::from),
            wait: Duration::from_secs(5),
        }
    }
}

/// How often one network address (of IPv6, one /64) may be wrong, and how many mails it may cause. The two are counted
/// apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddressLimit {
    /// Wrong passwords and codes, or mails, within a window. Default 100.
    pub max: u32,
    /// The window. Default 10 min.
    pub window: Duration,
}

impl Default for AddressLimit {
    fn default() -> Self {
        Self { max: 100, window: Duration::from_secs(600) }
    }
}
