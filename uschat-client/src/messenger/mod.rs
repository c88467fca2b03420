//! Texts that get through: the SDK's upper half, which reconnects, sends again and sorts.

mod config;
mod connect;
mod cursors;
mod error;
mod hand_out;
mod inbox;
mod ledger;
mod network;
mod outbox;
mod position;
mod session;
mod shared;
mod task;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::time::Instant;
use tokio_util::sync::DropGuard;
use uschat_proto::chat::{Profile, TextChatRequest, ThreadId, UserId, limits};

pub use self::config::MessengerConfig;
use self::connect::Connector;
pub use self::cursors::Cursors;
pub use self::error::{EndReason, SendError, StartError};
use self::hand_out::HandOut;
pub use self::inbox::{Inbox, Incoming, IncomingText};
use self::network::Direct;
pub use self::network::Network;
pub(crate) use self::shared::Shared;
use self::shared::Submitted;
use self::task::Task;
use crate::chat::Chat;
use crate::gate::Gate;
use crate::text::{Sent, Text, check_limits};

/// A user's texts, over as many sessions as it takes.
///
/// It logs in, and again whenever the session ends; it sends what was not acknowledged again, in the same order and with
/// the same ids; and it hands each text of a conversation out once, in the order of their numbers ([`Inbox`]). Cheap to
/// clone. It ends by [`Messenger::close`], when the last clone is dropped, when a newer login of the same user takes over,
/// or when the password is no longer accepted.
#[derive(Debug, Clone)]
pub struct Messenger {
    shared: Arc<Shared>,
    config: Arc<MessengerConfig>,
    profile: Arc<Profile>,
    room: Arc<Semaphore>,
    _closes: Arc<DropGuard>,
}

impl Messenger {
    /// Logs in at the gate and at a chat server. `cursors` is what the application has kept ([`Inbox::cursors`]), or the
    /// default.
    ///
    /// # Errors
    /// See [`StartError`]: this first attempt is the only one that is not repeated.
    pub async fn start(
        gate: Gate,
        email: &str,
        password: &str,
        config: MessengerConfig,
        cursors: Cursors,
    ) -> Result<(Self, Inbox), StartError> {
        let network = Direct { gate, email: email.into(), password: password.into() };
        Self::start_over(network, config, cursors).await
    }

    /// The same over another network.
    ///
    /// # Errors
    /// As [`Messenger::start`].
    pub async fn start_over(
        network: impl Network,
        config: MessengerConfig,
        cursors: Cursors,
    ) -> Result<(Self, Inbox), StartError> {
        let mut connector = Connector::new(network, &config);
        let shared = Arc::new(Shared::new(HandOut::new(&cursors, config.held_back.max(1)), cursors));
        let connected = task::connect(&mut connector, &shared).await?;
        let profile = Arc::new(connected.chat.profile().clone());
        shared.set_chat(Some(connected.chat.clone()));

        let (inbox, live) = mpsc::channel(config.incoming.max(1));
        let room = Arc::new(Semaphore::new(config.outgoing.clamp(limits::MAX_TEXTS, Semaphore::MAX_PERMITS)));
        let messenger = Self {
            _closes: Arc::new(shared.closing.clone().drop_guard()),
            config: Arc::new(config.clone()),
            profile,
            room,
            shared: Arc::clone(&shared),
        };
        tokio::spawn(Task::new(Arc::clone(&shared), config, connector, inbox).run(connected));
        Ok((messenger, Inbox::new(live, shared)))
    }

    /// Who this is.
    #[must_use]
    pub fn uid(&self) -> UserId {
        self.profile.uid
    }

    /// The user's own profile, as it was at the first login.
    #[must_use]
    pub fn profile(&self) -> Profile {
        (*self.profile).clone()
    }

