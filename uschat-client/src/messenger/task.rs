//! The task behind a messenger: one session after another.

use std::convert::Infallible;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until};
use uschat_proto::chat::SyncResponse;

use super::config::MessengerConfig;
use super::connect::{self, Connector, is_final};
use super::error::{EndReason, SendError, StartError};
use super::inbox::Incoming;
use super::network::Network;
use super::session::{Over, Session};
use super::shared::Shared;
use crate::chat::Chat;
use crate::error::{DisconnectReason, RequestError};
use crate::event::Events;

pub(super) struct Task<N> {
    shared: Arc<Shared>,
    config: MessengerConfig,
    connector: Connector<N>,
    inbox: mpsc::Sender<Incoming>,
    /// When to give up what is missing; set once the messenger is closing.
    close_at: OnceLock<Instant>,
}

/// A session that has said where it goes on.
pub(super) struct Connected {
    pub(super) chat: Chat,
    pub(super) events: Events,
    /// What the server said to the cursors.
    pub(super) synced: Vec<SyncResponse>,
}

impl<N: Network> Task<N> {
    pub(super) fn new(
        shared: Arc<Shared>,
        config: MessengerConfig,
        connector: Connector<N>,
        inbox: mpsc::Sender<Incoming>,
    ) -> Self {
        Self { shared, config, connector, inbox, close_at: OnceLock::new() }
    }

    pub(super) async fn run(mut self, first: Connected) {
        let shared = Arc::clone(&self.shared);
        let deadlines = give_up_late_sends(Arc::clone(&shared), self.config.send_deadline);
        let reason = tokio::select! {
            reason = self.live(first) => reason,
            never = deadlines => match never {},
        };
        // Before the inbox's sender is dropped with this task, so that the inbox finds the reason.
        shared.end(reason);
    }

    async fn live(&mut self, first: Connected) -> EndReason {
        let mut connected = first;
        let mut reconnects = 0;
        loop {
            self.begin(&connected, reconnects);
            let Connected { chat, events, .. } = connected;
            let started = Instant::now();
            let mut session = Session::new(&self.shared, &self.config, &self.inbox, chat.clone(), events);
            let over = tokio::select! {
                over = session.run() => over,
                () = closing_time(&self.shared, &self.close_at, &self.config) => Over::Finished,
            };
            drop(session);
            self.shared.set_chat(None);
            chat.abort();
            let (reason, was_of_use) = match over {
                Over::Finished => return EndReason::Closed,
                Over::Lost { reason: DisconnectReason::Replaced, .. } => return EndReason::Replaced,
                Over::Lost { reason, was_of_use } => (reason, was_of_use),
            };
            tracing::debug!(%reason, "the session has ended");
            self.connector.lost(&reason, was_of_use || started.elapsed() >= *self.config.backoff.end());
            self.shared.session_ended(reason);
            connected = match self.reconnect().await {
                Ok(connected) => connected,
                Err(reason) => return reason,
            };
            reconnects += 1;
        }
    }

    /// Tells the application of a new session, and what the server said to its cursors.
    fn begin(&self, connected: &Connected, reconnects: u64) {
        self.shared.set_chat(Some(connected.chat.clone()));
        let server = self.connector.server();
        tracing::debug!(server, reconnects, "a session has begun");
        self.shared.hand_out().push(Incoming::Connected { server, reconnects });
        for response in &connected.synced {
            for cursor in &response.replaced {
                self.shared.hand_out().replaced(*cursor);
            }
            for thread in &response.unknown {
                self.shared.hand_out().forget(*thread);
                self.shared.ledger().forget(*thread);
            }
        }
    }

    /// Tries until there is a session, or there is no point in it.
    async fn reconnect(&mut self) -> Result<Connected, EndReason> {
        let Self { shared, config, connector, inbox, close_at } = self;
        let try_on = async {
            // One who does not take what came before needs no more; so what waits stays bounded over many sessions.
            while hand_over(shared, inbox).await {}
            loop {
                sleep(connector.pause()).await;
                match connect(connector, shared).await {
                    Ok(connected) => return Ok(connected),
                    Err(StartError::Gate(error)) if is_final(&error) => return Err(EndReason::PasswordRefused),
                    Err(StartError::Sync(RequestError::Disconnected(DisconnectReason::Replaced))) => {
                        return Err(EndReason::Replaced);
                    }
                    Err(error) => tracing::debug!(%error, "no session yet"),
                }
            }
        };
        let no_point = async {
            shared.closing.cancelled().await;
            if !shared.outbox().is_empty() {
                closing_time(shared, close_at, config).await;
            }
        };
        tokio::select! {
            connected = try_on => connected,
            () = no_point => Err(EndReason::Closed),
        }
    }
}

/// One attempt, from the ticket to the answered cursors.
pub(super) async fn connect<N: Network>(
    connector: &mut Connector<N>,
    shared: &Arc<Shared>,
) -> Result<Connected, StartError> {
    let (chat, events) = connector.connect().await?;
    chat.watch(shared);
    let cursors = shared.hand_out().cursors();
    match connect::sync(&chat, &cursors).await {
        Ok(synced) => Ok(Connected { chat, events, synced }),
        Err(error) => {
            chat.abort();
            connector.avoid_server();
            Err(StartError::Sync(error))
        }
    }
}

/// Hands one over, waiting for room. False if there was nothing.
async fn hand_over(shared: &Shared, inbox: &mpsc::Sender<Incoming>) -> bool {
    if !shared.hand_out().has_ready() {
        return false;
    }
    match inbox.reserve().await {
        Ok(room) => {
            if let Some(incoming) = shared.hand_out().take() {
                room.send(incoming);
            }
        }
        // The application dropped its end: it wants none of them.
        Err(_) => shared.hand_out().discard(),
    }
    true
}

/// Ends when what is missing is to be given up.
async fn closing_time(shared: &Shared, close_at: &OnceLock<Instant>, config: &MessengerConfig) {
    shared.closing.cancelled().await;
    sleep_until(*close_at.get_or_init(|| Instant::now() + config.chat.close_deadline)).await;
}

/// Fails what was not acknowledged in time. Everything has the same time, so the oldest is late first.
async fn give_up_late_sends(shared: Arc<Shared>, after: Option<Duration>) -> Infallible {
    let Some(after) = after else { return std::future::pending().await };
    loop {
        let oldest = shared.outbox().oldest().map(|submitted| submitted.submitted_at + after);
        match oldest {
            None => shared.submitted.notified().await,
            Some(at) if at > Instant::now() => sleep_until(at).await,
            Some(_) => {
                let late = shared.outbox().remove_oldest();
                if let Some(submitted) = late {
                    let _ = submitted.answer.send(Err(SendError::TimedOut { after }));
                }
            }
        }
    }
}
