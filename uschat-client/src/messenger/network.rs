//! How a messenger reaches servers.

use std::io;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use crate::gate::{Gate, GateError};
use crate::ticket::Ticket;

/// Where a [`Messenger`](super::Messenger) gets its tickets from and how it opens connections. [`Messenger::start`](super::Messenger::start)
/// needs none: it uses the gate and TCP. Write one for TLS, a tunnel, or tickets from elsewhere.
pub trait Network: Send + 'static {
    /// A connection.
    type Stream: AsyncRead + AsyncWrite + Send + Unpin + 'static;

    /// A new ticket, usually for another chat server than the last one. Must end by itself, as [`Gate::log_in`] does.
    fn ticket(&mut self) -> impl Future<Output = Result<Ticket, GateError>> + Send;

    /// A connection to the chat server of `ticket`. Is dropped after
    /// [`ChatConfig::connect_deadline`](crate::ChatConfig::connect_deadline).
    fn open(&mut self, ticket: &Ticket) -> impl Future<Output = io::Result<Self::Stream>> + Send;
}

/// The gate over HTTP, chat servers over TCP. No `Debug`: it has the password.
pub(super) struct Direct {
    pub(super) gate: Gate,
    pub(super) email: String,
    pub(super) password: String,
}

impl Network for Direct {
    type Stream = TcpStream;

    async fn ticket(&mut self) -> Result<Ticket, GateError> {
        self.gate.log_in(&self.email, &self.password).await
    }

    async fn open(&mut self, ticket: &Ticket) -> io::Result<TcpStream> {
        crate::chat::open_tcp(ticket).await
    }
}