    /// Takes the texts' place in the order of everything this user sends, and returns the promise of their
    /// acknowledgement: they go out, together or not at all, whether that is awaited or not. Waits only for room
    /// ([`MessengerConfig::outgoing`]).
    ///
    /// No texts are sent as nothing.
    ///
    /// # Errors
    /// [`SendError::Limit`] and [`SendError::Ended`]; the promise has the others.
    ///
    /// # Cancel safety
    /// If this future is dropped, nothing was sent.
    pub async fn submit(&self, to: UserId, texts: Vec<Text>) -> Result<Outgoing, SendError> {
        let (answer, answered) = oneshot::channel();
        let outgoing = Outgoing { answered };
        if texts.is_empty() {
            let _ = answer.send(Ok(Vec::new()));
            return Ok(outgoing);
        }
        check_limits(&texts).map_err(SendError::Limit)?;
        let request = TextChatRequest {
            from: Some(self.uid()),
            to,
            thread_id: None,
            texts: texts.iter().map(Text::to_item).collect(),
        };
        let frame = crate::chat::encode(&request, &self.config.chat).map_err(SendError::Limit)?;
        let count = u32::try_from(texts.len()).unwrap_or(u32::MAX);
        let room = tokio::select! {
            biased;
            () = self.shared.closing.cancelled() => return Err(SendError::Ended(self.shared.end_reason())),
            room = Arc::clone(&self.room).acquire_many_owned(count) => room,
        };
        // Nobody closes the semaphore.
        let room = room.map_err(|_| SendError::Ended(EndReason::Closed))?;
        let submitted = Submitted { frame, answer, submitted_at: Instant::now(), _room: room };
        self.shared.submit(to, texts, submitted).map_err(SendError::Ended)?;
        Ok(outgoing)
    }

    /// Sends one text to a friend, under a new client message id. Returns when a server has stored it.
    ///
    /// # Errors
    /// See [`SendError`].
    ///
    /// # Cancel safety
    /// If the future is dropped, the text goes out all the same, unless it was still waiting for room.
    pub async fn send_text(&self, to: UserId, content: &str) -> Result<Sent, SendError> {
        let sent = self.submit(to, vec![Text::new(content)]).await?.await?;
        sent.into_iter().next().ok_or(SendError::InvalidReply)
    }

    /// Says that a person has read everything of a conversation up to this number. Told to the server within moments;
    /// lower numbers than before mean nothing.
    pub fn mark_read(&self, thread: ThreadId, seq: i64) {
        self.shared.mark_read(thread, seq);
    }

    /// How far the application is: the same as [`Inbox::cursors`].
    #[must_use]
    pub fn cursors(&self) -> Cursors {
        self.shared.cursors()
    }

    /// The session of this moment, for searches, friends and history; `None` while there is none.
    ///
    /// Texts sent through it have no place in the order of [`Messenger::submit`], and come back through the [`Inbox`].
    #[must_use]
    pub fn chat(&self) -> Option<Chat> {
        self.shared.chat()
    }

    /// Ends it, for all clones: takes no further texts, waits up to [`ChatConfig::close_deadline`](crate::ChatConfig::close_deadline)
    /// for the acknowledgements that are missing, tells the server how far the application is, and closes the session.
    /// Does not wait for an acknowledgement while there is no session.
    ///
    /// Cancel safe: once called, it ends even if the future is dropped.
    pub async fn close(self) {
        self.shared.closing.cancel();
        self.shared.ended.cancelled().await;
    }
}

/// The promise of an acknowledgement: where each of the texts is stored, in their order.
///
/// Dropping it does not take the texts back.
#[derive(Debug)]
pub struct Outgoing {
    answered: oneshot::Receiver<Result<Vec<Sent>, SendError>>,
}

impl Future for Outgoing {
    type Output = Result<Vec<Sent>, SendError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        // Without an answer the runtime has stopped under the task.
        Pin::new(&mut self.answered).poll(cx).map(|answer| answer.unwrap_or(Err(SendError::Ended(EndReason::Closed))))
    }
}
