//! A network of pipes: the gate and the chat servers of a messenger, in the hands of a test.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tokio::io::DuplexStream;
use tokio::sync::mpsc;
use uschat_client::{
    Cursors, ErrorCode, GateError, Inbox, Incoming, IncomingText, Messenger, MessengerConfig, Network, Ticket,
};

use super::{ADA, FakeServer, TOKEN, pipe};

/// What a test does with the network.
pub(crate) struct Net {
    state: Arc<State>,
    connections: mpsc::UnboundedReceiver<(u16, FakeServer<DuplexStream>)>,
}

#[derive(Default)]
struct State {
    /// What the gate says instead of a ticket.
    gate_refuses: Mutex<Option<ErrorCode>>,
    gate_is_away: AtomicBool,
    servers_are_away: AtomicBool,
    tickets: AtomicUsize,
    attempts: AtomicUsize,
}

pub(crate) struct Pipes {
    state: Arc<State>,
    connections: mpsc::UnboundedSender<(u16, FakeServer<DuplexStream>)>,
}

/// The port of each ticket is its number, from 1.
impl Network for Pipes {
    type Stream = DuplexStream;

    async fn ticket(&mut self) -> Result<Ticket, GateError> {
        if self.state.gate_is_away.load(SeqCst) {
            return Err(GateError::TimedOut);
        }
        if let Some(code) = *self.state.gate_refuses.lock().unwrap() {
            return Err(GateError::Refused(code));
        }
        let number = self.state.tickets.fetch_add(1, SeqCst) + 1;
        Ok(Ticket::new(ADA, TOKEN, "chat", u16::try_from(number).unwrap()))
    }

    async fn open(&mut self, ticket: &Ticket) -> io::Result<DuplexStream> {
        self.state.attempts.fetch_add(1, SeqCst);
        if self.state.servers_are_away.load(SeqCst) {
            return Err(io::ErrorKind::ConnectionRefused.into());
        }
        let (client, server) = pipe();
        self.connections.send((ticket.chat_port, server)).unwrap();
        Ok(client)
    }
}

pub(crate) fn network() -> (Pipes, Net) {
    let state = Arc::new(State::default());
    let (sender, connections) = mpsc::unbounded_channel();
    (Pipes { state: Arc::clone(&state), connections: sender }, Net { state, connections })
}

impl Net {
    /// The next connection, and the number of the ticket it was opened with.
    pub(crate) async fn connection(&mut self) -> (u16, FakeServer<DuplexStream>) {
        self.connections.recv().await.expect("the messenger is gone")
    }

    /// The next session, logged in, its cursors taken; and what it said about them.
    pub(crate) async fn session(&mut self) -> (FakeServer<DuplexStream>, Value) {
        let (_, mut server) = self.connection().await;
        server.accept_login().await;
        let cursors = server.accept_sync().await;
        (server, cursors)
    }

    pub(crate) fn no_connection_waits(&mut self) -> bool {
        self.connections.try_recv().is_err()
    }

    pub(crate) fn gate_refuses(&self, code: Option<ErrorCode>) {
        *self.state.gate_refuses.lock().unwrap() = code;
    }

    pub(crate) fn gate_is_away(&self, away: bool) {
        self.state.gate_is_away.store(away, SeqCst);
    }

    pub(crate) fn servers_are_away(&self, away: bool) {
        self.state.servers_are_away.store(away, SeqCst);
    }

    /// Tickets handed out.
    pub(crate) fn tickets(&self) -> usize {
        self.state.tickets.load(SeqCst)
    }

    /// Connections asked for.
    pub(crate) fn attempts(&self) -> usize {
        self.state.attempts.load(SeqCst)
    }
}

/// A messenger in its first session.
pub(crate) async fn started() -> (Messenger, Inbox, FakeServer<DuplexStream>, Net) {
    started_with(MessengerConfig::default(), Cursors::default()).await
}

