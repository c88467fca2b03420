use tokio::time::Instant;

use super::{CloseReason, Idle, Session, SessionConfig};
use crate::Application;

/// When silence of one session's peer is too long.
pub(super) struct Deadlines<'a> {
    config: &'a SessionConfig,
    login_guard: bool,
    opened: Instant,
    heard_anything: bool,
    /// When the first byte of an unfinished frame was seen.
    frame_begun: Option<Instant>,
    /// When the last frame had been handled: a session that is not read, because its handler runs, counts as alive.
    last_frame: Instant,
}

impl<'a> Deadlines<'a> {
    pub(super) fn new(config: &'a SessionConfig, login_guard: bool) -> Self {
        let now = Instant::now();
        Self { config, login_guard, opened: now, heard_anything: false, frame_begun: None, last_frame: now }
    }

    /// Notes what came of a read: whether a frame was finished (and handled), and whether another one is begun.
    pub(super) fn heard(&mut self, finished_a_frame: bool, begun_another: bool) {
        let now = Instant::now();
        self.heard_anything |= finished_a_frame || begun_another;
        if finished_a_frame {
            self.last_frame = now;
            self.frame_begun = None;
        }
        self.frame_begun = if begun_another { self.frame_begun.or(Some(now)) } else { None };
    }

    /// The next one, if any, and what it means when it passes.
    pub(super) fn next<A: Application>(&self, session: &Session<A>) -> Option<(Instant, CloseReason)> {
        let Self { config, opened, .. } = *self;
        let first_byte = (!self.heard_anything).then(|| opened.checked_add(config.first_byte)).flatten();
        let waits_for_login = self.login_guard && session.user().is_none();
        let login = waits_for_login.then(|| opened.checked_add(config.login)).flatten();
        let frame = self.frame_begun.and_then(|begun| begun.checked_add(config.frame));
        let idle = match config.idle {
            Idle::After(idle) => self.last_frame.checked_add(idle),
            Idle::OnceWatched(idle) if session.is_idle_watched() => self.last_frame.checked_add(idle),
            Idle::OnceWatched(_) | Idle::Never => None,
        };
        [
            (first_byte, CloseReason::FirstByteDeadline),
            (login, CloseReason::LoginDeadline),
            (frame, CloseReason::FrameDeadline),
            (idle, CloseReason::Idle),
        ]
        .into_iter()
        .filter_map(|(due, reason)| Some((due?, reason)))
        .min_by_key(|(due, _)| *due)
    }
}
