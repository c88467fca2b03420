//! A server that is started alone: its sections, with flags and environment before them.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::Duration,
};

use super::{
    Backends, Database, Named,
    hosts::{bracketed, host, reachable, within},
    sections::{Section, Sections},
    server_options::ServerOptions,
    services::{ChatSettings, GateSettings, ServerSettings, Service, StatusSettings, VerifySettings},
    settings::{log, seconds},
    shared_sections::{peer_sections, peers, redis, smtp, sql},
    urls::SqlUrl,
};
use crate::StartError;

/// Which of the four servers a program is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The HTTP gate.
    Gate,
    /// The verification server.
    Verify,
    /// The status server.
    Status,
    /// A chat server.
    Chat,
}

impl Role {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Gate => "gate",
            Self::Verify => "verify",
            Self::Status => "status",
            Self::Chat => "chat",
        }
    }

    pub(super) fn about(self) -> &'static str {
        match self {
            Self::Gate => "Runs the gate: registration, password reset and login over HTTP",
            Self::Verify => "Runs the verification server, which mails codes",
            Self::Status => "Runs the status server, which assigns chat servers and mints tokens",
            Self::Chat => "Runs one chat server of a cluster",
        }
    }
}

/// What a server runs with, and the sections of its file that nobody reads.
pub(super) fn settings(
    role: Role,
    options: ServerOptions,
    sections: &Sections,
) -> Result<(ServerSettings, Vec<String>), StartError> {
    let mut of_servers = peer_sections(sections)?;
    let service = match role {
        Role::Gate => Service::Gate(gate(&options, sections)?),
        Role::Verify => Service::Verify(verify(&options, sections)?),
        Role::Status => {
            of_servers.extend(sections.section("chatservers", &["Name"])?.list("Name"));
            Service::Status(status(&options, sections)?)
        }
        Role::Chat => Service::Chat(chat(&options, sections)?),
    };
    let backends = backends(role, &options, sections)?;
    let service = match service {
        Service::Gate(gate) => Service::Gate(GateSettings { outbox: gate.outbox && backends.smtp.is_none(), ..gate }),
        other => other,
    };
    let settings = ServerSettings {
        service,
        backends,
        metrics: metrics(&options, sections)?,
        log: log(options.log, options.log_level)?,
        drain_deadline: seconds("--drain-deadline", options.drain_deadline, 10, 3_600)?,
        ready_file: options.ready_file,
    };
    Ok((settings, sections.unknown(&of_servers)))
}

fn gate(options: &ServerOptions, sections: &Sections) -> Result<GateSettings, StartError> {
    let gate = sections.section("GateServer", &["Host", "Port", "KeepOriginalPasswords"])?;
    let resource = sections.section("ResServer", &["Name", "Host", "Port", "RPCPort"])?;
    let listen = listen(&gate, "Port", 8080, options)?;
    let keep = gate.parsed::<bool>("KeepOriginalPasswords", "true or false")?;
    Ok(GateSettings {
        verify: behind(&sections.section("VarifyServer", &["Host", "Port", "CodeLifetime"])?, 50051)?,
        status: behind(&sections.section("StatusServer", &["Host", "Port", "TokenLifetime"])?, 50052)?,
        outbox: options.dev == Some(true) || listen.value.ip().is_loopback(),
        upgrade_passwords: !keep.is_some_and(|keep| keep.value),
        resource: match resource.text("Host") {
            Some(host) => Some((host.value, resource.parsed::<u16>("Port", "a port")?.map_or(9090, |port| port.value))),
            None => None,
        },
        listen,
    })
}

fn verify(options: &ServerOptions, sections: &Sections) -> Result<VerifySettings, StartError> {
    let verify = sections.section("VarifyServer", &["Host", "Port", "CodeLifetime"])?;
    Ok(VerifySettings {
        listen: listen(&verify, "Port", 50051, options)?,
        code_lifetime: lifetime(&verify, "CodeLifetime", 600, 86_400)?,
    })
}

