//! A small protocol that shows what a session does: every message is one number.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex},
};

use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncWriteExt, DuplexStream, duplex},
    sync::watch,
    task::JoinHandle,
};
use uschat_server::{
    Application, Context, LogicSystem, Reply,
    logic::LogicBuilder,
    proto::{ErrorCode, Json, Message, MessageId, Request},
    session::{CloseReason, Server, Session, SessionConfig},
    testing::{self, Client},
    wire::Frame,
};

macro_rules! messages {
    ($($(#[$doc:meta])* $name:ident = $id:literal,)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
        pub struct $name(pub u32);
        impl Message for $name {
            const ID: MessageId = MessageId($id);
            type Encoding = Json;
        }
    )*};
}

messages! {
    /// Logs in as this user.
    Login = 1,
    LoggedIn = 2,
    /// Answered at once.
    Echo = 3,
    Echoed = 4,
    /// Answered later, when the gate of this number opens.
    Defer = 5,
    Deferred = 6,
    /// The handler itself waits for the gate.
    Wait = 7,
    Waited = 8,
    /// Pushes [`Told`] to this user; nothing answers.
    Tell = 9,
    Told = 10,
    /// From now on silence ends the session.
    Watch = 11,
    Kicked = 12,
    Goodbye = 14,
    /// The answer to [`Ordered`].
    OrderedDone = 16,
}

/// A request of the kind whose answers keep the order of requests.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Ordered {
    pub number: u32,
    pub how: How,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub enum How {
    Now,
    Later,
    Refuse,
}

impl Message for Ordered {
    const ID: MessageId = MessageId(15);
    type Encoding = Json;
}

impl Request for Login {
    type Response = LoggedIn;
}
impl Request for Echo {
    type Response = Echoed;
}
impl Request for Defer {
    type Response = Deferred;
}
impl Request for Wait {
    type Response = Waited;
}
impl Request for Ordered {
    type Response = OrderedDone;
    const ORDERED: bool = true;
}

/// Lets handlers wait for the test, and notes what they did.
#[derive(Debug, Default)]
pub struct App {
    gates: watch::Sender<HashSet<u32>>,
    journal: Mutex<Vec<String>>,
    settled: Mutex<Vec<u64>>,
}

impl App {
    pub fn open(&self, gate: u32) {
        self.gates.send_modify(|open| {
            open.insert(gate);
        });
    }

    pub async fn opened(&self, gate: u32) {
        self.gates.subscribe().wait_for(|open| open.contains(&gate)).await.unwrap();
    }

    pub fn note(&self, what: impl Into<String>) {
        self.journal.lock().unwrap().push(what.into());
    }

    pub fn journal(&self) -> Vec<String> {
        self.journal.lock().unwrap().clone()
    }

    /// What was confirmed of each session that has come to its end, in the order of their ends.
    pub fn settled(&self) -> Vec<u64> {
        self.settled.lock().unwrap().clone()
    }
}

impl Application for App {
    type User = u32;
    type Session = ();

    fn farewell(&self, _: &Session<Self>) -> Option<Frame> {
        Some(Frame::new(Goodbye::ID.0, Goodbye(0).to_body().unwrap()))
    }

    async fn closed(&self, _: &Session<Self>, reason: &CloseReason) {
        self.note(format!("closed: {}", reason.label()));
    }

    async fn settled(&self, session: &Session<Self>) {
        self.settled.lock().unwrap().push(session.confirmed());
    }
}

pub type Cx = Context<App>;
pub type Answer<T> = Result<Reply<T>, ErrorCode>;

async fn log_in(cx: Cx, Login(user): Login) -> Answer<LoggedIn> {
    if let Some(older) = cx.log_in(user)? {
        older.replace(Frame::new(Kicked::ID.0, Kicked(user).to_body().unwrap()));
    }
    Ok(Reply::Now(LoggedIn(user)))
}

async fn echo(cx: Cx, Echo(number): Echo) -> Answer<Echoed> {
    cx.note(format!("echo {number}"));
    Ok(Reply::Now(Echoed(number)))
}

async fn defer(cx: Cx, Defer(gate): Defer) -> Answer<Deferred> {
    Ok(Reply::later(async move {
        cx.opened(gate).await;
        cx.note(format!("deferred {gate}"));
        Ok(Deferred(gate))
    }))
}

async fn wait(cx: Cx, Wait(gate): Wait) -> Answer<Waited> {
    cx.note(format!("wait {gate}"));
    cx.opened(gate).await;
    cx.note(format!("waited {gate}"));
    Ok(Reply::Now(Waited(gate)))
}

async fn tell(cx: Cx, Tell(user): Tell) -> Result<(), ErrorCode> {
    if let Some(session) = cx.sessions().of(&user) {
        let _ = session.push(&Told(*cx.user().unwrap()));
    }
    Ok(())
}

async fn watch_idle(cx: Cx, _: Watch) -> Result<(), ErrorCode> {
    cx.session().watch_idle();
    Ok(())
}

async fn ordered(cx: Cx, Ordered { number, how }: Ordered) -> Answer<OrderedDone> {
    match how {
        How::Now => Ok(Reply::Now(OrderedDone(number))),
        How::Refuse => Err(ErrorCode(number as i32)),
        How::Later => Ok(Reply::later(async move {
            cx.opened(number).await;
            Ok(OrderedDone(number))
        })),
    }
}

/// All handlers above.
pub fn handlers() -> LogicBuilder<App> {
    LogicSystem::builder()
        .on_open(log_in)
        .on(echo)
        .on(defer)
        .on(wait)
        .on_message(tell)
        .on_message(watch_idle)
        .on(ordered)
}

/// A server of the protocol.
pub struct Fixture {
    pub app: Arc<App>,
    pub server: Arc<Server<App>>,
}

pub fn serve(config: SessionConfig) -> Fixture {
    serve_handlers(handlers(), config)
}

pub fn serve_handlers(handlers: LogicBuilder<App>, config: SessionConfig) -> Fixture {
    let app = Arc::new(App::default());
    let server = Arc::new(Server::new(app.clone(), handlers.build().unwrap(), config));
    Fixture { app, server }
}

impl Fixture {
    /// A client that has logged in.
    pub async fn log_in(&self, user: u32) -> Client {
        let mut client = testing::connect(&self.server);
        client.send(&Login(user)).await;
        assert_eq!(client.receive::<LoggedIn>().await, LoggedIn(user));
        client
    }

    /// The session of a user who has logged in.
    pub fn session(&self, user: u32) -> Session<App> {
        self.server.sessions().of(&user).unwrap()
    }

    pub fn assert_nothing_left(&self) {
        let sessions = self.server.sessions();
        assert_eq!((sessions.open(), sessions.logged_in()), (0, 0));
    }
}

/// Waits until `happened`, for things that no event tells of.
pub async fn until(mut happened: impl FnMut() -> bool) {
    for _ in 0..1_000 {
        if happened() {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    panic!("it did not happen");
}

/// The frame that refuses a request with this code.
pub fn refusal(id: MessageId, code: ErrorCode) -> Frame {
    Frame::new(id.0, format!("{{\"error\":{code}}}"))
}

/// A message as the bytes of its frame.
pub fn bytes_of<M: Message>(message: &M) -> Vec<u8> {
    let mut bytes = bytes::BytesMut::new();
    uschat_server::wire::encode(M::ID.0, &message.to_body().unwrap(), &mut bytes).unwrap();
    bytes.to_vec()
}

/// A client that has logged in as user 1 and reads nothing; its pipe holds next to nothing.
pub async fn connect_deaf(fixture: &Fixture) -> (DuplexStream, JoinHandle<CloseReason>) {
    let (mut near, far) = duplex(64);
    let server = fixture.server.clone();
    let session = tokio::spawn(async move { server.serve_connection(far, None).await });
    near.write_all(&bytes_of(&Login(1))).await.unwrap();
    until(|| fixture.server.sessions().of(&1).is_some()).await;
    (near, session)
}
