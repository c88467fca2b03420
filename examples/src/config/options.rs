use std::{net::IpAddr, path::PathBuf};

use clap::builder::BoolishValueParser;
use serde::{Deserialize, Serialize};

use super::{
    originals::OriginalPeers,
    urls::{RedisUrl, SmtpUrl, SqlUrl},
};

/// Every option, unset unless somebody set it. The documentation of a field is its help text.
#[derive(Debug, Default, clap::Args, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// Directory of the database [default: ./uschat-data]
    #[arg(long, env = "USCHAT_DATA_DIR", value_name = "DIR")]
    pub data_dir: Option<PathBuf>,

    /// Number of chat servers, 1 to 30 [default: 2]
    #[arg(long, env = "USCHAT_CHATS", value_name = "N")]
    pub chats: Option<u16>,

    /// Address that every server listens on [default: 127.0.0.1]
    #[arg(long, env = "USCHAT_BIND", value_name = "ADDR")]
    pub bind: Option<IpAddr>,

    /// Host name or address that the login reply tells clients [default: the bound address]
    #[arg(long, env = "USCHAT_ADVERTISE", value_name = "HOST")]
    pub advertise: Option<String>,

    /// HTTP port of the gate [default: 8080]
    #[arg(long, env = "USCHAT_GATE_PORT", value_name = "PORT")]
    pub gate_port: Option<u16>,

    /// gRPC port of the status server [default: 50052]
    #[arg(long, env = "USCHAT_STATUS_PORT", value_name = "PORT")]
    pub status_port: Option<u16>,

    /// gRPC port of the verification server [default: 50051]
    #[arg(long, env = "USCHAT_VERIFY_PORT", value_name = "PORT")]
    pub verify_port: Option<u16>,

    /// TCP port of the first chat server; the others follow [default: 8090]
    #[arg(long, env = "USCHAT_CHAT_PORT", value_name = "PORT")]
    pub chat_port: Option<u16>,

    /// gRPC port of the first chat server; the others follow [default: 50055]
    #[arg(long, env = "USCHAT_CHAT_GRPC_PORT", value_name = "PORT")]
    pub chat_grpc_port: Option<u16>,

    /// HTTP port of the metrics [default: 9464]
    #[arg(long, env = "USCHAT_METRICS_PORT", value_name = "PORT")]
    pub metrics_port: Option<u16>,

    /// Put every listener on a free port, whatever the port options say
    #[arg(long, env = "USCHAT_EPHEMERAL_PORTS", value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = BoolishValueParser::new())]
    pub ephemeral_ports: Option<bool>,

    /// File that is written, as JSON, once everything accepts connections, and removed at a clean end
    #[arg(long, env = "USCHAT_READY_FILE", value_name = "FILE")]
    pub ready_file: Option<PathBuf>,

    /// Database: `sqlite:PATH`, `memory:` or `mysql://user:pass@host:port/db` [default: sqlite:DATA_DIR/uschat.db]
    #[arg(long, env = "USCHAT_SQL", value_name = "URL")]
    pub sql: Option<SqlUrl>,

    /// State store: `redis://[:pass@]host:port/db`; without it the state is in memory
    #[arg(long, env = "USCHAT_REDIS", value_name = "URL")]
    pub redis: Option<RedisUrl>,

    /// Mail server: `smtp[s]://user:pass@host:port?from=ADDRESS`; without it mails go to the built-in outbox
    #[arg(long, env = "USCHAT_SMTP", value_name = "URL")]
    pub smtp: Option<SmtpUrl>,

    /// Run every server in a process of its own; needs --redis and a mysql:// database
    #[arg(long, env = "USCHAT_PROCESSES", value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = BoolishValueParser::new())]
    pub processes: Option<bool>,

    /// TOML file with any of these options as keys, or an INI file of the original servers with RPCPort; an option or variable goes before it
    #[arg(long, env = "USCHAT_CONFIG", value_name = "FILE")]
    #[serde(skip)]
    pub config: Option<PathBuf>,

    /// Check options and files, say what would run, and end
    #[arg(long, env = "USCHAT_CHECK_CONFIG", value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = BoolishValueParser::new())]
    pub check_config: Option<bool>,

    /// Original C++ chat servers in the same cluster: `NAME=HOST:PORT`, the port being their gRPC, or `NAME=HOST:PORT/later` for those after the first season; separated by commas
    #[arg(long, env = "USCHAT_ORIGINAL_PEERS", value_name = "LIST")]
    pub original_peers: Option<OriginalPeers>,

    /// Leave passwords as the original servers stored them, so that their gates accept them too; otherwise the first login replaces them by a hash
    #[arg(long, env = "USCHAT_KEEP_ORIGINAL_PASSWORDS", value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = BoolishValueParser::new())]
    pub keep_original_passwords: Option<bool>,

    /// How log lines look: human (coloured on a terminal) or json [default: human]
    #[arg(long, env = "USCHAT_LOG", value_name = "FORMAT", hide_possible_values = true)]
    pub log: Option<LogFormat>,

    /// What is logged: a level, or directives such as info,uschat_server=debug [default: info]
    #[arg(long, env = "USCHAT_LOG_LEVEL", value_name = "FILTER")]
    pub log_level: Option<String>,

    /// Serve the outbox (GET /dev/outbox?email=E) on addresses other than loopback too
    #[arg(long, env = "USCHAT_DEV", value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = BoolishValueParser::new())]
    pub dev: Option<bool>,

    /// How long a login token is good for [default: 604800, a week]
    #[arg(long, env = "USCHAT_TOKEN_LIFETIME", value_name = "SECONDS")]
    pub token_lifetime: Option<u64>,

    /// How long a mailed code is good for [default: 600]
    #[arg(long, env = "USCHAT_CODE_LIFETIME", value_name = "SECONDS")]
    pub code_lifetime: Option<u64>,

    /// Time between two frames to a client that may misread two at once; 0 turns pacing off [default: 20]
    #[arg(long, env = "USCHAT_PACING_GAP", value_name = "MILLISECONDS")]
    pub pacing_gap: Option<u64>,

    /// How long sessions and requests may take to end at SIGTERM or SIGINT [default: 10]
    #[arg(long, env = "USCHAT_DRAIN_DEADLINE", value_name = "SECONDS")]
    pub drain_deadline: Option<u64>,

    /// The chat servers, one by one, as an original's file may list them.
    #[arg(skip)]
    #[serde(skip)]
    pub chat_servers: Option<Vec<ChatServer>>,

    /// Sections of the file that nobody reads.
    #[arg(skip)]
    #[serde(skip)]
    pub unknown_sections: Vec<String>,
}

