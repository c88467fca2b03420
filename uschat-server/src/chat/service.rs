use std::{io, sync::Arc};

use tokio::{net::TcpListener, sync::Notify};
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use uschat_proto::{ErrorCode, chat::UserId, grpc::peer::peer_server::PeerServer};

use super::{
    ChatConfig, ChatStores, OriginalPeerError,
    app::ChatApp,
    delivery::{Delivery, LocalSessions, ProgressKeeper, TextDelivery},
    friend_apply::add_friend,
    friend_approve::approve_friend,
    heads::Heads,
    heartbeat::heartbeat,
    history::load_history,
    login::log_in,
    original_peer,
    originals::Originals,
    originals_service::OriginalsService,
    peers::Peers,
    presence::Presence,
    search::search_user,
    sync::{progress, sync},
    text::text_chat,
    threads::{load_threads, open_thread},
};
use crate::{
    Context, LogicSystem,
    cluster::{Members, MeshConfig, PeerService},
    connection_tasks::Tasks,
    grpc_server::{self, GrpcServerConfig, MAX_MESSAGE_BYTES},
    logic::BuildError,
    session::Server,
    store::state::ServerRecord,
};

/// What people type about themselves and others: the length of the columns it is stored in.
const SHORT_TEXT: usize = 255;

/// A chat server: sessions of clients over TCP, and its peers over gRPC.
pub struct Chat {
    config: ChatConfig,
    boot_id: u64,
    app: Arc<ChatApp>,
    server: Server<ChatApp>,
}

/// Why there is no chat server.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ChatError {
    /// [`ChatConfig::originals`] makes no sense. The configuration is at fault.
    #[error(transparent)]
    Originals(#[from] OriginalPeerError),
    /// Two handlers of this crate claim one id: a fault of the crate.
    #[error(transparent)]
    Handlers(#[from] BuildError),
}

impl Chat {
    /// Joins the stores with the handlers. Nothing runs before [`Chat::serve`].
    ///
    /// # Errors
    /// When the list of originals has an unusable name or address.
    pub fn new(config: ChatConfig, stores: ChatStores) -> Result<Self, ChatError> {
        original_peer::check(&config.name, &config.originals)?;
        let boot_id = rand::random();
        let mesh = MeshConfig::new(&config.name, boot_id);
        let peers = Peers::new(Members::new(stores.state.clone()), mesh, &config.originals);
        let texts = TextDelivery::new(stores.conversations.clone());
        let delivery = Delivery::new(config.name.clone(), peers, texts);
        let progress = ProgressKeeper::new(stores.conversations.clone());
        let app = Arc::new(ChatApp { name: config.name.clone(), stores, delivery, progress, lease: config.lease });
        let server = Server::new(app.clone(), handlers()?, config.session.clone());
        Ok(Self { config, boot_id, app, server })
    }

    /// Serves clients and peers until `shutdown`, then drains: clients first, then what waits for peers and how far users
    /// have got. The server is announced to the cluster before the first client is accepted, and retired when the last one has gone.
    ///
    /// # Errors
    /// When a listener is unusable.
    pub async fn serve(self, clients: TcpListener, peers: TcpListener, shutdown: CancellationToken) -> io::Result<()> {
        let client_port = self.config.client_port.unwrap_or(clients.local_addr()?.port());
        let presence = Presence {
            app: self.app.clone(),
            sessions: self.server.sessions().clone(),
            server: ServerRecord {
                name: self.config.name.clone(),
                boot_id: self.boot_id,
                client_host: self.config.client_host.clone(),
                client_port,
                peer_address: format!("{}:{}", self.config.peer_host, peers.local_addr()?.port()),
                sessions: 0,
                draining: false,
            },
            heartbeat: self.config.heartbeat,
            lease: self.config.lease,
        };
        let _reading = self.app.delivery.texts.stop_on_drop();
        let hurry = Arc::new(Notify::new());
        let sessions = || self.server.sessions().clone();
        let heads =
            Heads { app: self.app.clone(), sessions: sessions(), every: self.config.heartbeat, hurry: hurry.clone() };
        let clients_gone = CancellationToken::new();
        let hints = self.app.delivery.run(sessions(), clients_gone.clone());
        let progress = self.app.progress.run(sessions(), self.config.heartbeat, clients_gone.clone());
        presence.begin().await;
        // Peers may still have something to say while clients are being drained.
        let peers_shutdown = CancellationToken::new();
        let clients_and_hints = async {
            let served = self.server.listen(clients, shutdown.clone()).await;
            self.app.delivery.texts.stop().await;
            clients_gone.cancel();
            served
        };
        let clients_and_peers = async {
            let (served, ()) = tokio::join!(clients_and_hints, hints);
            self.app.delivery.peers.stop().await;
            presence.end().await;
            peers_shutdown.cancel();
            served
        };
        let peer_config = GrpcServerConfig { drain: self.config.session.drain, ..GrpcServerConfig::default() };
        let tasks = Tasks::default();
        let routes = self.peer_routes(tasks.clone(), hurry);
        let peer_server = grpc_server::serve_with(peers, routes, peer_config, peers_shutdown.clone(), tasks);
        let (served, peers_served, ..) = tokio::join!(
            clients_and_peers,
            peer_server,
            presence.run(shutdown.clone()),
            heads.run(shutdown.clone()),
            progress
        );
        served.and(peers_served)
    }

    fn peer_routes(&self, tasks: Tasks, hurry: Arc<Notify>) -> Routes {
        let (sessions, texts) = (self.server.sessions().clone(), self.app.delivery.texts.clone());
        let peers = PeerService::new(self.boot_id, Arc::new(LocalSessions { sessions, texts }))
            .on_gap(move || hurry.notify_one());
        Routes::new(PeerServer::new(peers).max_decoding_message_size(MAX_MESSAGE_BYTES))
            .add_service(OriginalsService::new(self.originals(tasks)))
    }

    pub(super) fn originals(&self, tasks: Tasks) -> Originals {
        Originals::new(self.app.clone(), self.server.sessions().clone(), tasks)
    }
}

impl std::fmt::Debug for Chat {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Chat").field("config", &self.config).field("server", &self.server).finish_non_exhaustive()
    }
}

/// Every request a client may send, and who answers it.
fn handlers() -> Result<LogicSystem<ChatApp>, BuildError> {
    LogicSystem::builder()
        .on_open(log_in)
        .on(search_user)
        .on(add_friend)
        .on(approve_friend)
        .on(text_chat)
        .on(load_threads)
        .on(open_thread)
        .on(load_history)
        .on(sync)
        .on(progress)
        .on(heartbeat)
        .build()
}

/// The session's user, who is the sender whatever the request says; a request that says otherwise is refused.
pub(super) fn own_uid(cx: &Context<ChatApp>, claimed: Option<UserId>) -> Result<UserId, ErrorCode> {
    let me = *cx.user().ok_or(ErrorCode::NOT_LOGGED_IN)?;
    if claimed.is_some_and(|claimed| claimed != me) {
        metrics::counter!("uschat_forged_senders_total").increment(1);
        return Err(ErrorCode::NOT_SELF);
    }
    Ok(me)
}

/// Refuses what does not fit its column.
pub(super) fn short_text(text: &str) -> Result<(), ErrorCode> {
    if text.chars().count() > SHORT_TEXT { Err(ErrorCode::INVALID_FIELD) } else { Ok(()) }
}
