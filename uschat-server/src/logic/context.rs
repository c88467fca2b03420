use std::{fmt, ops::Deref, sync::Arc};

use uschat_proto::ErrorCode;

use crate::{
    Application,
    session::{CloseReason, Session, Sessions},
};

/// What a handler gets besides the request: the application, its own session, and the others.
pub struct Context<A: Application> {
    app: Arc<A>,
    session: Session<A>,
    sessions: Sessions<A>,
    request: u64,
}

impl<A: Application> Context<A> {
    /// `request` counts the session's frames from 1, and tells the answer that held pushes wait for.
    pub(crate) fn new(app: Arc<A>, session: Session<A>, sessions: Sessions<A>, request: u64) -> Self {
        Self { app, session, sessions, request }
    }

    /// What all handlers share.
    #[must_use]
    pub fn app(&self) -> &Arc<A> {
        &self.app
    }

    /// The session the request came from.
    #[must_use]
    pub fn session(&self) -> &Session<A> {
        &self.session
    }

    /// What is kept for this session.
    #[must_use]
    pub fn state(&self) -> &A::Session {
        self.session.state()
    }

    /// Every live session of this server.
    #[must_use]
    pub fn sessions(&self) -> &Sessions<A> {
        &self.sessions
    }

    /// Who the session belongs to; none before [`Context::log_in`].
    #[must_use]
    pub fn user(&self) -> Option<&A::User> {
        self.session.user()
    }

    /// Makes this the session of `user`: the login guard lets it pass, and pushes to the user find it.
    ///
    /// Pushes wait until the answer to the present request is on its way, so that the answer to a login is the first thing
    /// a client sees. Call it before that answer has left, in the handler or in what it deferred: later there is nothing to
    /// wait for, and pushes would be held for good. Returns the session that was the user's until now; it has left routing
    /// but is still open: tell it and close it ([`Session::replace`]). A session that has ended meanwhile does not enter
    /// routing.
    ///
    /// # Errors
    /// When this session belongs to a user already, or the user has a session that this one does not supersede
    /// ([`Application::supersedes`]); then this one is being closed as replaced.
    pub fn log_in(&self, user: A::User) -> Result<Option<Session<A>>, LogInError> {
        if !self.session.set_user(user.clone()) {
            return Err(LogInError::AlreadyLoggedIn);
        }
        self.hold_pushes();
        let supersedes = |current: &Session<A>| self.app.supersedes(&self.session, current);
        self.sessions.enter(user, &self.session, supersedes).map_err(|()| {
            self.session.close(CloseReason::Replaced);
            LogInError::Superseded
        })
    }

    /// Lets pushes wait until the answer to the present request is on its way. Call it before that answer has left: later
    /// there is nothing to wait for, and pushes would be held for good.
    pub fn hold_pushes(&self) {
        self.session.outbound().hold(self.request);
    }
}

impl<A: Application> Deref for Context<A> {
    type Target = A;

    fn deref(&self) -> &A {
        &self.app
    }
}

impl<A: Application> Clone for Context<A> {
    fn clone(&self) -> Self {
        let Self { app, session, sessions, request } = self;
        Self { app: app.clone(), session: session.clone(), sessions: sessions.clone(), request: *request }
    }
}

impl<A: Application> fmt::Debug for Context<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context").field("session", &self.session).finish_non_exhaustive()
    }
}

/// Why a session did not become its user's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LogInError {
    /// The session belongs to a user already.
    #[error("the session has logged in already")]
    AlreadyLoggedIn,
    /// The user has a later session.
    #[error("the user has a later session")]
    Superseded,
}

impl From<LogInError> for ErrorCode {
    /// 3008 for both: the same request would be refused again.
    fn from(_: LogInError) -> Self {
        // Known to uschat-proto by name too, but only with its feature `chat`.
        Self(3008)
    }
}
