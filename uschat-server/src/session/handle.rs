use std::{
    fmt,
    net::SocketAddr,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::sync::SetOnce;
use uschat_proto::{Message, PayloadError};
use uschat_wire::{Frame, MAX_BODY_LEN};

use super::{
    CloseReason, Mergeable, Pacing, SessionConfig,
    outbound::{Outbound, Refused},
};
use crate::Application;

/// A handle to a live session; cheap to clone, harmless to keep: the session ends all the same.
pub struct Session<A: Application>(Arc<Inner<A>>);

struct Inner<A: Application> {
    id: SessionId,
    peer: Option<SocketAddr>,
    user: OnceLock<A::User>,
    state: A::Session,
    outbound: Outbound,
    /// The gap between frames, and whether it is still kept.
    gap: Option<Duration>,
    paced: AtomicBool,
    idle_watched: AtomicBool,
    confirmed: AtomicU64,
    ended: SetOnce<CloseReason>,
}

/// A session's number, unique for one start of the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionId(pub u64);

impl<A: Application> Session<A> {
    pub(super) fn new(id: SessionId, peer: Option<SocketAddr>, config: &SessionConfig) -> Self {
        let gap = match config.pacing {
            Pacing::Off => None,
            Pacing::Gap(gap) => Some(gap),
        };
        Self(Arc::new(Inner {
            id,
            peer,
            user: OnceLock::new(),
            state: A::Session::default(),
            outbound: Outbound::new(config.outbound_frames, config.outbound_bytes),
            gap,
            paced: AtomicBool::new(gap.is_some()),
            idle_watched: AtomicBool::new(false),
            confirmed: AtomicU64::new(0),
            ended: SetOnce::new(),
        }))
    }

    /// The session's number.
    #[must_use]
    pub fn id(&self) -> SessionId {
        self.0.id
    }

    /// The peer's address, where the connection has one.
    #[must_use]
    pub fn peer(&self) -> Option<SocketAddr> {
        self.0.peer
    }

    /// Who it belongs to, once logged in.
    #[must_use]
    pub fn user(&self) -> Option<&A::User> {
        self.0.user.get()
    }

    /// What the application keeps for it.
    #[must_use]
    pub fn state(&self) -> &A::Session {
        &self.0.state
    }

    /// Sends a message that nobody asked for. Never waits: when the outbound queue is full the session is closed as a
    /// slow consumer.
    ///
    /// # Errors
    /// When the message is not on its way. That it is on its way does not mean that it arrives.
    pub fn push<M: Message>(&self, message: &M) -> Result<(), PushError> {
        self.push_frame(Frame::new(M::ID.0, message.to_body()?))
    }

    /// As [`Session::push`], with a frame made before: cheaper for many receivers.
    ///
    /// # Errors
    /// As [`Session::push`].
    pub fn push_frame(&self, frame: Frame) -> Result<(), PushError> {
        if frame.body.len() > MAX_BODY_LEN {
            let seen = format!("{} bytes, at most {MAX_BODY_LEN} fit a frame", frame.body.len());
            return Err(PayloadError::new(seen).into());
        }
        self.pushed(self.0.outbound.push(frame))
    }

    /// As [`Session::push`]; a paced session merges it into one that still waits.
    ///
    /// # Errors
    /// As [`Session::push`].
    pub fn push_mergeable(&self, push: impl Mergeable) -> Result<(), PushError> {
        if self.gap().is_some() {
            return self.pushed(self.0.outbound.push_mergeable(Box::new(push)));
        }
        let frame = push.to_frame().ok_or_else(|| PayloadError::new("the push has no form on the wire"))?;
        self.push_frame(frame)
    }

    /// Waits until at most half of the outbound queue is taken, so that what is pushed then cannot fill it; false when the
    /// session takes no pushes any more. For whoever has much to push and can wait. Cancel safe.
    ///
    /// Not to be awaited by the request whose answer [held pushes](crate::Context::hold_pushes) wait for: these would fill
    /// the queue, and make room only after that answer.
    pub async fn room(&self) -> bool {
        self.0.outbound.ample_room().await
    }

    /// Whether at most half of the outbound queue is taken at this moment.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.0.outbound.has_ample_room()
    }

    /// Gives the place behind everything that was pushed so far this number, for [`Session::confirmed`]. Numbers only rise.
    /// Takes no room in the outbound queue. Does nothing once the session takes no pushes any more.
    pub fn mark(&self, mark: u64) {
        self.0.outbound.mark(mark);
    }

    /// The highest [mark](Session::mark) up to which the peer has everything. 0 before the first.
    ///
    /// On connections of [`Server::listen`](super::Server::listen), on Linux and macOS, a peer has what its system has
    /// acknowledged, whether its program has read it or not; a look every half second finds out, and a last one at the
    /// session's end. Of other connections nothing is known until their end, when everything that was written counts if
    /// the end was in good order: the peer closed between two frames, or we did and it closed in turn. The number is
    /// final when [`Application::settled`] is called.
    #[must_use]
    pub fn confirmed(&self) -> u64 {
        self.0.confirmed.load(Ordering::Acquire)
    }

    /// The client reads several frames from one segment: from now on they need not be kept apart.
    pub fn unpace(&self) {
        self.0.paced.store(false, Ordering::Relaxed);
    }

    /// The client sends heartbeats: from the frame being handled on, silence means that it is gone
    /// ([`Idle::OnceWatched`](super::Idle)).
    pub fn watch_idle(&self) {
        self.0.idle_watched.store(true, Ordering::Relaxed);
    }

    /// Ends the session: it takes no further request and no further push, what it asked for is finished, what waits is
    /// written, then the connection is closed. The first reason counts.
    pub fn close(&self, reason: CloseReason) {
        self.end(reason);
    }

    /// Ends a session that a newer login replaced. It reads no further, `notice` is the last push it gets, and the socket
    /// stays open for the grace period or until the client closes it. A session that is ending already gets no notice.
    pub fn replace(&self, notice: Frame) {
        self.0.outbound.end_pushes(Some(notice));
        self.end(CloseReason::Replaced);
    }

    pub(super) fn confirm(&self, mark: u64) {
        self.0.confirmed.fetch_max(mark, Ordering::AcqRel);
    }

    /// As [`Session::close`]; returns the reason that counts.
    pub(super) fn end(&self, reason: CloseReason) -> CloseReason {
        if self.0.ended.set(reason.clone()).is_err() {
            return self.reason().cloned().unwrap_or(reason);
        }
        if reason.flush_deadline(Duration::MAX).is_some() {
            self.0.outbound.end_pushes(None);
        } else {
            self.0.outbound.abandon();
        }
        reason
    }

    /// Why it ended, if it has.
    pub(super) fn reason(&self) -> Option<&CloseReason> {
        self.0.ended.get()
    }

    /// Waits for its end. Cancel safe.
    pub(super) async fn ended(&self) -> CloseReason {
        self.0.ended.wait().await.clone()
    }

    pub(crate) fn outbound(&self) -> &Outbound {
        &self.0.outbound
    }

    /// The time between two frames, while the session is paced.
    pub(super) fn gap(&self) -> Option<Duration> {
        self.0.gap.filter(|_| self.0.paced.load(Ordering::Relaxed))
    }

    pub(super) fn is_idle_watched(&self) -> bool {
        self.0.idle_watched.load(Ordering::Relaxed)
    }

    pub(crate) fn set_user(&self, user: A::User) -> bool {
        self.0.user.set(user).is_ok()
    }

    fn pushed(&self, outcome: Result<(), Refused>) -> Result<(), PushError> {
        match outcome {
            Ok(()) => Ok(()),
            Err(Refused::Ended) => Err(PushError::Closed),
            Err(Refused::Full) => {
                self.close(CloseReason::SlowConsumer);
                Err(PushError::SlowConsumer)
            }
        }
    }
}

impl<A: Application> Clone for Session<A> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<A: Application> PartialEq for Session<A> {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl<A: Application> Eq for Session<A> {}

impl<A: Application> fmt::Debug for Session<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("id", &self.0.id.0).field("user", &self.user()).finish_non_exhaustive()
    }
}

/// Why a push is not on its way.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PushError {
    /// The session has ended or is ending.
    #[error("the session has ended")]
    Closed,
    /// The session's queue was full; it is being closed.
    #[error("the session reads too slowly and is being closed")]
    SlowConsumer,
    /// The message has no form on the wire: a fault of the program.
    #[error(transparent)]
    Payload(#[from] PayloadError),
}