fn status(options: &ServerOptions, sections: &Sections) -> Result<StatusSettings, StartError> {
    let status = sections.section("StatusServer", &["Host", "Port", "TokenLifetime"])?;
    let mut client_addresses = BTreeMap::new();
    for name in sections.section("chatservers", &["Name"])?.list("Name") {
        let server = sections.section(&name, &["Name", "Host", "Port", "RPCPort"])?;
        let told = host(&server.key("Host"), server.required("Host")?.value)?;
        let port = server.parsed::<u16>("Port", "a port")?;
        let port =
            port.ok_or_else(|| StartError::new(server.key("Port"), "it is missing", "add its port for clients"))?;
        let name = server.text("Name").map_or(name.clone(), |name| name.value);
        client_addresses.insert(name, (told, port.value));
    }
    Ok(StatusSettings {
        listen: listen(&status, "Port", 50052, options)?,
        token_lifetime: lifetime(&status, "TokenLifetime", 604_800, 31_536_000)?,
        client_addresses,
    })
}

fn chat(options: &ServerOptions, sections: &Sections) -> Result<ChatSettings, StartError> {
    let known = ["Name", "Host", "Port", "RPCPort", "Advertise", "PeerHost", "PacingGap"];
    let server = sections.section("SelfServer", &known)?;
    let clients = listen(&server, "Port", 8090, options)?;
    let peers_listen = listen(&server, "RPCPort", 50055, options)?;
    let advertise = match (&options.advertise, server.text("Advertise")) {
        (Some(flag), _) => Named::new("--advertise", flag.clone()),
        (None, Some(file)) => file,
        (None, None) => Named::new("--advertise", reachable(clients.value.ip()).to_string()),
    };
    let advertise = host(&advertise.key, advertise.value)?;
    let peer_host = match server.text("PeerHost") {
        Some(named) => host(&named.key, named.value)?,
        // Peers are told what clients are told, unless that is a listener of one address anyway.
        None if clients.value.ip().is_unspecified() => advertise.clone(),
        None => clients.value.ip().to_string(),
    };
    let gap = server.parsed::<u64>("PacingGap", "a number of milliseconds")?;
    let gap = gap.unwrap_or(Named::new(server.key("PacingGap"), 20));
    let name = server.required("Name")?.value;
    Ok(ChatSettings {
        originals: peers(sections)?.into_iter().filter(|peer| peer.name != name).collect(),
        name,
        clients,
        peers: peers_listen,
        advertise,
        peer_host: bracketed(&peer_host),
        pacing_gap: Duration::from_millis(within(&gap.key, gap.value, 0..=1_000, "milliseconds")?),
    })
}

/// Servers that are started alone share nothing but what stands behind them.
fn backends(role: Role, options: &ServerOptions, sections: &Sections) -> Result<Backends, StartError> {
    let sql = match options.sql.clone() {
        Some(sql) => Some(Named::new("--sql", sql)),
        None => sql(sections)?,
    };
    let redis = match options.redis.clone() {
        Some(redis) => Some(Named::new("--redis", redis)),
        None => redis(sections)?,
    };
    let smtp = match options.smtp.clone() {
        Some(smtp) => Some(Named::new("--smtp", smtp)),
        None => smtp(sections)?,
    };
    if redis.is_none() {
        let problem = "the servers find each other by Redis, and none is named";
        return Err(StartError::new("--redis or [Redis]", problem, "name the Redis that all of them use"));
    }
    let database = match role {
        Role::Gate | Role::Chat => shared_database(sql)?,
        // Codes and tokens live in Redis alone.
        Role::Verify | Role::Status => Named::new("--sql", Database::Memory),
    };
    Ok(Backends { database, redis, smtp })
}

fn shared_database(sql: Option<Named<SqlUrl>>) -> Result<Named<Database>, StartError> {
    match sql {
        Some(Named { key, value: SqlUrl::Mysql(url) }) => Ok(Named { key, value: Database::Mysql(url) }),
        Some(Named { key, .. }) => {
            let problem = "servers in processes of their own share MySQL or MariaDB only";
            Err(StartError::new(key, problem, "name one as mysql://user:pass@host:port/db"))
        }
        None => {
            let problem = "the servers share a database, and none is named";
            Err(StartError::new("--sql or [Mysql]", problem, "name the MySQL or MariaDB that all of them use"))
        }
    }
}

