use std::process::ExitCode;

use futures_util::future::try_join_all;
use tokio::{
    sync::mpsc,
    task::JoinSet,
    time::{Duration, Instant, timeout_at},
};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::{gathered::Gathered, running::Running};
use crate::{
    StartError,
    config::{GateSettings, Named, ServerSettings, Service, Settings},
    ready_file::{self, Ready, ReadyChat, ReadyFile},
    server::{Needs, Started, Storage, install_recorder, no_signals, say, serve_monitor},
    signals,
    topology::{banner, in_process},
};

/// After the children's own deadline, before what is left of them is killed.
const GRACE: Duration = Duration::from_secs(1);

/// Runs every server in a process of its own until told to end.
pub(in crate::topology) async fn run(settings: Settings) -> Result<ExitCode, StartError> {
    let shutdown = signals::cancel_on_signal().map_err(no_signals)?;
    let (servers, _, metrics) = in_process::listen(&settings).await?;
    let start = async {
        open_and_close(&settings).await?;
        // Who is refused until here touches nothing.
        settings.ready_file.as_deref().map_or(Ok(()), ReadyFile::prepare).map_err(ready_file::error)?;
        // From here on their ports are free for the children.
        drop(servers);
        Family::start(&settings).await
    };
    let Some(family) = shutdown.run_until_cancelled(start).await else {
        return Ok(ExitCode::SUCCESS);
    };
    let (family, mut ready, monitored) = family?;
    ready.metrics = format!("http://{}/metrics", metrics.address);

    let broken = |error: &dyn std::fmt::Display| StartError::new("--metrics-port", error, "report this, please");
    let recorder = install_recorder(Some("topology")).map_err(|error| broken(&error))?;
    let gathered = Gathered::new(recorder, monitored).map_err(|error| broken(&error))?;
    let stop_monitor = CancellationToken::new();
    let monitor = tokio::spawn(serve_monitor(metrics.listener, gathered, stop_monitor.clone()));

    let file = settings.ready_file.as_ref().map(|path| ReadyFile::write(path, &ready)).transpose();
    let file = file.map_err(ready_file::error)?;
    say(&banner::text(&settings, &ready));

    let (restarted, mut restarts) = mpsc::channel(64);
    let mut stages = family.keep(&shutdown, restarted);
    while let Some(Some(started)) = shutdown.run_until_cancelled(restarts.recv()).await {
        info!(server = started.name, pid = started.pid, "a server is back");
        ready.came_back(&started);
        if let Some(Err(error)) = file.as_ref().map(|file| file.rewrite(&ready)) {
            warn!(%error, "the ready file could not be written anew; it names a process that ended");
        }
    }
    stages.drain(settings.drain_deadline).await;
    stop_monitor.cancel();
    // It ends at once and has nothing to say.
    let _ = monitor.await;
    drop(file);
    info!("ended");
    Ok(ExitCode::SUCCESS)
}

/// What cannot be opened, and a port in use, is found out before there is a child: several of them would each have a word
/// about it in the log, and one would be changing the schema while another one refuses.
async fn open_and_close(settings: &Settings) -> Result<(), StartError> {
    let needs = Needs { database: true, code_lifetime: Some(settings.verify.code_lifetime), ..Needs::default() };
    Storage::open(&settings.backends, needs).await?.close().await;
    Ok(())
}

/// All servers, as they were started.
struct Family {
    gate: Running,
    chats: Vec<Running>,
    behind: Vec<Running>,
}

impl Family {
    /// Starts everything: the gate last, because it must know where the others are. Also returns where each child's metrics
    /// are.
    async fn start(settings: &Settings) -> Result<(Self, Ready, Vec<(String, String)>), StartError> {
        let alone = |service: Service| ServerSettings {
            service,
            backends: settings.backends.clone(),
            // For this process only, which gathers them.
            metrics: Some(Named::new("--metrics-port", ([127, 0, 0, 1], 0).into())),
            log: settings.log.clone(),
            drain_deadline: settings.drain_deadline,
            ready_file: None,
        };
        let services = [Service::Verify(settings.verify.clone()), Service::Status(settings.status.clone())];
        let services = services.into_iter().chain(settings.chats.iter().cloned().map(Service::Chat));
        let mut first = try_join_all(services.map(|service| Running::start(alone(service)))).await?;
        let chats = first.split_off(2);
        let address = |(_, started): &(Running, Started)| started.addresses.first().cloned().unwrap_or_default();
        let (verify, status) = (address(&first[0]), address(&first[1]));
        let gate = GateSettings { verify: verify.clone(), status: status.clone(), ..settings.gate.clone() };
        let gate = Running::start(alone(Service::Gate(gate))).await?;

        let monitored = std::iter::once(&gate).chain(&first).chain(&chats).map(|(_, started)| started);
        let monitored =
            monitored.filter_map(|started| Some((started.name.clone(), started.metrics.clone()?))).collect();
        let ready = Ready {
            gate: format!("http://{}", address(&gate)),
            status,
            verify,
            chats: chats.iter().map(|(_, chat)| ReadyChat::new(&chat.name, chat.addresses.clone(), chat.pid)).collect(),
            metrics: String::new(),
        };
        let running = |started: Vec<(Running, Started)>| started.into_iter().map(|(running, _)| running).collect();
        Ok((Self { gate: gate.0, chats: running(chats), behind: running(first) }, ready, monitored))
    }

    /// From now on whoever ends unasked is started again.
    fn keep(self, ending: &CancellationToken, restarted: mpsc::Sender<Started>) -> Stages {
        let stage = |servers: Vec<Running>| {
            let (stop, mut tasks) = (CancellationToken::new(), JoinSet::new());
            for server in servers {
                tasks.spawn(server.keep(ending.clone(), stop.clone(), restarted.clone()));
            }
            (stop, tasks)
        };
        Stages([stage(vec![self.gate]), stage(self.chats), stage(self.behind)])
    }
}

/// Who ends when: nobody is let in, then those inside finish, then what they needed goes.
struct Stages([(CancellationToken, JoinSet<()>); 3]);

impl Stages {
    /// Ends everything, one stage after another; who has not ended at the deadline is killed.
    async fn drain(&mut self, deadline: Duration) {
        let deadline = Instant::now() + deadline;
        for (stop, tasks) in &mut self.0 {
            stop.cancel();
            let all_ended = async { while tasks.join_next().await.is_some() {} };
            if timeout_at(deadline + GRACE, all_ended).await.is_err() {
                warn!(servers = tasks.len(), "the drain deadline passed, killing");
                tasks.shutdown().await;
            }
        }
    }
}
