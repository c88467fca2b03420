//! A chat server on loopback over memory stores, and clients that speak frames.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use bytes::BytesMut;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpSocket, TcpStream},
    task::JoinHandle,
    time::timeout,
};
use tokio_util::sync::CancellationToken;
use uschat_proto::chat::{ThreadId, UserId};
use uschat_server::{
    chat::{Chat, ChatConfig, ChatStores},
    store::{
        Accounts, Chain, Contacts, Conversations, NewAccount, NewText, NewTexts, PasswordHash, Progress, StoredText,
        memory::{MemoryState, MemoryStore},
        state::Tokens,
    },
};
use uschat_wire::{FrameDecoder, Limits, MAX_BODY_LEN};

/// A hang is a failure.
pub const PATIENCE: Duration = Duration::from_secs(20);
pub const TOKEN: &str = "a-token";

pub struct World {
    pub store: Arc<MemoryStore>,
    pub state: Arc<MemoryState>,
}

pub struct Running {
    pub clients: SocketAddr,
    pub peers: SocketAddr,
    shutdown: CancellationToken,
    task: JoinHandle<std::io::Result<()>>,
}

impl World {
    pub fn new() -> Self {
        Self { store: Arc::new(MemoryStore::new()), state: Arc::new(MemoryState::new()) }
    }

    pub fn stores(&self) -> ChatStores {
        ChatStores {
            accounts: self.store.clone(),
            contacts: self.store.clone(),
            conversations: self.store.clone(),
            state: self.state.clone(),
        }
    }

    pub async fn server(&self, name: &str) -> Running {
        self.server_with(self.stores(), ChatConfig::new(name, "127.0.0.1")).await
    }

    pub async fn server_with(&self, stores: ChatStores, config: ChatConfig) -> Running {
        let clients = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let peers = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let shutdown = CancellationToken::new();
        let (clients_at, peers_at) = (clients.local_addr().unwrap(), peers.local_addr().unwrap());
        let chat = Chat::new(config, stores).unwrap();
        let task = tokio::spawn(chat.serve(clients, peers, shutdown.clone()));
        Running { clients: clients_at, peers: peers_at, shutdown, task }
    }

    /// A user who may log in with [`TOKEN`].
    pub async fn user(&self, name: &str) -> UserId {
        let account = NewAccount {
            name: name.into(),
            email: format!("{name}@example.org"),
            password: PasswordHash::new("not used here"),
            icon: String::new(),
        };
        let uid = self.store.create(account).await.unwrap();
        self.state.put_token(uid, TOKEN, Duration::from_secs(600)).await.unwrap();
        uid
    }

    /// Two friends who were told of the texts that their conversation begins with.
    pub async fn friends(&self, one: UserId, other: UserId) -> ThreadId {
        self.store.apply(one, other, "", "").await.unwrap();
        let texts = self.store.approve(other, one, "").await.unwrap().texts;
        let last = texts.last().unwrap();
        for uid in [one, other] {
            let fence = self.store.next_fence(uid).await.unwrap();
            let told = Progress { uid, fence, thread: last.thread, delivered: last.seq, read: 0 };
            self.store.record_progress(&[told]).await.unwrap();
        }
        last.thread
    }

    /// Stores a text as if its sender had said it on a server that tells nobody.
    pub async fn said(&self, sender: UserId, receiver: UserId, content: &str) -> StoredText {
        let text = NewText { client_id: None, content: content.into() };
        let (thread, sent_at, chain) = (None, 0, Chain::default());
        let texts = NewTexts { sender, receiver, thread, texts: vec![text], sent_at, chain };
        self.store.submit(texts).await.unwrap().texts.remove(0)
    }

    /// Up to where a user has everything, as the store knows.
    pub async fn delivered(&self, uid: UserId, thread: ThreadId) -> i64 {
        self.store.standings(uid, &[thread]).await.unwrap()[0].delivered
    }

