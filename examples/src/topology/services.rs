use std::{net::SocketAddr, sync::Arc};

use metrics_exporter_prometheus::PrometheusHandle;
use tokio::time::Instant;
use uschat_pool::{
    Shared, SharedConfig,
    grpc::{GrpcConfig, GrpcManager},
};
use uschat_server::{
    chat::{Chat, ChatConfig},
    gate::{Gate, GateConfig, ReadOutbox, StatusClient, VerifyClient},
    grpc_server::GrpcServerConfig,
    session::{Pacing, SessionConfig},
    status::{Status, StatusConfig},
    verify::{Outbox, Verify, VerifyConfig},
};

use super::{
    listeners::{ChatListeners, Listeners},
    stage::Stage,
    storage::Storage,
};
use crate::{StartError, config::Settings, metrics};

/// The services in the order in which they end: nobody is let in, then those inside finish, then what they needed goes.
#[derive(Debug, Default)]
pub(super) struct Services {
    gate: Stage,
    chats: Stage,
    behind: Stage,
}

impl Services {
    pub(super) fn start(
        settings: &Settings,
        listeners: Listeners,
        storage: &Storage,
        recorder: PrometheusHandle,
    ) -> Result<Self, StartError> {
        let mut services = Self::default();
        let outbox = Outbox::default();
        let server = GrpcServerConfig { drain: settings.drain_deadline / 5, ..GrpcServerConfig::default() };
        let verify_client = VerifyClient::new(connections("verify", listeners.verify.address)?);
        let status_client = StatusClient::new(connections("status", listeners.status.address)?);

        let config =
            VerifyConfig { code_lifetime: settings.code_lifetime, server: server.clone(), ..VerifyConfig::default() };
        let verify = Verify::new(config, storage.stores.state.clone(), Arc::new(outbox.clone()));
        services.behind.run("verify", |stop| verify.serve(listeners.verify.listener, stop));

        let config = StatusConfig { token_lifetime: settings.token_lifetime, server, ..StatusConfig::default() };
        let status = Status::new(config, storage.stores.state.clone());
        services.behind.run("status", |stop| status.serve(listeners.status.listener, stop));
        services.behind.run("metrics", |stop| metrics::serve(listeners.metrics.listener, recorder, stop));

        for listeners in listeners.chats {
            services.start_chat(settings, listeners, storage)?;
        }

        let config = GateConfig {
            drain: settings.drain_deadline / 5,
            outbox: settings.serves_outbox().then(|| Arc::new(outbox) as Arc<dyn ReadOutbox>),
            ..GateConfig::default()
        };
        let (accounts, state) = (storage.stores.accounts.clone(), storage.stores.state.clone());
        let gate = Gate::new(config, accounts, state, verify_client, status_client)
            .map_err(|error| StartError::new("gate", error, "report this, please"))?;
        services.gate.run("gate", |stop| gate.serve(listeners.gate.listener, stop));
        Ok(services)
    }

    fn start_chat(
        &mut self,
        settings: &Settings,
        listeners: ChatListeners,
        storage: &Storage,
    ) -> Result<(), StartError> {
        let ChatListeners { name, clients, peers } = listeners;
        let pacing = if settings.pacing_gap.is_zero() { Pacing::Off } else { Pacing::Gap(settings.pacing_gap) };
        let config = ChatConfig {
            // Half of the time: peers and the services behind want the rest.
            session: SessionConfig { pacing, drain: settings.drain_deadline / 2, ..SessionConfig::default() },
            client_host: settings.advertise.clone(),
            ..ChatConfig::new(&name, host(peers.address))
        };
        let chat = Chat::new(config, storage.stores.clone())
            .map_err(|error| StartError::new(&name, error, "report this, please"))?;
        self.chats.run(name, |stop| chat.serve(clients.listener, peers.listener, stop));
        Ok(())
    }

    /// The name of a service that ended by itself. Cancel safe.
    pub(super) async fn ended(&mut self) -> String {
        tokio::select! {
            name = self.gate.ended() => name,
            name = self.chats.ended() => name,
            name = self.behind.ended() => name,
        }
    }

    /// Ends everything, one stage after another. Each stage has a deadline of its own within the common one, so that a
    /// stubborn gate does not take the time in which sessions are told good-bye.
    pub(super) async fn drain(&mut self, deadline: Instant) {
        let left = deadline.saturating_duration_since(Instant::now());
        // The last tenth is for the database.
        self.gate.drain(deadline - left * 7 / 10).await;
        self.chats.drain(deadline - left * 2 / 10).await;
        self.behind.drain(deadline - left / 10).await;
    }
}

fn connections(name: &str, address: SocketAddr) -> Result<Shared<GrpcManager>, StartError> {
    let broken = |error: &dyn std::fmt::Display| StartError::new(name, error, "report this, please");
    let manager =
        GrpcManager::new(format!("http://{address}"), &GrpcConfig::default()).map_err(|error| broken(&error))?;
    Shared::new(name, manager, SharedConfig::default()).map_err(|error| broken(&error))
}

/// As it stands in front of a colon and a port.
fn host(address: SocketAddr) -> String {
    match address {
        SocketAddr::V4(address) => address.ip().to_string(),
        SocketAddr::V6(address) => format!("[{}]", address.ip()),
    }
}
