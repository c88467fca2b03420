use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

use tracing_subscriber::EnvFilter;

use super::{
    Backends, Database, LogFormat, Named, Options,
    hosts::{bracketed, host, reachable, within},
    options::ChatServer,
    services::{ChatSettings, GateSettings, LogSettings, StatusSettings, VerifySettings},
};
use crate::StartError;

/// What a topology runs with: every option decided, nothing contradictory left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The gate.
    pub gate: GateSettings,
    /// The verification server.
    pub verify: VerifySettings,
    /// The status server.
    pub status: StatusSettings,
    /// The chat servers, 1 to 30.
    pub chats: Vec<ChatSettings>,
    /// What stands behind all of them.
    pub backends: Backends,
    /// Where metrics and health are served.
    pub metrics: Named<SocketAddr>,
    /// Where to say that everything accepts.
    pub ready_file: Option<PathBuf>,
    /// What is logged.
    pub log: LogSettings,
    /// How long ending may take.
    pub drain_deadline: Duration,
    /// Whether every server gets a process of its own.
    pub processes: bool,
    /// Sections of the file that nobody reads.
    pub unknown_sections: Vec<String>,
}

impl TryFrom<Options> for Settings {
    type Error = StartError;

    fn try_from(options: Options) -> Result<Self, StartError> {
        let bind = options.bind.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
        let ephemeral = options.ephemeral_ports == Some(true);
        let listen = |key: &str, port: u16| Named::new(key, SocketAddr::new(bind, if ephemeral { 0 } else { port }));
        let here = |port: Option<u16>, default| SocketAddr::new(reachable(bind), port.unwrap_or(default)).to_string();

        let backends = Backends {
            database: Database::choose(options.sql.map(|sql| Named::new("--sql", sql)), options.data_dir)?,
            redis: options.redis.map(|redis| Named::new("--redis", redis)),
            smtp: options.smtp.map(|smtp| Named::new("--smtp", smtp)),
        };
        let processes = options.processes.unwrap_or(false);
        if processes && (backends.redis.is_none() || !backends.database.value.is_shared()) {
            let problem = "processes share nothing but Redis and MySQL";
            let remedy = "give it --redis and a --sql of mysql://, or leave it out";
            return Err(StartError::new("--processes", problem, remedy));
        }

        let originals = options.original_peers.unwrap_or_default().0;
        if !originals.is_empty() && backends.redis.is_none() {
            let problem = "original chat servers find users by Redis";
            return Err(StartError::new("--original-peers", problem, "give --redis, too, the one they use"));
        }
        let gap = within("--pacing-gap", options.pacing_gap.unwrap_or(20), 0..=1_000, "milliseconds")?;
        let advertise = host("--advertise", options.advertise.unwrap_or_else(|| reachable(bind).to_string()))?;
        let first = (options.chat_port.unwrap_or(8090), options.chat_grpc_port.unwrap_or(50055));
        let servers = chat_servers(options.chat_servers, options.chats, first)?;
        let chat = |server: ChatServer| {
            if originals.iter().any(|peer| peer.name == server.name) {
                let problem = format!("{} is one of our own chat servers", server.name);
                return Err(StartError::new("--original-peers", problem, "give every chat server a name of its own"));
            }
            Ok(ChatSettings {
                clients: listen("--chat-port", server.port),
                peers: listen("--chat-grpc-port", server.grpc_port),
                advertise: server.advertise.map_or_else(|| Ok(advertise.clone()), |told| host(&server.name, told))?,
                peer_host: bracketed(&reachable(bind).to_string()),
                pacing_gap: Duration::from_millis(gap),
                originals: originals.clone(),
                name: server.name,
            })
        };
        let dev = options.dev.unwrap_or(false);
        Ok(Self {
            gate: GateSettings {
                listen: listen("--gate-port", options.gate_port.unwrap_or(8080)),
                verify: here(options.verify_port, 50051),
                status: here(options.status_port, 50052),
                // It hands out codes, so only this machine may ask, unless told otherwise.
                outbox: backends.smtp.is_none() && (dev || bind.is_loopback()),
                upgrade_passwords: options.keep_original_passwords != Some(true),
                resource: None,
            },
            verify: VerifySettings {
                listen: listen("--verify-port", options.verify_port.unwrap_or(50051)),
                code_lifetime: seconds("--code-lifetime", options.code_lifetime, 600, 86_400)?,
            },
            status: StatusSettings {
                listen: listen("--status-port", options.status_port.unwrap_or(50052)),
                token_lifetime: seconds("--token-lifetime", options.token_lifetime, 604_800, 31_536_000)?,
                client_addresses: BTreeMap::new(),
            },
            chats: servers.into_iter().map(chat).collect::<Result<_, _>>()?,
            backends,
            metrics: listen("--metrics-port", options.metrics_port.unwrap_or(9464)),
            ready_file: options.ready_file,
            log: log(options.log, options.log_level)?,
            drain_deadline: seconds("--drain-deadline", options.drain_deadline, 10, 3_600)?,
            processes,
            unknown_sections: options.unknown_sections,
        })
    }
}

pub(super) fn log(format: Option<LogFormat>, level: Option<String>) -> Result<LogSettings, StartError> {
    let level = level.unwrap_or_else(|| "info".to_owned());
    if let Err(error) = EnvFilter::try_new(&level) {
        let remedy = "write a level (info) or directives (info,uschat_server=debug)";
        return Err(StartError::new("--log-level", error, remedy));
    }
    Ok(LogSettings { format: format.unwrap_or_default(), level })
}