pub(crate) async fn started_with(
    config: MessengerConfig,
    cursors: Cursors,
) -> (Messenger, Inbox, FakeServer<DuplexStream>, Net) {
    let (pipes, mut net) = network();
    let (started, (server, _)) = tokio::join!(Messenger::start_over(pipes, config, cursors), net.session());
    let (messenger, mut inbox) = started.unwrap();
    let Some(Incoming::Connected { server: address, reconnects: 0 }) = inbox.next().await else { panic!("connected") };
    assert_eq!(address, "chat:1");
    (messenger, inbox, server, net)
}

/// The next one, which must be a text.
pub(crate) async fn text(inbox: &mut Inbox) -> IncomingText {
    match inbox.next().await {
        Some(Incoming::Text(text)) => text,
        other => panic!("{other:?} instead of a text"),
    }
}

/// The numbers of the next texts.
pub(crate) async fn numbers(inbox: &mut Inbox, count: usize) -> Vec<i64> {
    let mut numbers = Vec::new();
    for _ in 0..count {
        numbers.push(text(inbox).await.seq);
    }
    numbers
}

/// The next two, which must say that the session was lost and that there is another.
pub(crate) async fn reconnected(inbox: &mut Inbox) {
    let lost = inbox.next().await;
    assert!(matches!(lost, Some(Incoming::Disconnected { .. })), "{lost:?}");
    let back = inbox.next().await;
    assert!(matches!(back, Some(Incoming::Connected { .. })), "{back:?}");
}

/// That nothing is there to be taken, in so much time.
pub(crate) async fn nothing_comes(inbox: &mut Inbox, within: std::time::Duration) {
    if let Ok(incoming) = tokio::time::timeout(within, inbox.next()).await {
        panic!("{incoming:?}");
    }
}

impl FakeServer<DuplexStream> {
    /// Takes 3003 in all its parts and returns all cursors.
    pub(crate) async fn accept_sync(&mut self) -> Value {
        let mut cursors = Vec::new();
        loop {
            let part = self.expect(3003).await;
            cursors.extend(part["cursors"].as_array().cloned().unwrap_or_default());
            self.send(3004, &json!({"error": 0})).await;
            if part["more"] != true {
                return cursors.into();
            }
        }
    }

    /// The next frame that is neither a heartbeat, which is answered, nor about progress, which is taken.
    pub(crate) async fn request(&mut self) -> Option<(u16, Value)> {
        loop {
            let answer = match self.read().await? {
                (1023, _) => 1024,
                (3005, _) => 3006,
                other => return Some(other),
            };
            if !self.try_send(answer, br#"{"error":0}"#).await {
                return None;
            }
        }
    }

    /// The next 1017, past heartbeats and progress.
    pub(crate) async fn texts(&mut self) -> Value {
        match self.request().await {
            Some((1017, body)) => body,
            other => panic!("{other:?} instead of texts"),
        }
    }

    /// Refuses a 1017.
    pub(crate) async fn refuse(&mut self, request: &Value, code: i32) {
        let echo = |item: &Value| json!({"content": item["content"], "msgid": item["unique_id"]});
        let texts: Vec<_> = request["text_array"].as_array().unwrap().iter().map(echo).collect();
        let refusal = json!({"error": code, "fromuid": ADA, "touid": request["touid"], "text_array": texts});
        self.send(1018, &refusal).await;
    }
}

/// The contents of a 1017.
pub(crate) fn contents(request: &Value) -> Vec<String> {
    let items = request["text_array"].as_array().unwrap();
    items.iter().map(|item| item["content"].as_str().unwrap().to_owned()).collect()
}

/// Its client ids.
pub(crate) fn client_ids(request: &Value) -> Vec<String> {
    let items = request["text_array"].as_array().unwrap();
    items.iter().map(|item| item["unique_id"].as_str().unwrap().to_owned()).collect()
}
