use std::{fmt::Display, future::Future, io, time::Duration};

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uschat_pool::{
    Shared, SharedConfig,
    grpc::{GrpcConfig, GrpcManager},
};
use uschat_server::{
    chat::{Chat, ChatConfig, ChatError},
    gate::{Gate, GateConfig, StatusClient, VerifyClient},
    grpc_server::GrpcServerConfig,
    session::{Pacing, SessionConfig},
    status::{Status, StatusConfig},
    verify::{Verify, VerifyConfig},
};

use super::{bind::Bound, stage::Stage, storage::Storage};
use crate::{
    StartError,
    config::{ChatSettings, GateSettings, Original, Service, StatusSettings, VerifySettings},
};

/// A server with its ports, which listen before anything is started: what cannot listen must not touch data.
#[derive(Debug)]
pub(crate) enum Listening {
    /// The gate.
    Gate(GateSettings, Bound),
    /// The verification server.
    Verify(VerifySettings, Bound),
    /// The status server.
    Status(StatusSettings, Bound),
    /// A chat server: clients, then peers.
    Chat(ChatSettings, Bound, Bound),
}

impl Listening {
    /// Takes the ports of a server.
    ///
    /// # Errors
    /// When one cannot be had; its key is named.
    pub(crate) async fn begin(service: Service) -> Result<Self, StartError> {
        Ok(match service {
            Service::Gate(gate) => {
                let bound = Bound::listen(&gate.listen).await?;
                Self::Gate(gate, bound)
            }
            Service::Verify(verify) => {
                let bound = Bound::listen(&verify.listen).await?;
                Self::Verify(verify, bound)
            }
            Service::Status(status) => {
                let bound = Bound::listen(&status.listen).await?;
                Self::Status(status, bound)
            }
            Service::Chat(chat) => {
                let clients = Bound::listen(&chat.clients).await?;
                let peers = Bound::listen(&chat.peers).await?;
                Self::Chat(chat, clients, peers)
            }
        })
    }

    /// Where the server is reached from this machine: HTTP, gRPC or, of a chat server, TCP and then gRPC.
    pub(crate) fn addresses(&self) -> Vec<String> {
        match self {
            Self::Gate(_, bound) | Self::Verify(_, bound) | Self::Status(_, bound) => vec![bound.address.to_string()],
            Self::Chat(_, clients, peers) => vec![clients.address.to_string(), peers.address.to_string()],
        }
    }

    pub(super) fn keeps_data(&self) -> bool {
        matches!(self, Self::Gate(..) | Self::Chat(..))
    }

    pub(super) fn chat_name(&self) -> Option<&str> {
        if let Self::Chat(chat, ..) = self { Some(&chat.name) } else { None }
    }

    pub(super) fn code_lifetime(&self) -> Option<Duration> {
        if let Self::Verify(verify, _) = self { Some(verify.code_lifetime) } else { None }
    }

    pub(super) fn original_names(&self) -> Vec<String> {
        let Self::Chat(chat, ..) = self else { return Vec::new() };
        chat.originals.iter().map(|peer| peer.name.clone()).collect()
    }
}

/// Servers of one process in the order in which they end: nobody is let in, then those inside finish, then what they needed
/// goes.
#[derive(Debug, Default)]
pub(crate) struct Services {
    gate: Stage,
    chats: Stage,
    behind: Stage,
}