pub(super) fn seconds(key: &str, given: Option<u64>, default: u64, most: u64) -> Result<Duration, StartError> {
    within(key, given.unwrap_or(default), 1..=most, "seconds").map(Duration::from_secs)
}

/// The servers a file lists, or as many as wanted with their ports in a row.
fn chat_servers(
    listed: Option<Vec<ChatServer>>,
    wanted: Option<u16>,
    first: (u16, u16),
) -> Result<Vec<ChatServer>, StartError> {
    const MOST: u16 = 30;
    if let (Some(listed), None) = (&listed, wanted) {
        within("[chatservers]", listed.len(), 1..=MOST.into(), "chat servers")?;
        return Ok(listed.clone());
    }
    let chats = within("--chats", wanted.unwrap_or(2), 1..=MOST, "chat servers")?;
    let row = |key: &str, first: u16| match first.checked_add(chats - 1) {
        Some(_) => Ok(first),
        None => {
            let problem = format!("{chats} ports from {first} on go beyond 65535");
            Err(StartError::new(key, problem, "choose a lower port or fewer chat servers"))
        }
    };
    let (tcp, grpc) = (row("--chat-port", first.0)?, row("--chat-grpc-port", first.1)?);
    // Zero is any free port, and so are those after it.
    let nth = |first: u16, index: u16| if first == 0 { 0 } else { first + index };
    let server = |index: u16| ChatServer {
        name: format!("chatserver{}", index + 1),
        advertise: None,
        port: nth(tcp, index),
        grpc_port: nth(grpc, index),
    };
    Ok((0..chats).map(server).collect())
}

#[cfg(test)]
mod tests {
    use super::{Database, Options, Settings};

    fn refusal(options: Options) -> String {
        Settings::try_from(options).unwrap_err().to_string()
    }

    #[test]
    fn defaults_are_those_of_the_run_contract() {
        let settings = Settings::try_from(Options::default()).unwrap();
        assert_eq!(settings.backends.database.value, Database::DataDir("./uschat-data".into()));
        let chats: Vec<_> = settings.chats.iter().map(|chat| (chat.clients.value, chat.peers.value)).collect();
        let at = |port: u16| std::net::SocketAddr::from(([127, 0, 0, 1], port));
        assert_eq!(chats, [(at(8090), at(50055)), (at(8091), at(50056))]);
        assert_eq!(settings.chats[1].name, "chatserver2");
        assert_eq!(settings.chats[0].advertise, "127.0.0.1");
        let ports = [&settings.gate.listen, &settings.status.listen, &settings.verify.listen, &settings.metrics];
        assert_eq!(ports.map(|port| port.value), [at(8080), at(50052), at(50051), at(9464)]);
        assert_eq!(
            (settings.gate.verify.as_str(), settings.gate.status.as_str()),
            ("127.0.0.1:50051", "127.0.0.1:50052")
        );
        assert_eq!(settings.drain_deadline.as_secs(), 10);
        assert!(settings.gate.outbox && settings.gate.upgrade_passwords && !settings.processes);
    }

    #[test]
    fn the_outbox_stays_on_this_machine_unless_asked_and_goes_with_a_mail_server() {
        let bind = Some("0.0.0.0".parse().unwrap());
        let settings = Settings::try_from(Options { bind, ..Options::default() }).unwrap();
        assert!(!settings.gate.outbox);
        assert_eq!(
            (settings.gate.status.as_str(), settings.chats[0].advertise.as_str()),
            ("127.0.0.1:50052", "127.0.0.1")
        );
        assert!(Settings::try_from(Options { bind, dev: Some(true), ..Options::default() }).unwrap().gate.outbox);
        let smtp = Some("smtp://h?from=a@b".parse().unwrap());
        assert!(!Settings::try_from(Options { smtp, dev: Some(true), ..Options::default() }).unwrap().gate.outbox);
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
    fn processes_need_what_they_can_share() {
        let redis = || Some("redis://localhost".parse().unwrap());
        let mysql = || Some("mysql://u@h/d".parse().unwrap());
        let processes = Some(true);
        for options in [
            Options { processes, ..Options::default() },
            Options { processes, redis: redis(), ..Options::default() },
            Options { processes, sql: mysql(), ..Options::default() },
            Options { processes, redis: redis(), sql: Some("memory:".parse().unwrap()), ..Options::default() },
        ] {
            let shown = refusal(options);
            assert!(shown.starts_with("--processes: ") && shown.contains("mysql://"), "{shown}");
        }
        let complete = Options { processes, redis: redis(), sql: mysql(), ..Options::default() };
        assert!(Settings::try_from(complete).unwrap().processes);
    }

    #[test]
    fn originals_need_redis_and_names_of_their_own() {
        let originals = |list: &str| Some(list.parse().unwrap());
        let lonely = refusal(Options { original_peers: originals("cpp1=h:50055"), ..Options::default() });
        assert!(lonely.starts_with("--original-peers: ") && lonely.contains("--redis"), "{lonely}");
        let redis = || Some("redis://localhost".parse().unwrap());
        let options =
            Options { original_peers: originals("chatserver1=h:50055"), redis: redis(), ..Options::default() };
        assert!(refusal(options).starts_with("--original-peers: chatserver1 is one of our own"));
        let options = Options { original_peers: originals("cpp1=h:50055"), redis: redis(), ..Options::default() };
        assert_eq!(Settings::try_from(options).unwrap().chats[1].originals[0].name, "cpp1");
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