fn metrics(options: &ServerOptions, sections: &Sections) -> Result<Option<Named<SocketAddr>>, StartError> {
    let metrics = sections.section("Metrics", &["Host", "Port"])?;
    let address = match metrics.parsed::<IpAddr>("Host", "an IP address")? {
        Some(host) => host.value,
        None => IpAddr::V4(Ipv4Addr::LOCALHOST),
    };
    let of_file = metrics.parsed::<u16>("Port", "a port")?;
    let port = options.metrics_port.map(|port| Named::new("--metrics-port", port)).or(of_file);
    Ok(port.map(|port| Named::new(port.key, SocketAddr::new(address, port.value))))
}

/// Where the originals listen: everywhere, unless the section says otherwise.
fn listen(
    section: &Section<'_>,
    key: &str,
    default: u16,
    options: &ServerOptions,
) -> Result<Named<SocketAddr>, StartError> {
    let address = match (options.bind, section.parsed::<IpAddr>("Host", "an IP address")?) {
        (Some(bind), _) => bind,
        (None, Some(host)) => host.value,
        (None, None) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
    };
    let port = section.parsed::<u16>(key, "a port")?.unwrap_or(Named::new(section.key(key), default));
    Ok(Named::new(port.key, SocketAddr::new(address, port.value)))
}

/// Where a server behind the gate is reached.
fn behind(section: &Section<'_>, default: u16) -> Result<String, StartError> {
    let there = section.text("Host").map_or_else(|| "127.0.0.1".to_owned(), |host| host.value);
    let there = host(&section.key("Host"), there)?;
    let port = section.parsed::<u16>("Port", "a port")?.map_or(default, |port| port.value);
    Ok(format!("{}:{port}", bracketed(&there)))
}