impl Services {
    /// Starts a server.
    ///
    /// # Errors
    /// When its settings contradict each other.
    pub(crate) fn start(&mut self, server: Listening, storage: &Storage, drain: Duration) -> Result<(), StartError> {
        let grpc = GrpcServerConfig { drain: drain / 5, ..GrpcServerConfig::default() };
        let state = storage.stores.state.clone();
        match server {
            Listening::Gate(settings, bound) => {
                let gate = gate(settings, storage, drain / 5)?;
                self.gate.run("gate", |stop| gate.serve(bound.listener, stop));
            }
            Listening::Verify(settings, bound) => {
                let config =
                    VerifyConfig { code_lifetime: settings.code_lifetime, server: grpc, ..VerifyConfig::default() };
                let mailer = storage.mailer.clone().ok_or_else(|| broken("verify", &"nobody sends its mails"))?;
                let verify = Verify::new(config, state, mailer);
                self.behind.run("verify", |stop| verify.serve(bound.listener, stop));
            }
            Listening::Status(settings, bound) => {
                let config = StatusConfig {
                    token_lifetime: settings.token_lifetime,
                    client_addresses: settings.client_addresses,
                    server: grpc,
                    ..StatusConfig::default()
                };
                self.behind.run("status", |stop| Status::new(config, state).serve(bound.listener, stop));
            }
            Listening::Chat(settings, clients, peers) => {
                let name = settings.name.clone();
                // Half of the time: peers and the services behind want the rest.
                let chat = chat(settings, storage, drain / 2)?;
                self.chats.run(name, |stop| chat.serve(clients.listener, peers.listener, stop));
            }
        }
        Ok(())
    }

    /// Runs what watches the servers; it ends last.
    pub(crate) fn watch<F>(&mut self, monitor: impl FnOnce(CancellationToken) -> F)
    where
        F: Future<Output = io::Result<()>> + Send + 'static,
    {
        self.behind.run("metrics", monitor);
    }

    /// The name of a service that ended by itself. Cancel safe.
    pub(crate) async fn ended(&mut self) -> String {
        tokio::select! {
            name = self.gate.ended() => name,
            name = self.chats.ended() => name,
            name = self.behind.ended() => name,
        }
    }

    /// Ends everything, one stage after another. Each stage has a deadline of its own within the common one, so that a
    /// stubborn gate does not take the time in which sessions are told good-bye.
    pub(crate) async fn drain(&mut self, deadline: Instant) {
        let left = deadline.saturating_duration_since(Instant::now());
        // The last tenth is for the database.
        self.gate.drain(deadline - left * 7 / 10).await;
        self.chats.drain(deadline - left * 2 / 10).await;
        self.behind.drain(deadline - left / 10).await;
    }
}

fn gate(settings: GateSettings, storage: &Storage, drain: Duration) -> Result<Gate, StartError> {
    let defaults = GateConfig::default();
    let (resource_host, resource_port) = match settings.resource {
        Some((host, port)) => (Some(host), port.to_string()),
        None => (None, defaults.resource_port.clone()),
    };
    let config = GateConfig {
        drain,
        outbox: storage.outbox.clone().filter(|_| settings.outbox),
        upgrade_legacy_passwords: settings.upgrade_passwords,
        resource_host,
        resource_port,
        ..defaults
    };
    let verify = VerifyClient::new(connections("verify", &settings.verify)?);
    let status = StatusClient::new(connections("status", &settings.status)?);
    let (accounts, state) = (storage.stores.accounts.clone(), storage.stores.state.clone());
    Gate::new(config, accounts, state, verify, status).map_err(|error| broken("gate", &error))
}

fn chat(settings: ChatSettings, storage: &Storage, drain: Duration) -> Result<Chat, StartError> {
    let pacing = if settings.pacing_gap.is_zero() { Pacing::Off } else { Pacing::Gap(settings.pacing_gap) };
    let config = ChatConfig {
        session: SessionConfig { pacing, drain, ..SessionConfig::default() },
        client_host: settings.advertise,
        originals: settings.originals.iter().map(Original::as_peer).collect(),
        ..ChatConfig::new(&settings.name, settings.peer_host)
    };
    Chat::new(config, storage.stores.clone()).map_err(|error| match error {
        ChatError::Originals(error) => {
            StartError::new("--original-peers or [PeerServer]", error, "give each peer a name of its own")
        }
        other => broken(&settings.name, &other),
    })
}

fn connections(name: &str, address: &str) -> Result<Shared<GrpcManager>, StartError> {
    let manager =
        GrpcManager::new(format!("http://{address}"), &GrpcConfig::default()).map_err(|error| broken(name, &error))?;
    Shared::new(name, manager, SharedConfig::default()).map_err(|error| broken(name, &error))
}

fn broken(name: &str, error: &dyn Display) -> StartError {
    StartError::new(name, error, "report this, please")
}
