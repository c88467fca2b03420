use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    ops::RangeInclusive,
    path::PathBuf,
    time::Duration,
};

use tracing_subscriber::EnvFilter;

use super::{LogFormat, Options, urls::SqlUrl};
use crate::StartError;

/// What a topology runs with: every option decided, nothing contradictory left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Where the data lie.
    pub database: Database,
    /// Chat servers, 1 to 30.
    pub chats: u16,
    /// Where every server listens.
    pub bind: IpAddr,
    /// The host that clients are told to connect to.
    pub advertise: String,
    /// The ports of the listeners.
    pub ports: Ports,
    /// Where to say that everything accepts.
    pub ready_file: Option<PathBuf>,
    /// How log lines look.
    pub log: LogFormat,
    /// What is logged: directives of tracing's filter.
    pub log_level: String,
    /// Whether the outbox is served on other addresses than loopback.
    pub dev: bool,
    /// How long a login token is good for.
    pub token_lifetime: Duration,
    /// How long a mailed code is good for.
    pub code_lifetime: Duration,
    /// Time between two frames to a client that may misread two at once; zero is none.
    pub pacing_gap: Duration,
    /// How long ending may take.
    pub drain_deadline: Duration,
}

/// Where the data lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Database {
    /// In the data directory, which is made if it is missing.
    DataDir(PathBuf),
    /// In the SQLite file of this path.
    Sqlite(PathBuf),
    /// In memory until the process ends.
    Memory,
}

/// The ports of all listeners; 0 is any free one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ports {
    /// The gate's HTTP.
    pub gate: u16,
    /// The status server's gRPC.
    pub status: u16,
    /// The verification server's gRPC.
    pub verify: u16,
    /// The first chat server's TCP.
    pub chat: u16,
    /// The first chat server's gRPC.
    pub chat_grpc: u16,
    /// The metrics' HTTP.
    pub metrics: u16,
}

impl Ports {
    const FREE: Self = Self { gate: 0, status: 0, verify: 0, chat: 0, chat_grpc: 0, metrics: 0 };
}

impl Settings {
    /// Whether `GET /dev/outbox` is served: it hands out codes, so only this machine may ask, unless told otherwise.
    #[must_use]
    pub fn serves_outbox(&self) -> bool {
        self.dev || self.bind.is_loopback()
    }

    /// Where a listener of `port` is reached from this machine.
    #[must_use]
    pub fn reachable(&self, port: u16) -> SocketAddr {
        SocketAddr::new(reachable(self.bind), port)
    }
}

impl TryFrom<Options> for Settings {
    type Error = StartError;

    fn try_from(options: Options) -> Result<Self, StartError> {
        refuse_what_this_build_lacks(&options)?;
        let chats = within("--chats", options.chats.unwrap_or(2), 1..=30, "chat servers")?;
        let bind = options.bind.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
        let log_level = options.log_level.unwrap_or_else(|| "info".to_owned());
        if let Err(error) = EnvFilter::try_new(&log_level) {
            return Err(StartError::new(
                "--log-level",
                error,
                "write a level (info) or directives (info,uschat_server=debug)",
            ));
        }
        let seconds = |key, given: Option<u64>, default, range| {
            within(key, given.unwrap_or(default), range, "seconds").map(Duration::from_secs)
        };
        Ok(Self {
            database: database(options.sql, options.data_dir)?,
            chats,
            bind,
            advertise: advertise(options.advertise, bind)?,
            ports: if options.ephemeral_ports == Some(true) {
                Ports::FREE
            } else {
                Ports {
                    gate: options.gate_port.unwrap_or(8080),
                    status: options.status_port.unwrap_or(50052),
                    verify: options.verify_port.unwrap_or(50051),
                    chat: row("--chat-port", options.chat_port.unwrap_or(8090), chats)?,
                    chat_grpc: row("--chat-grpc-port", options.chat_grpc_port.unwrap_or(50055), chats)?,
                    metrics: options.metrics_port.unwrap_or(9464),
                }
            },
            ready_file: options.ready_file,
            log: options.log.unwrap_or_default(),
            log_level,
            dev: options.dev.unwrap_or(false),
            token_lifetime: seconds("--token-lifetime", options.token_lifetime, 604_800, 1..=31_536_000)?,
            code_lifetime: seconds("--code-lifetime", options.code_lifetime, 600, 1..=86_400)?,
            pacing_gap: within("--pacing-gap", options.pacing_gap.unwrap_or(20), 0..=1_000, "milliseconds")
                .map(Duration::from_millis)?,
            drain_deadline: seconds("--drain-deadline", options.drain_deadline, 10, 1..=3_600)?,
        })
    }
}

