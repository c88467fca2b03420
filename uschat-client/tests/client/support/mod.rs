//! A chat server that says exactly what a test tells it to.
// Each test file uses a part of it.
pub(crate) mod network;

use std::time::Duration;

use bytes::BytesMut;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::net::{TcpListener, TcpStream};
use uschat_client::{Chat, ChatConfig, Events, Ticket, UserId};
use uschat_wire::{FrameDecoder, Limits};

pub(crate) const ADA: UserId = UserId(1001);
pub(crate) const GRACE: UserId = UserId(1002);
pub(crate) const TOKEN: &str = "t0ken-that-stays-secret";

pub(crate) struct FakeServer<S> {
    pub(crate) stream: S,
    decoder: FrameDecoder,
    received: BytesMut,
}

pub(crate) fn ticket() -> Ticket {
    Ticket::new(ADA, TOKEN, "127.0.0.1", 9)
}

/// A pipe instead of a socket, so that time can be paused.
pub(crate) fn pipe() -> (DuplexStream, FakeServer<DuplexStream>) {
    let (client, server) = duplex(64 * 1024);
    (client, FakeServer::new(server))
}

/// A session over a pipe, logged in.
pub(crate) async fn logged_in(config: ChatConfig) -> (Chat, Events, FakeServer<DuplexStream>) {
    let (client, mut server) = pipe();
    let ticket = ticket();
    let (session, ()) = tokio::join!(Chat::connect_over(client, &ticket, config), server.accept_login());
    let (chat, events) = session.unwrap();
    (chat, events, server)
}

/// A session over TCP on loopback, logged in.
pub(crate) async fn logged_in_over_tcp() -> (Chat, Events, FakeServer<TcpStream>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let ticket = Ticket::new(ADA, TOKEN, "127.0.0.1", listener.local_addr().unwrap().port());
    let accept = async {
        let mut server = FakeServer::new(listener.accept().await.unwrap().0);
        server.accept_login().await;
        server
    };
    let (session, server) = tokio::join!(Chat::connect(&ticket, ChatConfig::default()), accept);
    let (chat, events) = session.unwrap();
    (chat, events, server)
}

pub(crate) fn profile(uid: UserId, name: &str) -> Value {
    json!({"uid": uid, "name": name, "nick": name, "desc": "", "sex": 0, "icon": ""})
}

pub(crate) fn friend(uid: UserId, name: &str) -> Value {
    let mut friend = profile(uid, name);
    friend["back"] = "remark".into();
    friend
}

/// A 1006 for Ada.
pub(crate) fn login_response() -> Value {
    let mut response = profile(ADA, "ada");
    response["error"] = 0.into();
    response["token"] = TOKEN.into();
    response["email"] = "ada@example.org".into();
    response
}

/// A stored text as 1018 and 1019 carry it.
pub(crate) fn stored(number: i64, client_id: &str, content: &str) -> Value {
    json!({"message_id": 100 + number, "unique_id": client_id, "content": content, "status": 2,
        "chat_time": "2026-11-20 10:00:00", "seq": number})
}

/// A 1018 to Ada or a 1019 from her, in conversation 5.
pub(crate) fn texts(from: UserId, to: UserId, chat_datas: Vec<Value>) -> Value {
    json!({"error": 0, "fromuid": from, "touid": to, "thread_id": 5, "chat_datas": chat_datas})
}

/// A 1019 with one text from Grace.
pub(crate) fn text_notice(number: i64) -> Value {
    texts(GRACE, ADA, vec![stored(number, "", &format!("text {number}"))])
}

impl<S: AsyncReadExt + AsyncWriteExt + Unpin> FakeServer<S> {
    pub(crate) fn new(stream: S) -> Self {
        Self { stream, decoder: FrameDecoder::new(Limits::default()), received: BytesMut::new() }
    }

    /// The next frame, or nothing when the client has closed.
    pub(crate) async fn read(&mut self) -> Option<(u16, Value)> {
        loop {
            if let Some(frame) = self.decoder.decode(&mut self.received).unwrap() {
                return Some((frame.id, serde_json::from_slice(&frame.body).unwrap()));
            }
            if self.stream.read_buf(&mut self.received).await.unwrap() == 0 {
                return None;
            }
        }
    }

    /// The body of the next frame, which must have this id.
    pub(crate) async fn expect(&mut self, id: u16) -> Value {
        let (seen, body) = self.read().await.expect("the client closed");
        assert_eq!(seen, id, "{body}");
        body
    }

    pub(crate) async fn send(&mut self, id: u16, body: &Value) {
        self.send_raw(id, body.to_string().as_bytes()).await;
    }

    pub(crate) async fn send_raw(&mut self, id: u16, body: &[u8]) {
        assert!(self.try_send(id, body).await, "the client closed");
    }

    /// False if the client has closed.
    pub(crate) async fn try_send(&mut self, id: u16, body: &[u8]) -> bool {
        let mut out = BytesMut::new();
        uschat_wire::encode(id, body, &mut out).unwrap();
        self.stream.write_all(&out).await.is_ok()
    }

    pub(crate) async fn accept_login(&mut self) {
        self.expect(1005).await;
        self.send(1006, &login_response()).await;
    }

    /// Stores the texts of a 1017 as numbers from `first_number` on.
    pub(crate) async fn acknowledge(&mut self, request: &Value, first_number: i64) {
        let items = request["text_array"].as_array().unwrap();
        let datas = items.iter().zip(first_number..);
        let datas =
            datas.map(|(item, n)| stored(n, item["unique_id"].as_str().unwrap(), item["content"].as_str().unwrap()));
        self.send(1018, &texts(ADA, GRACE, datas.collect())).await;
    }
}

/// Ends a test that hangs, with a message instead of silence.
pub(crate) async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), future).await.expect("the test hangs")
}
