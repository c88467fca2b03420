use std::{fmt::Debug, future::Future, hash::Hash};

use uschat_wire::Frame;

use crate::session::{CloseReason, Session};

/// What a protocol brings along: who its users are, what a session remembers, and whatever the handlers share (the value itself).
///
/// ```
/// struct Chatroom;
/// impl uschat_server::Application for Chatroom {
///     type User = String;
///     type Session = ();
/// }
/// ```
pub trait Application: Sized + Send + Sync + 'static {
    /// What a logged-in user is known by, and found by in [`Sessions`](crate::session::Sessions).
    type User: Clone + Debug + Eq + Hash + Send + Sync + 'static;

    /// What is kept for each session; handlers see it shared, because deferred answers run beside later requests.
    type Session: Default + Send + Sync + 'static;

    /// Whether `newer`, which is logging in, takes the place of the user's `current` session. The default is always yes.
    /// Asked under the registry's lock: answer at once, from what the sessions hold.
    fn supersedes(&self, newer: &Session<Self>, current: &Session<Self>) -> bool {
        let _ = (newer, current);
        true
    }

    /// The last frame for a session that the server closes because it is stopping. It leaves after every answer.
    fn farewell(&self, session: &Session<Self>) -> Option<Frame> {
        let _ = session;
        None
    }

    /// Called once for every session, after it left the registry and its last handler has returned; only not for one that
    /// is dropped, because its server's drain deadline passed or the future that served it was dropped. The place to give
    /// up at once what others wait for.
    fn closed(&self, session: &Session<Self>, reason: &CloseReason) -> impl Future<Output = ()> + Send {
        let _ = (session, reason);
        async {}
    }

    /// Called after [`Application::closed`], two seconds later at most, when the connection has come to its end and
    /// [`Session::confirmed`] changes no more. The place to note what the peer has.
    fn settled(&self, session: &Session<Self>) -> impl Future<Output = ()> + Send {
        let _ = session;
        async {}
    }
}