fn refuse_what_this_build_lacks(options: &Options) -> Result<(), StartError> {
    let mysql = options.sql == Some(SqlUrl::Mysql);
    if options.processes == Some(true) {
        if options.redis.is_none() || !mysql {
            let problem = "processes share nothing but Redis and MySQL";
            return Err(StartError::new(
                "--processes",
                problem,
                "give it --redis and a --sql of mysql://, or leave it out",
            ));
        }
        let problem = "this build runs every server in one process";
        return Err(StartError::new("--processes", problem, "leave the option out"));
    }
    if options.redis.is_some() {
        let problem = "this build keeps state in memory only";
        return Err(StartError::new("--redis", problem, "leave the option out"));
    }
    if mysql {
        let problem = "this build has no MySQL adapter";
        return Err(StartError::new("--sql", problem, "choose sqlite:PATH or memory:, or leave the option out"));
    }
    if options.smtp.is_some() {
        let problem = "this build sends no mail, codes go to the built-in outbox";
        return Err(StartError::new("--smtp", problem, "leave the option out"));
    }
    Ok(())
}

fn database(sql: Option<SqlUrl>, data_dir: Option<PathBuf>) -> Result<Database, StartError> {
    match sql {
        Some(SqlUrl::Sqlite(path)) => Ok(Database::Sqlite(path)),
        Some(SqlUrl::Memory) => Ok(Database::Memory),
        Some(SqlUrl::Mysql) | None => {
            let directory = data_dir.unwrap_or_else(|| "./uschat-data".into());
            if directory.as_os_str().is_empty() {
                return Err(StartError::new("--data-dir", "the path is empty", "name a directory"));
            }
            Ok(Database::DataDir(directory))
        }
    }
}

