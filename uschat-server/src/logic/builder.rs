use std::{any::type_name, collections::HashMap, fmt, future::Future, sync::Arc};

use futures_util::FutureExt;
use uschat_proto::{ErrorCode, Message, MessageId, Request};

use super::{
    Application, Context, LogicSystem, Reply,
    dispatch::{Answer, Entry, Outcome, encode_refusal, encode_reply},
    latency::Latency,
};

/// Collects handlers. See [`LogicSystem::builder`].
pub struct LogicBuilder<A: Application> {
    entries: Vec<(MessageId, Entry<A>)>,
    login_guard: bool,
}

impl<A: Application> LogicBuilder<A> {
    pub(super) fn new() -> Self {
        Self { entries: Vec::new(), login_guard: true }
    }

    /// Answers requests of type `R` from logged-in sessions.
    #[must_use]
    pub fn on<R, F, Fut>(self, handler: F) -> Self
    where
        R: Request,
        F: Fn(Context<A>, R) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Reply<R::Response>, ErrorCode>> + Send + 'static,
    {
        self.add_request(handler, false)
    }

    /// Answers requests of type `R` from any session: the login itself, and what may come before it.
    #[must_use]
    pub fn on_open<R, F, Fut>(self, handler: F) -> Self
    where
        R: Request,
        F: Fn(Context<A>, R) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Reply<R::Response>, ErrorCode>> + Send + 'static,
    {
        self.add_request(handler, true)
    }

    /// Takes messages of type `M`, which nothing answers, from logged-in sessions.
    #[must_use]
    pub fn on_message<M, F, Fut>(mut self, handler: F) -> Self
    where
        M: Message,
        F: Fn(Context<A>, M) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), ErrorCode>> + Send + 'static,
    {
        let handler = Arc::new(handler);
        self.entries.push((
            M::ID,
            Entry {
                latency: Latency::of(M::ID),
                name: handler_name::<M, F>(),
                open: false,
                ordered: false,
                refuse: |_| None,
                call: Box::new(move |cx, body| {
                    let handler = handler.clone();
                    async move {
                        let outcome = match M::from_body(&body) {
                            Ok(message) => handler(cx, message).await,
                            Err(_) => Err(ErrorCode::INVALID_PAYLOAD),
                        };
                        Outcome::Now(match outcome {
                            Ok(()) => Answer::None,
                            Err(code) => Answer::Refused(code, None),
                        })
                    }
                    .boxed()
                }),
            },
        ));
        self
    }

    /// Lets every request pass without a login; for protocols that have none.
    #[must_use]
    pub fn without_login_guard(mut self) -> Self {
        self.login_guard = false;
        self
    }

    /// Checks that every id has one handler.
    ///
    /// # Errors
    /// When two handlers want the same id.
    pub fn build(self) -> Result<LogicSystem<A>, BuildError> {
        let mut handlers: HashMap<MessageId, Entry<A>> = HashMap::with_capacity(self.entries.len());
        for (id, entry) in self.entries {
            if let Some(first) = handlers.get(&id) {
                return Err(BuildError::DuplicateId { id, first: first.name.clone(), second: entry.name });
            }
            handlers.insert(id, entry);
        }
        Ok(LogicSystem::new(handlers, self.login_guard))
    }

    fn add_request<R, F, Fut>(mut self, handler: F, open: bool) -> Self
    where
        R: Request,
        F: Fn(Context<A>, R) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Reply<R::Response>, ErrorCode>> + Send + 'static,
    {
        let handler = Arc::new(handler);
        self.entries.push((
            R::ID,
            Entry {
                latency: Latency::of(R::ID),
                name: handler_name::<R, F>(),
                open,
                ordered: R::ORDERED,
                refuse: encode_refusal::<R>,
                call: Box::new(move |cx, body| {
                    let handler = handler.clone();
                    async move {
                        let outcome = match R::from_body(&body) {
                            Ok(request) => handler(cx, request).await,
                            Err(_) => Err(ErrorCode::INVALID_PAYLOAD),
                        };
                        match outcome {
                            Ok(Reply::Now(response)) => Outcome::of(encode_reply::<R>(Ok(response)), R::ORDERED),
                            Err(code) => Outcome::of(encode_reply::<R>(Err(code)), R::ORDERED),
                            Ok(Reply::Later(answer)) => {
                                Outcome::InOrder(async move { encode_reply::<R>(answer.await) }.boxed())
                            }
                        }
                    }
                    .boxed()
                }),
            },
        ));
        self
    }
}

impl<A: Application> fmt::Debug for LogicBuilder<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.entries.iter().map(|(id, entry)| (id, &entry.name))).finish()
    }
}

fn handler_name<M, F>() -> String {
    format!("{} for {}", type_name::<F>(), type_name::<M>())
}

/// The handlers do not fit together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// Two handlers want the same id.
    #[error("message id {id} has two handlers: {first}, and {second}; remove one or give its message another id")]
    DuplicateId {
        /// The id.
        id: MessageId,
        /// The handler registered first.
        first: String,
        /// The handler registered second.
        second: String,
    },
}