/// A chat server as a file lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChatServer {
    /// Its name in the cluster.
    pub name: String,
    /// The host that clients are told.
    pub advertise: Option<String>,
    /// TCP for clients.
    pub port: u16,
    /// gRPC for peers.
    pub grpc_port: u16,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people; coloured if standard error is a terminal.
    #[default]
    Human,
    /// One JSON object a line.
    Json,
}

impl Options {
    /// These options, and those of `below` where these say nothing.
    #[must_use]
    pub fn over(self, below: Self) -> Self {
        Self {
            data_dir: self.data_dir.or(below.data_dir),
            chats: self.chats.or(below.chats),
            bind: self.bind.or(below.bind),
            advertise: self.advertise.or(below.advertise),
            gate_port: self.gate_port.or(below.gate_port),
            status_port: self.status_port.or(below.status_port),
            verify_port: self.verify_port.or(below.verify_port),
            chat_port: self.chat_port.or(below.chat_port),
            chat_grpc_port: self.chat_grpc_port.or(below.chat_grpc_port),
            metrics_port: self.metrics_port.or(below.metrics_port),
            ephemeral_ports: self.ephemeral_ports.or(below.ephemeral_ports),
            ready_file: self.ready_file.or(below.ready_file),
            sql: self.sql.or(below.sql),
            redis: self.redis.or(below.redis),
            smtp: self.smtp.or(below.smtp),
            processes: self.processes.or(below.processes),
            config: self.config.or(below.config),
            check_config: self.check_config.or(below.check_config),
            original_peers: self.original_peers.or(below.original_peers),
            keep_original_passwords: self.keep_original_passwords.or(below.keep_original_passwords),
            log: self.log.or(below.log),
            log_level: self.log_level.or(below.log_level),
            dev: self.dev.or(below.dev),
            token_lifetime: self.token_lifetime.or(below.token_lifetime),
            code_lifetime: self.code_lifetime.or(below.code_lifetime),
            pacing_gap: self.pacing_gap.or(below.pacing_gap),
            drain_deadline: self.drain_deadline.or(below.drain_deadline),
            chat_servers: self.chat_servers.or(below.chat_servers),
            unknown_sections: [self.unknown_sections, below.unknown_sections].concat(),
        }
    }
}