/// The original clients paste this between "host" and a port, so nothing but a host may stand here.
fn advertise(given: Option<String>, bind: IpAddr) -> Result<String, StartError> {
    let host = given.unwrap_or_else(|| reachable(bind).to_string());
    let is_host = host.parse::<IpAddr>().is_ok()
        || (!host.is_empty()
            && host.len() <= 253
            && host.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_')));
    if !is_host {
        let remedy = "write a host name or an IP address, without scheme and port";
        return Err(StartError::new("--advertise", "this is not a host", remedy));
    }
    Ok(host)
}

fn reachable(bind: IpAddr) -> IpAddr {
    match bind {
        IpAddr::V4(address) if address.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(address) if address.is_unspecified() => IpAddr::V6(std::net::Ipv6Addr::LOCALHOST),
        address => address,
    }
}

/// The first of as many ports in a row as there are chat servers.
fn row(key: &str, first: u16, chats: u16) -> Result<u16, StartError> {
    if first != 0 && first.checked_add(chats - 1).is_none() {
        let problem = format!("{chats} ports from {first} on go beyond 65535");
        return Err(StartError::new(key, problem, "choose a lower port or fewer chat servers"));
    }
    Ok(first)
}

fn within<N: PartialOrd + fmt::Display>(
    key: &str,
    number: N,
    range: RangeInclusive<N>,
    unit: &str,
) -> Result<N, StartError> {
    if range.contains(&number) {
        return Ok(number);
    }
    let remedy = format!("choose {} to {} {unit}", range.start(), range.end());
    Err(StartError::new(key, format!("{number} is out of range"), remedy))
}

#[cfg(test)]
mod tests {
    use super::{Database, Options, Ports, Settings};

    fn refusal(options: Options) -> String {
        Settings::try_from(options).unwrap_err().to_string()
    }

    #[test]
    fn defaults_are_those_of_the_run_contract() {
        let settings = Settings::try_from(Options::default()).unwrap();
        assert_eq!(settings.database, Database::DataDir("./uschat-data".into()));
        assert_eq!((settings.chats, settings.advertise.as_str()), (2, "127.0.0.1"));
        let ports = Ports { gate: 8080, status: 50052, verify: 50051, chat: 8090, chat_grpc: 50055, metrics: 9464 };
        assert_eq!(settings.ports, ports);
        assert_eq!(settings.drain_deadline.as_secs(), 10);
        assert!(settings.serves_outbox());
    }

    #[test]
    fn the_outbox_stays_on_this_machine_unless_asked() {
        let bind = Some("0.0.0.0".parse().unwrap());
        let settings = Settings::try_from(Options { bind, ..Options::default() }).unwrap();
        assert!(!settings.serves_outbox());
        assert_eq!(
            (settings.reachable(1).to_string().as_str(), settings.advertise.as_str()),
            ("127.0.0.1:1", "127.0.0.1")
        );
        assert!(Settings::try_from(Options { bind, dev: Some(true), ..Options::default() }).unwrap().serves_outbox());
    }

    #[test]
    fn numbers_have_bounds() {
        for chats in [0, 31] {
            let shown = refusal(Options { chats: Some(chats), ..Options::default() });
            assert_eq!(shown, format!("--chats: {chats} is out of range; choose 1 to 30 chat servers"));
        }
        assert!(refusal(Options { chat_port: Some(65_535), ..Options::default() }).starts_with("--chat-port: "));
        assert!(refusal(Options { drain_deadline: Some(0), ..Options::default() }).starts_with("--drain-deadline: "));
        assert!(refusal(Options { pacing_gap: Some(1_001), ..Options::default() }).starts_with("--pacing-gap: "));
        let last = Options { chat_port: Some(65_535), chats: Some(1), ..Options::default() };
        assert!(Settings::try_from(last).is_ok());
    }

    #[test]
    fn what_this_build_lacks_is_said() {
        let redis = || Some("redis://localhost".parse().unwrap());
        let mysql = || Some("mysql://u@h/d".parse().unwrap());
        let smtp = Some("smtp://h?from=a@b".parse().unwrap());
        assert!(
            refusal(Options { redis: redis(), ..Options::default() })
                .starts_with("--redis: this build keeps state in memory")
        );
        assert!(refusal(Options { sql: mysql(), ..Options::default() }).starts_with("--sql: "));
        assert!(refusal(Options { smtp, ..Options::default() }).starts_with("--smtp: "));
        let lonely = refusal(Options { processes: Some(true), redis: redis(), ..Options::default() });
        assert!(lonely.starts_with("--processes: ") && lonely.contains("mysql://"), "{lonely}");
        let complete = refusal(Options { processes: Some(true), redis: redis(), sql: mysql(), ..Options::default() });
        assert!(complete.starts_with("--processes: this build"), "{complete}");
    }

    #[test]
    fn only_a_host_is_advertised() {
        for wrong in ["", "http://h", "h:8090", "two words", "a\nb"] {
            assert!(
                refusal(Options { advertise: Some(wrong.into()), ..Options::default() }).starts_with("--advertise: ")
            );
        }
        for right in ["chat.example.org", "10.0.0.1", "::1", "my_host"] {
            assert!(Settings::try_from(Options { advertise: Some(right.into()), ..Options::default() }).is_ok());
        }
    }

    #[test]
    fn log_directives_are_checked() {
        assert!(
            refusal(Options { log_level: Some("uschat=loud".into()), ..Options::default() })
                .starts_with("--log-level: ")
        );
    }
}
