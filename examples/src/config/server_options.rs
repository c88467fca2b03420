use std::{net::IpAddr, path::PathBuf};

use clap::builder::BoolishValueParser;

use super::{
    LogFormat,
    urls::{RedisUrl, SmtpUrl, SqlUrl},
};

/// The options of a server that is started alone; the rest stands in its file. Each is unset unless somebody set it. The
/// documentation of a field is its help text.
#[derive(Debug, Default, clap::Args)]
pub struct ServerOptions {
    /// Configuration: INI as the original server reads it, or the same sections as TOML
    #[arg(long, env = "USCHAT_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// Check options and file, say what would run, and end
    #[arg(long, env = "USCHAT_CHECK_CONFIG", value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = BoolishValueParser::new())]
    pub check_config: Option<bool>,

    /// Address to listen on, whatever the file says
    #[arg(long, env = "USCHAT_BIND", value_name = "ADDR")]
    pub bind: Option<IpAddr>,

    /// Host name or address that clients are told (chat servers)
    #[arg(long, env = "USCHAT_ADVERTISE", value_name = "HOST")]
    pub advertise: Option<String>,

    /// Database, in place of `[Mysql]`: `mysql://user:pass@host:port/db`
    #[arg(long, env = "USCHAT_SQL", value_name = "URL")]
    pub sql: Option<SqlUrl>,

    /// State store, in place of `[Redis]`: `redis[s]://[user:pass@]host:port/db[?cluster=true]`
    #[arg(long, env = "USCHAT_REDIS", value_name = "URL")]
    pub redis: Option<RedisUrl>,

    /// Mail server, in place of `[Smtp]` (verification server): `smtp[s]://user:pass@host:port?from=ADDRESS`
    #[arg(long, env = "USCHAT_SMTP", value_name = "URL")]
    pub smtp: Option<SmtpUrl>,

    /// Serve the outbox on addresses other than loopback too (gate without a mail server behind it)
    #[arg(long, env = "USCHAT_DEV", value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = BoolishValueParser::new())]
    pub dev: Option<bool>,

    /// HTTP port of metrics and health [default: that of `[Metrics]`, else none]
    #[arg(long, env = "USCHAT_METRICS_PORT", value_name = "PORT")]
    pub metrics_port: Option<u16>,

    /// File that is written, as JSON, once the server accepts connections, and removed at a clean end
    #[arg(long, env = "USCHAT_READY_FILE", value_name = "FILE")]
    pub ready_file: Option<PathBuf>,

    /// How log lines look: human (coloured on a terminal) or json [default: human]
    #[arg(long, env = "USCHAT_LOG", value_name = "FORMAT", hide_possible_values = true)]
    pub log: Option<LogFormat>,

    /// What is logged: a level, or directives such as info,uschat_server=debug [default: info]
    #[arg(long, env = "USCHAT_LOG_LEVEL", value_name = "FILTER")]
    pub log_level: Option<String>,

    /// How long sessions and requests may take to end at SIGTERM or SIGINT [default: 10]
    #[arg(long, env = "USCHAT_DRAIN_DEADLINE", value_name = "SECONDS")]
    pub drain_deadline: Option<u64>,
}
