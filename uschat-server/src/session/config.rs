use std::time::Duration;

use uschat_wire::Limits;

/// The bounds of a session. `Duration::MAX` means never.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionConfig {
    /// What is accepted from the peer. Default: bodies up to 32,767 bytes.
    pub limits: Limits,
    /// A connection that sent nothing at all is closed after this. Default 5 s.
    pub first_byte: Duration,
    /// A connection that has not logged in is closed after this, if the LogicSystem has its login guard on. Default 10 s.
    pub login: Duration,
    /// A frame must be complete this long after its first byte. Default 10 s.
    pub frame: Duration,
    /// When silence closes a session. Default [`Idle::OnceWatched`] with 25 s.
    pub idle: Idle,
    /// A write that takes longer closes the session, as does writing what is left at its end. Default 20 s.
    pub write: Duration,
    /// How long a replaced session's socket stays, for the client to read why and close. Default 5 s.
    pub replaced_grace: Duration,
    /// How long a stopping server waits for its sessions before it drops them. Default 10 s.
    pub drain: Duration,
    /// Frames that may wait to be written. A push beyond it closes the session; an answer waits, and the session reads no
    /// further. Pushes held back by a login have as much room again. Default 1,024.
    pub outbound_frames: usize,
    /// Bytes that may wait to be written, beside the first frame. Default 1 MiB.
    pub outbound_bytes: usize,
    /// Deferred answers that may wait behind the first before the session reads no further. At least 1; default 64.
    pub deferred_answers: usize,
    /// Frames that go into one write, at least 1. Default 64.
    pub write_frames: usize,
    /// Bytes after which a write takes no further frame. Default 16 KiB.
    pub write_bytes: usize,
    /// Whether frames are kept apart. Default off.
    pub pacing: Pacing,
    /// Connections served at once; more wait in the listener's backlog. Default 10,000.
    pub connections: usize,
}

impl Default for SessionConfig {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            first_byte: Duration::from_secs(5),
            login: Duration::from_secs(10),
            frame: Duration::from_secs(10),
            idle: Idle::OnceWatched(Duration::from_secs(25)),
            write: Duration::from_secs(20),
            replaced_grace: Duration::from_secs(5),
            drain: Duration::from_secs(10),
            outbound_frames: 1_024,
            outbound_bytes: 1024 * 1024,
            deferred_answers: 64,
            write_frames: 64,
            write_bytes: 16 * 1024,
            pacing: Pacing::Off,
            connections: 10_000,
        }
    }
}

/// When silence closes a session. A session that the server itself is not reading, because it waits for its handler or for
/// room in the outbound queue, counts as alive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Idle {
    /// Never.
    Never,
    /// After this long without a complete frame.
    After(Duration),
    /// The same, but only for sessions whose handlers called [`Session::watch_idle`](super::Session::watch_idle): those
    /// whose client was seen to send heartbeats.
    OnceWatched(Duration),
}

/// Whether frames are kept apart in time, for clients that misread two frames in one read (PROTOCOL.md, "Pacing").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pacing {
    /// Whatever waits goes into one write.
    Off,
    /// One frame a write, and this long until the next, until [`Session::unpace`](super::Session::unpace).
    Gap(Duration),
}
