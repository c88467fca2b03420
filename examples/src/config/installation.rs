//! The original servers' sections as one installation, for the topology.

use super::{
    Options,
    options::ChatServer,
    originals::OriginalPeers,
    sections::{Section, Sections},
    shared_sections::{peer_sections, peers, redis, smtp, sql},
};
use crate::StartError;

/// What the sections of all servers say, in one file. Each chat server needs `RPCPort`, since `Port` of a chat server means
/// its TCP port in one original file and its gRPC port in another.
pub(super) fn options(sections: &Sections) -> Result<Options, StartError> {
    let gate = sections.section("GateServer", &["Host", "Port"])?;
    let verify = sections.section("VarifyServer", &["Host", "Port"])?;
    let status = sections.section("StatusServer", &["Host", "Port"])?;
    let metrics = sections.section("Metrics", &["Host", "Port"])?;
    let port = |section: &Section<'_>| Ok::<_, StartError>(section.parsed("Port", "a port")?.map(|port| port.value));

    let mut names = sections.section("chatservers", &["Name"])?.list("Name");
    if sections.has("SelfServer") {
        names.push("SelfServer".to_owned());
    }
    if names.is_empty() {
        let key = format!("Name of [chatservers] in {}", sections.file());
        return Err(StartError::new(
            key,
            "no chat server is named",
            "list them, separated by commas, with a section each",
        ));
    }
    let chat_servers = names.iter().map(|name| chat_server(sections, name)).collect::<Result<Vec<_>, _>>()?;
    let peers = peers(sections)?;
    let of_servers = [names, peer_sections(sections)?].concat();
    Ok(Options {
        gate_port: port(&gate)?,
        verify_port: port(&verify)?,
        status_port: port(&status)?,
        metrics_port: port(&metrics)?,
        sql: sql(sections)?.map(|sql| sql.value),
        redis: redis(sections)?.map(|redis| redis.value),
        smtp: smtp(sections)?.map(|smtp| smtp.value),
        original_peers: Some(OriginalPeers(peers)),
        chat_servers: Some(chat_servers),
        unknown_sections: sections.unknown(&of_servers),
        ..Options::default()
    })
}

fn chat_server(sections: &Sections, name: &str) -> Result<ChatServer, StartError> {
    let section = sections.section(name, &["Name", "Host", "Port", "RPCPort"])?;
    let port = |key: &str| {
        let port = section.parsed::<u16>(key, "a port")?;
        port.map(|port| port.value).ok_or_else(|| {
            StartError::new(
                section.key(key),
                "it is missing",
                "give Port (TCP) and RPCPort (gRPC) of every chat server",
            )
        })
    };
    let host = section.text("Host").map(|host| host.value).filter(|host| host != "0.0.0.0" && host != "::");
    Ok(ChatServer {
        name: section.text("Name").map_or_else(|| name.to_owned(), |name| name.value),
        advertise: host,
        port: port("Port")?,
        grpc_port: port("RPCPort")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_ini_describes_an_installation() {
        let text = "[GateServer]\nPort=8080\n[StatusServer]\nHost=0.0.0.0\nPort=50052\n[chatservers]\nName=one,two\n\
                    [one]\nName=chatserver1\nHost=192.0.2.7\nPort=8090\nRPCPort=50055\n[two]\nHost=0.0.0.0\nPort=8091\nRPCPort=50056\n[Odd]\nA=1\n";
        let options = options(&Sections::parse(text, "f.ini").unwrap()).unwrap();
        assert_eq!((options.gate_port, options.status_port, options.verify_port), (Some(8080), Some(50052), None));
        let chats = options.chat_servers.unwrap();
        assert_eq!((chats[0].name.as_str(), chats[0].advertise.as_deref()), ("chatserver1", Some("192.0.2.7")));
        assert_eq!((chats[1].name.as_str(), chats[1].advertise.as_deref(), chats[1].grpc_port), ("two", None, 50056));
        assert_eq!(options.unknown_sections, ["Odd"]);
    }

    #[test]
    fn a_chat_server_without_rpcport_is_refused() {
        let refusal = |text: &str| options(&Sections::parse(text, "f.ini").unwrap()).err().unwrap().to_string();
        assert!(
            refusal("[chatservers]\nName=one\n[one]\nPort=8090\n")
                .starts_with("RPCPort of [one] in f.ini: it is missing; ")
        );
        assert!(
            refusal("[GateServer]\nPort=8080\n").starts_with("Name of [chatservers] in f.ini: no chat server is named")
        );
    }
}
