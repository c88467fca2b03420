use metrics::{Counter, Gauge, counter, gauge};

/// What sessions count all the time; looked up once, because a look-up costs more than a count.
pub(super) struct Counters {
    /// Frames read, whatever became of them.
    pub(super) received: Counter,
    /// Frames handed to the network.
    pub(super) sent: Counter,
    /// Connections open now.
    pub(super) open: Gauge,
}

impl Counters {
    pub(super) fn new() -> Self {
        Self {
            received: counter!("uschat_frames_received_total"),
            sent: counter!("uschat_frames_sent_total"),
            open: gauge!("uschat_sessions_open"),
        }
    }
}