    /// Waits until the store knows that.
    pub async fn until_delivered(&self, uid: UserId, thread: ThreadId, seq: i64) {
        let written = async {
            while self.delivered(uid, thread).await < seq {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(PATIENCE, written).await.expect("progress should be written");
    }
}

/// Ada and Ben, who are friends, and a server.
pub struct Friends {
    pub world: World,
    pub server: Running,
    pub ada: UserId,
    pub ben: UserId,
    pub thread: ThreadId,
}

impl Friends {
    /// With a server that writes progress and reads heads so often.
    pub async fn new(heartbeat: Duration) -> Self {
        let world = World::new();
        let (ada, ben) = (world.user("ada").await, world.user("ben").await);
        let thread = world.friends(ada, ben).await;
        let config = ChatConfig { heartbeat, ..ChatConfig::new("ours", "127.0.0.1") };
        let server = world.server_with(world.stores(), config).await;
        Self { world, server, ada, ben, thread }
    }
}

impl Running {
    pub async fn stop(self) {
        self.shutdown.cancel();
        timeout(PATIENCE, self.task).await.expect("the server should drain").unwrap().unwrap();
    }

    /// A client of this user, logged in, that declares nothing, as the original ones.
    pub async fn log_in(&self, uid: UserId) -> Client {
        self.log_in_with(uid, &[]).await
    }

    pub async fn log_in_with(&self, uid: UserId, features: &[&str]) -> Client {
        self.connect().await.logged_in(uid, features).await
    }

    pub async fn connect(&self) -> Client {
        Client::over(TcpStream::connect(self.clients).await.unwrap())
    }

    /// The system takes in little for a client that does not read.
    pub async fn connect_with_a_small_buffer(&self) -> Client {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(64 * 1024).unwrap();
        Client::over(socket.connect(self.clients).await.unwrap())
    }
}

pub struct Client {
    stream: TcpStream,
    decoder: FrameDecoder,
    buffer: BytesMut,
}

impl Client {
    fn over(stream: TcpStream) -> Self {
        let decoder = FrameDecoder::new(Limits::default().max_body(MAX_BODY_LEN));
        Self { stream, decoder, buffer: BytesMut::new() }
    }

    pub async fn logged_in(mut self, uid: UserId, features: &[&str]) -> Self {
        self.send(1005, &json!({"uid": uid, "token": TOKEN, "features": features})).await;
        assert_eq!(self.expect(1006).await["error"], 0);
        self
    }

    pub async fn send(&mut self, id: u16, body: &Value) {
        let mut bytes = BytesMut::new();
        uschat_wire::encode(id, body.to_string().as_bytes(), &mut bytes).unwrap();
        self.stream.write_all(&bytes).await.unwrap();
    }

    /// The next frame, which must have this id.
    pub async fn expect(&mut self, id: u16) -> Value {
        let (got, body) = self.receive().await.expect("a frame should come before the end");
        assert_eq!(got, id, "{body}");
        body
    }

    pub async fn receive(&mut self) -> Option<(u16, Value)> {
        loop {
            if let Some(frame) = self.decoder.decode(&mut self.buffer).unwrap() {
                return Some((frame.id, serde_json::from_slice(&frame.body).unwrap()));
            }
            let read = timeout(PATIENCE, self.stream.read_buf(&mut self.buffer)).await;
            if read.expect("something should come").unwrap() == 0 {
                return None;
            }
        }
    }

    /// The numbers of the next so many texts; they must come in 1019s of this conversation.
    pub async fn told(&mut self, thread: ThreadId, texts: usize) -> Vec<i64> {
        let mut told = Vec::new();
        while told.len() < texts {
            let body = self.expect(1019).await;
            assert_eq!(body["thread_id"], thread.0, "{body}");
            told.extend(body["chat_datas"].as_array().unwrap().iter().map(|text| text["seq"].as_i64().unwrap()));
        }
        told
    }

    /// Nothing comes for as long as a server waits before it tells a new session what waits, and some more.
    pub async fn hears_nothing(&mut self) {
        let came = timeout(Duration::from_millis(700), self.receive()).await;
        assert!(came.is_err(), "{came:?}");
    }

    /// Asks for a heartbeat: whatever comes before its answer was sent before.
    pub async fn is_alive(&mut self) {
        self.send(1023, &json!({})).await;
        assert_eq!(self.expect(1024).await["error"], 0);
    }
}

pub fn text(to: UserId, content: &str, client_id: &str) -> Value {
    json!({"touid": to, "text_array": [{"content": content, "msgid": client_id}]})
}
