use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use uschat_proto::chat::UserId;

use super::{LocalSessions, TextDelivery, hints::Hints};
use crate::{
    chat::{app::ChatApp, peers::Peers},
    cluster::{LocalDelivery, PeerEvent},
    session::Sessions,
    store::{StoreError, state::Holder},
};

/// How long the state may take to say who holds a user.
const ANSWER: Duration = Duration::from_secs(1);

/// Brings events to users: to their session here, or to the server that holds it.
pub(in crate::chat) struct Delivery {
    pub(in crate::chat) name: String,
    pub(in crate::chat) peers: Peers,
    pub(in crate::chat) texts: TextDelivery,
    hints: Hints,
    /// The state does not say who holds whom: one line in the log when that begins, one when it ends.
    unanswered: AtomicBool,
}

/// Where a user is.
pub(super) enum Found {
    /// Held by this server, or perhaps: the state does not say.
    Here,
    /// Held by the server of this name.
    At(String),
    Nowhere,
}

impl Delivery {
    pub(in crate::chat) fn new(name: String, peers: Peers, texts: TextDelivery) -> Self {
        Self { name, peers, texts, hints: Hints::new(), unanswered: AtomicBool::new(false) }
    }

    /// Sends the hints of this server until `end`, then those that are left.
    pub(in crate::chat) async fn run(&self, sessions: Sessions<ChatApp>, end: CancellationToken) {
        self.hints.run(self, &sessions, end).await;
    }

    /// Tells a user of what is stored, wherever they are, some time soon. Never waits; what is lost is found by the heads.
    pub(in crate::chat) fn hint(&self, to: UserId, event: PeerEvent) {
        self.hints.send(to, event);
    }

    /// Tells a user, wherever they are; whoever is offline finds it in the store. Never waits for a peer, only a moment for
    /// the state to say who holds the user.
    pub(in crate::chat) async fn tell(&self, sessions: &Sessions<ChatApp>, to: UserId, event: PeerEvent) {
        let found = self.find(to).await;
        self.tell_found(sessions, &found, to, event).await;
    }

    /// Tells a user of whom a peer said that they are here. Whoever has moved meanwhile is told over our mesh: a server of
    /// ours passes nothing on, and an original is not told what an original said, so an event goes one hop at most.
    pub(in crate::chat) async fn tell_here(&self, sessions: &Sessions<ChatApp>, to: UserId, event: PeerEvent) {
        if sessions.of(&to).is_some() {
            self.tell_session(sessions, to, event);
            return;
        }
        // Offline, or about to log in here: the store has it.
        if let Found::At(server) = self.find(to).await {
            self.peers.tell_ours(&server, to, event).await;
        }
    }

    pub(super) async fn find(&self, uid: UserId) -> Found {
        let holder = timeout(ANSWER, self.peers.members.holder(uid)).await;
        let holder = holder.unwrap_or_else(|_| Err(StoreError::unavailable("no answer in time")));
        self.note(&holder);
        match holder {
            Ok(Some(holder)) if holder.server == self.name => Found::Here,
            Ok(Some(holder)) => Found::At(holder.server),
            Ok(None) => Found::Nowhere,
            Err(_) => Found::Here,
        }
    }

    pub(super) async fn tell_found(&self, sessions: &Sessions<ChatApp>, found: &Found, to: UserId, event: PeerEvent) {
        match found {
            Found::Here => self.tell_session(sessions, to, event),
            Found::At(server) => self.peers.tell(server, to, event).await,
            Found::Nowhere => {}
        }
    }

    fn note(&self, answer: &Result<Option<Holder>, StoreError>) {
        match answer {
            Ok(_) if !self.unanswered.load(Ordering::Relaxed) => {}
            Ok(_) => {
                self.unanswered.store(false, Ordering::Relaxed);
                tracing::info!("the state says again who holds a user");
            }
            Err(error) => {
                if !self.unanswered.swap(true, Ordering::Relaxed) {
                    tracing::warn!(%error, "cannot ask who holds a user; looking here only");
                }
            }
        }
    }

    fn tell_session(&self, sessions: &Sessions<ChatApp>, to: UserId, event: PeerEvent) {
        LocalSessions { sessions: sessions.clone(), texts: self.texts.clone() }.deliver(to, event);
    }
}
