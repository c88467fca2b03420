use std::process::{self, ExitCode};

use super::banner;
use crate::{
    StartError,
    config::{GateSettings, Service, Settings},
    ready_file::{self, Ready, ReadyChat, ReadyFile},
    server::{Bound, Hosted, Listening, host, no_signals, say, status},
    signals,
};

/// Runs all servers in this process, talking to each other over gRPC on real ports as they would from machine to machine.
pub(super) async fn run(settings: Settings) -> Result<ExitCode, StartError> {
    let shutdown = signals::cancel_on_signal().map_err(no_signals)?;
    let (servers, ready, metrics) = listen(&settings).await?;
    let hosted = Hosted {
        servers,
        backends: settings.backends.clone(),
        metrics: Some(metrics),
        process_label: None,
        drain_deadline: settings.drain_deadline,
        ready_file: settings.ready_file.as_deref(),
    };
    // Held until the end.
    let mut file = None;
    let failed = host(hosted, shutdown, || {
        if let Some(path) = &settings.ready_file {
            file = Some(ReadyFile::write(path, &ready).map_err(ready_file::error)?);
        }
        say(&banner::text(&settings, &ready));
        Ok(())
    })
    .await?;
    drop(file);
    Ok(status(failed))
}

/// Takes every port, and tells the gate where the others really are.
pub(super) async fn listen(settings: &Settings) -> Result<(Vec<Listening>, Ready, Bound), StartError> {
    let verify = Listening::begin(Service::Verify(settings.verify.clone())).await?;
    let status = Listening::begin(Service::Status(settings.status.clone())).await?;
    let (verify_address, status_address) = (verify.addresses().remove(0), status.addresses().remove(0));
    let mut servers = vec![verify, status];
    let mut chats = Vec::with_capacity(settings.chats.len());
    for chat in &settings.chats {
        let listening = Listening::begin(Service::Chat(chat.clone())).await?;
        chats.push(ReadyChat::new(&chat.name, listening.addresses(), process::id()));
        servers.push(listening);
    }
    let (verify, status) = (verify_address.clone(), status_address.clone());
    let gate = Listening::begin(Service::Gate(GateSettings { verify, status, ..settings.gate.clone() })).await?;
    let metrics = Bound::listen(&settings.metrics).await?;
    let ready = Ready {
        gate: format!("http://{}", gate.addresses().remove(0)),
        status: status_address,
        verify: verify_address,
        chats,
        metrics: format!("http://{}/metrics", metrics.address),
    };
    servers.push(gate);
    Ok((servers, ready, metrics))
}
