use std::fmt;

use dashmap::DashMap;

/// What peers could not be told. Every event is counted (`uschat_peer_events_lost_total`); the log has one line when a peer
/// begins to miss events and one when it hears again, however many there were.
#[derive(Debug, Default)]
pub struct Outages {
    /// Events lost since the outage began, by peer.
    lost: DashMap<String, u64>,
}

/// Why a peer was not told. The counter's label `reason`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Loss {
    /// `unknown_peer`: neither a living server nor an original of the configuration has this name, or nobody could say.
    UnknownPeer,
    /// `queue_full`: too many events wait for it.
    QueueFull,
    /// `unreachable`: no connection, so it knows nothing of the event.
    Unreachable,
    /// `no_answer`: the call failed or took too long; the peer may have acted on it.
    NoAnswer,
    /// `refused`: it answered that it would not.
    Refused,
    /// `too_long`: an original server could not bear a text of this length.
    TooLong,
    /// `stopping`: this server had to stop before.
    Stopping,
}

impl Outages {
    /// Names that are remembered at most. Further ones are counted and not logged: names come from shared state.
    const NAMES: usize = 1_024;

    /// Counts events that a peer was not told of; logs if they are the first of an outage.
    pub fn lost(&self, peer: &str, events: u64, loss: Loss, cause: &dyn fmt::Display) {
        metrics::counter!("uschat_peer_events_lost_total", "reason" => loss.label()).increment(events);
        if self.begins(peer, events) {
            tracing::warn!(peer, events, reason = loss.label(), %cause, "a peer misses events");
        }
    }

    /// Ends the peer's outage, if there is one: it was told, and nothing more is waiting.
    pub fn told(&self, peer: &str) {
        if let Some(events) = self.ends(peer) {
            tracing::info!(peer, events, "a peer that missed events hears again");
        }
    }

    fn begins(&self, peer: &str, events: u64) -> bool {
        if let Some(mut lost) = self.lost.get_mut(peer) {
            *lost += events;
            return false;
        }
        let remembered = self.lost.len() < Self::NAMES;
        if remembered {
            self.lost.insert(peer.to_owned(), events);
        }
        remembered
    }

    /// How many events were lost in the outage that ends.
    fn ends(&self, peer: &str) -> Option<u64> {
        self.lost.remove(peer).map(|(_, events)| events)
    }
}

impl Loss {
    fn label(self) -> &'static str {
        match self {
            Self::UnknownPeer => "unknown_peer",
            Self::QueueFull => "queue_full",
            Self::Unreachable => "unreachable",
            Self::NoAnswer => "no_answer",
            Self::Refused => "refused",
            Self::TooLong => "too_long",
            Self::Stopping => "stopping",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_begins_once_and_ends_once() {
        let outages = Outages::default();
        assert_eq!(outages.ends("one"), None, "nothing was missed");
        assert!(outages.begins("one", 3));
        assert!(!(0..99).any(|_| outages.begins("one", 3)));
        assert!(outages.begins("other", 1), "every peer has outages of its own");
        assert_eq!((outages.ends("one"), outages.ends("one")), (Some(300), None));
        assert!(outages.begins("one", 1), "a new outage");
    }

    #[test]
    fn a_flood_of_names_is_neither_remembered_nor_logged() {
        let outages = Outages::default();
        let begun = (0..2 * Outages::NAMES).filter(|number| outages.begins(&number.to_string(), 1)).count();
        assert_eq!((begun, outages.lost.len()), (Outages::NAMES, Outages::NAMES));
    }
}
