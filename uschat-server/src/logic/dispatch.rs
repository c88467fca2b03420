use std::{any::Any, collections::HashMap, fmt, future::Future, panic::AssertUnwindSafe};

use bytes::{Bytes, BytesMut};
use futures_util::{
    FutureExt,
    future::{BoxFuture, ready},
};
use uschat_proto::{Encoding, ErrorCode, Message, MessageId, Request};
use uschat_wire::{Frame, MAX_BODY_LEN};

use super::{Application, Context, LogicBuilder, latency::Latency};

/// The handlers of a protocol, found by message id.
pub struct LogicSystem<A: Application> {
    handlers: HashMap<MessageId, Entry<A>>,
    login_guard: bool,
}

/// When the answer to a frame leaves.
pub enum Outcome {
    /// At once, also past the answers of earlier requests.
    Now(Answer),
    /// When the future is done and every earlier answer of this kind has left.
    InOrder(BoxFuture<'static, Answer>),
}

/// What to send back for a frame.
#[derive(Debug)]
pub enum Answer {
    /// Nothing: the message wants no answer.
    None,
    /// This frame.
    Frame(Frame),
    /// The request was refused, with this frame if its encoding knows refusals.
    Refused(ErrorCode, Option<Frame>),
    /// No handler has this id; the frame is ignored.
    UnknownId,
    /// The handler panicked, with this text; the session must be closed.
    Panicked(String),
}

pub(super) struct Entry<A: Application> {
    pub(super) latency: Latency,
    pub(super) name: String,
    pub(super) open: bool,
    pub(super) ordered: bool,
    pub(super) refuse: fn(ErrorCode) -> Option<Frame>,
    pub(super) call: HandlerFn<A>,
}

type HandlerFn<A> = Box<dyn Fn(Context<A>, Bytes) -> BoxFuture<'static, Outcome> + Send + Sync>;

impl<A: Application> LogicSystem<A> {
    /// Starts with no handlers and the login guard on.
    #[must_use]
    pub fn builder() -> LogicBuilder<A> {
        LogicBuilder::new()
    }

    pub(super) fn new(handlers: HashMap<MessageId, Entry<A>>, login_guard: bool) -> Self {
        Self { handlers, login_guard }
    }

    /// Whether sessions must log in.
    #[must_use]
    pub fn has_login_guard(&self) -> bool {
        self.login_guard
    }

    /// Runs the handler of a frame until it returns. A panic in it becomes [`Answer::Panicked`]; one in what it deferred is
    /// left to whoever awaits that.
    ///
    /// Dropping the future drops the handler where it stands.
    pub async fn dispatch(&self, cx: Context<A>, frame: Frame) -> Outcome {
        let Some(entry) = self.handlers.get(&MessageId(frame.id)) else {
            return Outcome::Now(Answer::UnknownId);
        };
        // The call itself stays inside, because user code may panic before its first await.
        let handler = async {
            if self.login_guard && !entry.open && cx.user().is_none() {
                let code = ErrorCode::NOT_LOGGED_IN;
                return Outcome::of(Answer::Refused(code, (entry.refuse)(code)), entry.ordered);
            }
            entry.latency.measure((entry.call)(cx, frame.body)).await
        };
        catch_panic(handler).await.unwrap_or_else(|text| Outcome::Now(Answer::Panicked(text)))
    }
}

impl Outcome {
    /// An answer that is ready, and either may overtake earlier ones or not.
    pub(super) fn of(answer: Answer, ordered: bool) -> Self {
        if ordered { Self::InOrder(ready(answer).boxed()) } else { Self::Now(answer) }
    }
}

/// Turns a panic into its text.
pub(crate) async fn catch_panic<T>(work: impl Future<Output = T>) -> Result<T, String> {
    // Sound to observe afterwards: the session that the work belonged to is closed.
    AssertUnwindSafe(work).catch_unwind().await.map_err(|payload| panic_text(&*payload))
}

fn panic_text(payload: &(dyn Any + Send)) -> String {
    payload
        .downcast_ref::<&str>()
        .map(ToString::to_string)
        .or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic without a text".into())
}

pub(super) fn encode_reply<R: Request>(outcome: Result<R::Response, ErrorCode>) -> Answer {
    let refused = |code| Answer::Refused(code, encode_refusal::<R>(code));
    let id = R::Response::ID;
    // A response that has no form on the wire is the server's own fault.
    match outcome.map(|response| response.to_body()) {
        Ok(Ok(body)) if body.len() <= MAX_BODY_LEN => Answer::Frame(Frame::new(id.0, body)),
        Ok(Ok(body)) => {
            tracing::error!(%id, bytes = body.len(), "a response is too long for a frame; the request is refused instead");
            refused(ErrorCode::UNAVAILABLE)
        }
        Ok(Err(error)) => {
            tracing::error!(%id, %error, "a response cannot be encoded; the request is refused instead");
            refused(ErrorCode::UNAVAILABLE)
        }
        Err(code) => refused(code),
    }
}

pub(super) fn encode_refusal<R: Request>(code: ErrorCode) -> Option<Frame> {
    let mut body = BytesMut::new();
    let has_form = <<R::Response as Message>::Encoding as Encoding<R::Response>>::encode_refusal(code, &mut body);
    (has_form && body.len() <= MAX_BODY_LEN).then(|| Frame::new(R::Response::ID.0, body.freeze()))
}

impl<A: Application> fmt::Debug for LogicSystem<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.handlers.iter().map(|(id, entry)| (id, &entry.name))).finish()
    }
}

impl fmt::Debug for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Now(answer) => f.debug_tuple("Now").field(answer).finish(),
            Self::InOrder(_) => f.write_str("InOrder(..)"),
        }
    }
}