fn lifetime(section: &Section<'_>, key: &str, default: u64, most: u64) -> Result<Duration, StartError> {
    let given = section.parsed::<u64>(key, "a number of seconds")?;
    seconds(&section.key(key), given.map(|given| given.value), default, most)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(role: Role, text: &str) -> Result<(ServerSettings, Vec<String>), StartError> {
        settings(role, ServerOptions::default(), &Sections::parse(text, "f.ini").unwrap())
    }

    const BACKENDS: &str =
        "[Mysql]\nHost=h\nPort=3308\nUser=u\nPasswd=p\nSchema=llfc\n[Redis]\nHost=h\nPort=6380\nPasswd=p\n";

    #[test]
    fn the_files_of_the_originals_are_read() {
        let chat = format!(
            "[GateServer]\nPort=8080\n[VarifyServer]\nHost=127.0.0.1\nPort=50051\n[StatusServer]\nHost=127.0.0.1\nPort=50052\n\
             [SelfServer]\nName=chatserver1\nHost=0.0.0.0\nPort=8090\nRPCPort=50055\n{BACKENDS}\
             [PeerServer]\nServers=chatserver2\n[chatserver2]\nName=chatserver2\nHost=127.0.0.1\nPort=50056\n[Extra]\nA=1\n"
        );
        let (settings, unknown) = read(Role::Chat, &chat).unwrap();
        let Service::Chat(chat) = settings.service else { panic!("this is a chat server") };
        assert_eq!((chat.name.as_str(), chat.clients.value.to_string().as_str()), ("chatserver1", "0.0.0.0:8090"));
        assert_eq!((chat.peers.value.port(), chat.peers.key.as_str()), (50055, "RPCPort of [SelfServer] in f.ini"));
        assert_eq!((chat.advertise.as_str(), chat.peer_host.as_str()), ("127.0.0.1", "127.0.0.1"));
        assert_eq!(
            (chat.originals[0].name.as_str(), chat.originals[0].address.as_str()),
            ("chatserver2", "127.0.0.1:50056")
        );
        assert_eq!((unknown, settings.metrics), (vec!["Extra".to_owned()], None));

        let status = format!(
            "[StatusServer]\nHost=0.0.0.0\nPort=50052\n{BACKENDS}[chatservers]\nName=chatserver1,chatserver2\n\
             [chatserver1]\nName=chatserver1\nHost=192.0.2.1\nPort=8090\n[chatserver2]\nName=chatserver2\nHost=192.0.2.2\nPort=8091\n"
        );
        let (settings, unknown) = read(Role::Status, &status).unwrap();
        let Service::Status(status) = settings.service else { panic!("this is a status server") };
        assert_eq!(status.client_addresses["chatserver2"], ("192.0.2.2".to_owned(), 8091));
        assert!(unknown.is_empty());

        let gate = format!(
            "[GateServer]\nPort=8080\n[VarifyServer]\nHost=10.0.0.2\nPort=50051\n[StatusServer]\nHost=::1\nPort=50052\n{BACKENDS}[ResServer]\nName=reserver\nHost=10.0.0.9\nPort=9090\nRPCPort=51055\n"
        );
        let Service::Gate(gate) = read(Role::Gate, &gate).unwrap().0.service else { panic!("this is a gate") };
        assert_eq!((gate.verify.as_str(), gate.status.as_str()), ("10.0.0.2:50051", "[::1]:50052"));
        assert_eq!((gate.outbox, gate.resource), (false, Some(("10.0.0.9".to_owned(), 9090))));

        let json = r#"{"email":{"user":"a@163.com","pass":"p"},"mysql":{"host":"h","port":3308,"passwd":"p"},"redis":{"host":"h","port":6380,"passwd":"p"}}"#;
        let (settings, _) = read(Role::Verify, json).unwrap();
        assert_eq!(settings.backends.database.value, Database::Memory, "it needs none");
        assert_eq!(settings.backends.smtp.unwrap().value.place(), "smtp.163.com:465");
    }

    #[test]
    fn what_servers_must_share_is_asked_for() {
        let refusal = |role, text: &str| read(role, text).unwrap_err().to_string();
        let server = "[SelfServer]\nName=a\n";
        assert!(refusal(Role::Chat, server).starts_with("--redis or [Redis]: the servers find each other by Redis"));
        let with_redis = format!("{server}[Redis]\nHost=h\n");
        assert!(refusal(Role::Chat, &with_redis).starts_with("--sql or [Mysql]: "));
        assert!(read(Role::Status, "[Redis]\nHost=h\n").is_ok());
        assert!(
            refusal(Role::Chat, "[SelfServer]\nPort=1\n").starts_with("Name of [SelfServer] in f.ini: it is missing")
        );
        let sqlite = ServerOptions { sql: Some("sqlite:a.db".parse().unwrap()), ..ServerOptions::default() };
        let shown = settings(Role::Gate, sqlite, &Sections::parse("[Redis]\nHost=h\n", "f.ini").unwrap()).unwrap_err();
        assert!(shown.to_string().starts_with("--sql: servers in processes of their own"), "{shown}");
    }

    #[test]
    fn flags_go_before_the_file() {
        let options = ServerOptions {
            bind: Some("127.0.0.1".parse().unwrap()),
            redis: Some("redis://other".parse().unwrap()),
            metrics_port: Some(9465),
            ..ServerOptions::default()
        };
        let text = format!("[GateServer]\nPort=8081\n[Metrics]\nPort=1\n{BACKENDS}");
        let (settings, _) = settings(Role::Gate, options, &Sections::parse(&text, "f.ini").unwrap()).unwrap();
        let Service::Gate(gate) = &settings.service else { panic!("this is a gate") };
        assert_eq!((gate.listen.value.to_string().as_str(), gate.outbox), ("127.0.0.1:8081", true));
        assert_eq!(settings.backends.redis.unwrap().value.place(), "other");
        assert_eq!(settings.metrics.unwrap().value.to_string(), "127.0.0.1:9465");
    }
}
