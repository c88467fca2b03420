use std::{io, net::SocketAddr, process};

use tokio::net::TcpListener;

use crate::{
    StartError,
    config::Settings,
    ready_file::{Ready, ReadyChat},
};

/// Every port of a topology, bound before anything is started: what cannot listen must not touch data.
#[derive(Debug)]
pub(super) struct Listeners {
    pub(super) gate: Bound,
    pub(super) status: Bound,
    pub(super) verify: Bound,
    pub(super) metrics: Bound,
    pub(super) chats: Vec<ChatListeners>,
}

/// The two ports of one chat server.
#[derive(Debug)]
pub(super) struct ChatListeners {
    pub(super) name: String,
    pub(super) clients: Bound,
    pub(super) peers: Bound,
}

/// A listener, and where it is reached from this machine.
#[derive(Debug)]
pub(super) struct Bound {
    pub(super) listener: TcpListener,
    pub(super) address: SocketAddr,
}

impl Listeners {
    pub(super) async fn bind(settings: &Settings) -> Result<Self, StartError> {
        let ports = &settings.ports;
        let mut chats = Vec::with_capacity(settings.chats.into());
        for index in 0..settings.chats {
            chats.push(ChatListeners {
                name: format!("chatserver{}", index + 1),
                clients: bind("--chat-port", in_row(ports.chat, index), settings).await?,
                peers: bind("--chat-grpc-port", in_row(ports.chat_grpc, index), settings).await?,
            });
        }
        Ok(Self {
            gate: bind("--gate-port", ports.gate, settings).await?,
            status: bind("--status-port", ports.status, settings).await?,
            verify: bind("--verify-port", ports.verify, settings).await?,
            metrics: bind("--metrics-port", ports.metrics, settings).await?,
            chats,
        })
    }

    /// What the ready file says once all of them are served.
    pub(super) fn ready(&self) -> Ready {
        let chat = |chat: &ChatListeners| ReadyChat {
            name: chat.name.clone(),
            tcp: chat.clients.address.to_string(),
            grpc: chat.peers.address.to_string(),
            pid: process::id(),
        };
        Ready {
            gate: format!("http://{}", self.gate.address),
            status: self.status.address.to_string(),
            verify: self.verify.address.to_string(),
            chats: self.chats.iter().map(chat).collect(),
            metrics: format!("http://{}/metrics", self.metrics.address),
        }
    }
}

/// The settings made sure that the row does not go beyond the last port.
fn in_row(first: u16, index: u16) -> u16 {
    if first == 0 { 0 } else { first.saturating_add(index) }
}

async fn bind(key: &str, port: u16, settings: &Settings) -> Result<Bound, StartError> {
    let wanted = SocketAddr::new(settings.bind, port);
    let listening = async {
        let listener = TcpListener::bind(wanted).await?;
        let address = settings.reachable(listener.local_addr()?.port());
        Ok(Bound { listener, address })
    };
    listening.await.map_err(|error: io::Error| match error.kind() {
        io::ErrorKind::AddrInUse => {
            let remedy = "end the program that has it, choose another port, or use --ephemeral-ports";
            StartError::new(key, format!("{wanted} is in use"), remedy)
        }
        io::ErrorKind::PermissionDenied => {
            StartError::new(key, format!("this user may not listen on {wanted}"), "choose a port above 1023")
        }
        io::ErrorKind::AddrNotAvailable => {
            let problem = format!("{} is no address of this machine", settings.bind);
            StartError::new("--bind", problem, "choose one that it has, or 0.0.0.0 for all")
        }
        _ => {
            StartError::new(key, format!("cannot listen on {wanted}: {error}"), "choose another port or --bind address")
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Options;

    fn settings(options: Options) -> Settings {
        Settings::try_from(options).unwrap()
    }

    #[tokio::test]
    async fn free_ports_are_reported_as_bound() {
        let settings = settings(Options { ephemeral_ports: Some(true), chats: Some(3), ..Options::default() });
        let ready = Listeners::bind(&settings).await.unwrap().ready();
        assert_eq!(
            ready.chats.iter().map(|chat| chat.name.as_str()).collect::<Vec<_>>(),
            ["chatserver1", "chatserver2", "chatserver3"]
        );
        assert!(ready.chats.iter().all(|chat| !chat.tcp.ends_with(":0") && chat.tcp != chat.grpc));
    }

    #[tokio::test]
    async fn the_option_whose_port_is_taken_is_named() {
        let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = taken.local_addr().unwrap().port();
        let free = Some(0);
        let settings = settings(Options {
            chat_port: free,
            chat_grpc_port: free,
            gate_port: free,
            status_port: Some(port),
            ..Options::default()
        });
        let shown = Listeners::bind(&settings).await.unwrap_err().to_string();
        assert!(shown.starts_with(&format!("--status-port: 127.0.0.1:{port} is in use; ")), "{shown}");
    }
}
