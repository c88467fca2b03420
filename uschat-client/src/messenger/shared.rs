//! What the handle, the inbox and the task share.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use bytes::Bytes;
use tokio::sync::{Notify, OwnedSemaphorePermit, oneshot};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uschat_proto::chat::{Fingerprint, ThreadId, UserId};

use super::cursors::Cursors;
use super::error::{EndReason, SendError};
use super::hand_out::HandOut;
use super::inbox::Incoming;
use super::ledger::{Ledger, Urgency};
use super::outbox::Outbox;
use crate::chat::{Chat, NewFriend};
use crate::error::DisconnectReason;
use crate::text::{Sent, Text};

/// A request on its way.
#[derive(Debug)]
pub(super) struct Submitted {
    /// Header and body, ready to be written, in every session anew.
    pub(super) frame: Bytes,
    pub(super) answer: oneshot::Sender<Result<Vec<Sent>, SendError>>,
    pub(super) submitted_at: Instant,
    /// Its place among [`MessengerConfig::outgoing`](super::MessengerConfig::outgoing).
    pub(super) _room: OwnedSemaphorePermit,
}

/// Each lock is held for moments only, and never two at a time.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(super) closing: CancellationToken,
    /// Something changed that the task must look at.
    pub(super) changed: Notify,
    /// A request was submitted.
    pub(super) submitted: Notify,
    hand_out: Mutex<HandOut>,
    ledger: Mutex<Ledger>,
    outbox: Mutex<Outbox<Submitted>>,
    chat: Mutex<Option<Chat>>,
    end: OnceLock<EndReason>,
    /// Cancelled once the task has ended.
    pub(super) ended: CancellationToken,
}

impl Shared {
    pub(super) fn new(hand_out: HandOut, cursors: Cursors) -> Self {
        Self {
            closing: CancellationToken::new(),
            changed: Notify::new(),
            submitted: Notify::new(),
            hand_out: Mutex::new(hand_out),
            ledger: Mutex::new(Ledger::new(cursors)),
            outbox: Mutex::default(),
            chat: Mutex::default(),
            end: OnceLock::new(),
            ended: CancellationToken::new(),
        }
    }

    pub(super) fn hand_out(&self) -> MutexGuard<'_, HandOut> {
        lock(&self.hand_out)
    }

    pub(super) fn ledger(&self) -> MutexGuard<'_, Ledger> {
        lock(&self.ledger)
    }

    pub(super) fn outbox(&self) -> MutexGuard<'_, Outbox<Submitted>> {
        lock(&self.outbox)
    }

    pub(super) fn chat(&self) -> Option<Chat> {
        lock(&self.chat).clone()
    }

    pub(super) fn set_chat(&self, chat: Option<Chat>) {
        *lock(&self.chat) = chat;
    }

    pub(super) fn cursors(&self) -> Cursors {
        self.ledger().cursors()
    }

    /// The application is done with what it took last.
    pub(super) fn confirm(&self) {
        let mut ledger = self.ledger();
        let before = ledger.urgency();
        ledger.confirm();
        let after = ledger.urgency();
        drop(ledger);
        if before != after {
            self.changed.notify_one();
        }
    }

    pub(super) fn taken(&self, incoming: &Incoming) {
        self.ledger().taken(incoming);
    }

    pub(super) fn mark_read(&self, thread: ThreadId, seq: i64) {
        self.ledger().mark_read(thread, seq);
        self.changed.notify_one();
    }

    pub(super) fn urgency(&self) -> Urgency {
        self.ledger().urgency()
    }

    /// An own text was stored.
    pub(crate) fn acknowledged(&self, thread: ThreadId, seq: i64, fingerprint: Fingerprint) {
        self.hand_out().acknowledged(thread, seq, fingerprint, Instant::now());
        self.ledger().acknowledged(thread, seq, fingerprint);
    }

    /// To be held while an approval is under way in the session of `chat`.
    pub(crate) fn approve(self: Arc<Self>, chat: Chat) -> Approval {
        self.hand_out().approving();
        Approval { shared: self, chat, answered: false }
    }

    /// Puts a request into the outbox, unless it is too late.
    pub(super) fn submit(&self, to: UserId, texts: Vec<Text>, submitted: Submitted) -> Result<(), EndReason> {
        // Under the lock that the end takes too: either it finds the request, or the request finds it.
        let mut outbox = self.outbox();
        if self.closing.is_cancelled() {
            return Err(self.end_reason());
        }
        outbox.push(to, texts, submitted);
        drop(outbox);
        self.submitted.notify_one();
        self.changed.notify_one();
        Ok(())
    }

    /// What was sent is sent again, what is held back comes again.
    pub(super) fn session_ended(&self, reason: DisconnectReason) {
        self.outbox().session_ended();
        let mut hand_out = self.hand_out();
        hand_out.session_ended();
        hand_out.push(Incoming::Disconnected { reason });
    }

    /// Gives up what waits for an acknowledgement.
    pub(super) fn end(&self, reason: EndReason) {
        let mut outbox = self.outbox();
        let _ = self.end.set(reason);
        self.closing.cancel();
        let rest = std::mem::take(&mut *outbox);
        drop(outbox);
        for submitted in rest.into_payloads() {
            let _ = submitted.answer.send(Err(SendError::Ended(reason)));
        }
        self.set_chat(None);
        self.ended.cancel();
    }

    pub(super) fn end_reason(&self) -> EndReason {
        // Without one it is closing, or the runtime has stopped under the task.
        self.end.get().copied().unwrap_or(EndReason::Closed)
    }
}

/// An approval under way. Dropped without an answer it ends the session: the answer may hold texts that nobody would see,
/// and the next session brings them.
#[derive(Debug)]
pub(crate) struct Approval {
    shared: Arc<Shared>,
    chat: Chat,
    answered: bool,
}

impl Approval {
    /// It was answered, with no friend.
    pub(crate) fn refused(mut self) {
        self.answered = true;
    }

    /// It was answered: leaves the greetings that were not shown yet, and counts them as shown.
    pub(crate) fn granted(mut self, friend: &mut NewFriend) {
        self.answered = true;
        self.shared.hand_out().greet(self.chat.profile().uid, friend);
        let mut ledger = self.shared.ledger();
        for greeting in &friend.greetings {
            let fingerprint = Fingerprint::of(greeting.message_id, greeting.sender, &greeting.content);
            ledger.acknowledged(greeting.thread_id, greeting.seq, fingerprint);
        }
    }
}

impl Drop for Approval {
    fn drop(&mut self) {
        if !self.answered {
            self.chat.abort();
        }
        self.shared.hand_out().approved(Instant::now());
        self.shared.changed.notify_one();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing that runs under these locks can leave something half done by a panic.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
