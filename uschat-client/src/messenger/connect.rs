//! From nothing to a session that has said where each conversation goes on.

use std::ops::RangeInclusive;
use std::time::Duration;

use uschat_proto::ErrorCode;
use uschat_proto::chat::{Cursor, SyncRequest, SyncResponse};

use super::config::MessengerConfig;
use super::error::StartError;
use super::network::Network;
use crate::chat::Chat;
use crate::config::ChatConfig;
use crate::error::{DisconnectReason, RequestError};
use crate::event::Events;
use crate::gate::GateError;
use crate::ticket::Ticket;

/// Makes one connection attempt at a time, and knows how long to wait before the next.
pub(super) struct Connector<N> {
    network: N,
    config: ChatConfig,
    backoff: RangeInclusive<Duration>,
    /// Kept while it serves.
    ticket: Option<Ticket>,
    /// The ticket or its server did not serve.
    ask_gate: bool,
    /// Since the last session that was of use.
    attempts: u32,
}

impl<N: Network> Connector<N> {
    pub(super) fn new(network: N, config: &MessengerConfig) -> Self {
        let mut chat = config.chat.clone();
        chat.sync = true;
        Self { network, config: chat, backoff: config.backoff.clone(), ticket: None, ask_gate: true, attempts: 0 }
    }

    /// One attempt.
    pub(super) async fn connect(&mut self) -> Result<(Chat, Events), StartError> {
        if self.ask_gate {
            match self.network.ticket().await {
                Ok(ticket) => {
                    self.ticket = Some(ticket);
                    self.ask_gate = false;
                }
                Err(error) if self.ticket.is_none() || is_final(&error) => return Err(error.into()),
                // The old ticket may serve once more.
                Err(error) => tracing::debug!(%error, "no other chat server from the gate"),
            }
        }
        let Some(ticket) = &self.ticket else { return Err(GateError::InvalidReply("no ticket").into()) };
        let opening = self.network.open(ticket);
        let session = Chat::connect_by(opening, ticket, self.config.clone()).await;
        self.ask_gate |= session.is_err();
        Ok(session?)
    }

    /// `HOST:PORT` of the ticket.
    pub(super) fn server(&self) -> String {
        self.ticket.as_ref().map_or_else(String::new, Ticket::address)
    }

    /// A session has ended.
    pub(super) fn lost(&mut self, reason: &DisconnectReason, was_of_use: bool) {
        // A server that stops or hangs would only be met again. Otherwise the gate is spared: many clients may have lost
        // their sessions at once.
        self.ask_gate |= matches!(
            reason,
            DisconnectReason::ServerStopping | DisconnectReason::HeartbeatMissed | DisconnectReason::AnswerMissing
        );
        if was_of_use {
            self.attempts = 0;
        }
    }

    /// The server let us in and was of no use then.
    pub(super) fn avoid_server(&mut self) {
        self.ask_gate = true;
    }

    /// How long to wait before the next attempt.
    pub(super) fn pause(&mut self) -> Duration {
        let chance = uuid::Uuid::new_v4().as_u64_pair().0;
        let pause = pause(&self.backoff, self.attempts, chance);
        self.attempts = self.attempts.saturating_add(1);
        pause
    }
}

/// Whether asking again with this password is of no use.
pub(super) fn is_final(error: &GateError) -> bool {
    matches!(error, GateError::Refused(ErrorCode::PASSWORD_INVALID))
}

/// Doubled with each attempt; at least half of it, the rest by chance.
fn pause(backoff: &RangeInclusive<Duration>, attempts: u32, chance: u64) -> Duration {
    let doubled = backoff.start().saturating_mul(1_u32.checked_shl(attempts).unwrap_or(u32::MAX));
    let half = doubled.min(*backoff.end()) / 2;
    // The upper 32 bits are plenty, and exact in an f64.
    half + half.mul_f64((chance >> 32) as f64 / f64::from(u32::MAX))
}

/// Says where each conversation goes on. Nothing of texts comes before.
pub(super) async fn sync(chat: &Chat, cursors: &[Cursor]) -> Result<Vec<SyncResponse>, RequestError> {
    let mut synced = Vec::new();
    let mut parts = cursors.chunks(SyncRequest::MAX_CURSORS).peekable();
    loop {
        let cursors = parts.next().unwrap_or_default().to_vec();
        let more = parts.peek().is_some();
        synced.push(chat.call(&SyncRequest { cursors, more }, None).await?);
        if !more {
            return Ok(synced);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest_and_half_of_each_is_chance() {
        let backoff = Duration::from_millis(100)..=Duration::from_secs(5);
        for (attempts, shortest, longest) in
            [(0, 50, 100), (1, 100, 200), (5, 1600, 3200), (6, 2500, 5000), (99, 2500, 5000)]
        {
            assert_eq!(pause(&backoff, attempts, 0), Duration::from_millis(shortest));
            assert_eq!(pause(&backoff, attempts, u64::MAX), Duration::from_millis(longest));
        }
    }
}
