//! An original chat server, as its peers see it: what it serves, what it calls, and how it fails.
//!
//! Written from the tables of PROTOCOL.md, "Beside original servers", and not over our generated code: bytes in, bytes out.

mod protobuf;

use std::{
    convert::Infallible,
    net::SocketAddr,
    task::{Context, Poll},
    time::Duration,
};

use bytes::{Buf, BufMut, Bytes};
use tokio::{
    net::TcpListener,
    sync::{mpsc, watch},
    task::JoinHandle,
    time::timeout,
};
use tokio_util::sync::CancellationToken;
use tonic::{
    Request, Response, Status,
    body::Body,
    client,
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
    codegen::{BoxFuture, Service, http, http::uri::PathAndQuery},
    server::{self, NamedService, UnaryService},
    service::Routes,
    transport::Channel,
};
use uschat_server::{
    chat::{OriginalDialect, OriginalPeer},
    grpc_server::{self, GrpcServerConfig},
};

pub use protobuf::{Fields, Message};

/// A hang is a failure.
const PATIENCE: Duration = Duration::from_secs(20);

/// How the server takes calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Behaviour {
    /// With this `error`; originals always say 0.
    Answers(i32),
    /// Not, until it behaves otherwise.
    Hangs,
}

/// A call that arrived.
#[derive(Debug, Clone)]
pub struct Call {
    /// The last part of its path.
    pub method: String,
    pub request: Fields,
}

pub struct OriginalServer {
    pub address: SocketAddr,
    behaviour: watch::Sender<Behaviour>,
    calls: mpsc::UnboundedReceiver<Call>,
    arrived: mpsc::UnboundedSender<Call>,
    /// Dropped with it: every connection breaks.
    serving: Option<JoinHandle<()>>,
}

impl OriginalServer {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (arrived, calls) = mpsc::unbounded_channel();
        let (address, behaviour) = (listener.local_addr().unwrap(), watch::Sender::new(Behaviour::Answers(0)));
        let mut server = Self { address, behaviour, calls, arrived, serving: None };
        server.serve(listener);
        server
    }

    /// As a configuration of ours lists it.
    pub fn as_peer(&self, name: &str) -> OriginalPeer {
        OriginalPeer { name: name.into(), address: self.address.to_string(), dialect: OriginalDialect::FirstSeason }
    }

    /// The same for one of a later generation.
    pub fn as_later_peer(&self, name: &str) -> OriginalPeer {
        OriginalPeer { dialect: OriginalDialect::Later, ..self.as_peer(name) }
    }

    pub fn behave(&self, behaviour: Behaviour) {
        self.behaviour.send_replace(behaviour);
    }

    /// The next call that arrived, answered or not.
    pub async fn next(&mut self) -> Call {
        self.next_within(PATIENCE).await.expect("the original should be called")
    }

    /// The next call, which must be to this method.
    pub async fn expect(&mut self, method: &str) -> Fields {
        let call = self.next().await;
        assert_eq!(call.method, method, "{call:?}");
        call.request
    }

    pub async fn next_within(&mut self, time: Duration) -> Option<Call> {
        timeout(time, self.calls.recv()).await.ok().flatten()
    }

    /// Ends in the middle of whatever it does; connections are refused afterwards.
    pub async fn die(&mut self) {
        if let Some(serving) = self.serving.take() {
            serving.abort();
            let _ = serving.await;
        }
    }

    /// Starts again at the same address.
    pub async fn come_back(&mut self) {
        let listener = TcpListener::bind(self.address).await.unwrap();
        self.serve(listener);
    }

    fn serve(&mut self, listener: TcpListener) {
        let service = ChatService { behaviour: self.behaviour.subscribe(), arrived: self.arrived.clone() };
        self.serving = Some(tokio::spawn(async move {
            let routes = Routes::new(service);
            grpc_server::serve(listener, routes, GrpcServerConfig::default(), CancellationToken::new()).await.unwrap();
        }));
    }
}

impl Drop for OriginalServer {
    fn drop(&mut self) {
        if let Some(serving) = &self.serving {
            serving.abort();
        }
    }
}

/// Calls a chat server as an original does: one method of `message.ChatService`, no deadline of its own.
pub async fn call(peer: SocketAddr, method: &str, request: Message) -> Fields {
    let channel = Channel::from_shared(format!("http://{peer}")).unwrap().connect().await.unwrap();
    let mut client = client::Grpc::new(channel);
    client.ready().await.unwrap();
    let path = PathAndQuery::try_from(format!("/message.ChatService/{method}")).unwrap();
    let answered = timeout(PATIENCE, client.unary(Request::new(request.encode()), path, RawCodec)).await;
    Fields::decode(&answered.expect("an answer should come").unwrap().into_inner())
}

/// `TextChatMsgReq`: 1 fromuid, 2 touid, 3 textmsgs of 1 msgid, 2 msgcontent.
pub fn texts(from: i32, to: i32, texts: &[(&str, &str)]) -> Message {
    let text = |message: Message, (id, content): &(&str, &str)| {
        message.message(3, Message::default().text(1, id).text(2, content))
    };
    texts.iter().fold(Message::default().int(1, from).int(2, to), text)
}

/// `TextChatMsgReq` of a later generation: 1 fromuid, 2 touid, 3 thread_id, 4 textmsgs of 1 unique_id, 2 msg_id, 3 msgcontent.
pub fn later_texts(from: i32, to: i32, thread: i32, texts: &[(&str, i32, &str)]) -> Message {
    let text = |message: Message, (id, key, content): &(&str, i32, &str)| {
        message.message(4, Message::default().text(1, id).int(2, *key).text(3, content))
    };
    texts.iter().fold(Message::default().int(1, from).int(2, to).int(3, thread), text)
}

/// Answers as originals do: each response begins with `error` and repeats who is concerned.
fn response(method: &str, error: i32, request: &Fields) -> Message {
    let response = Message::default().int(1, error);
    match method {
        "NotifyAddFriend" => response.int(2, request.int(1)).int(3, request.int(7)),
        "NotifyAuthFriend" => response.int(2, request.int(1)).int(3, request.int(2)),
        "NotifyTextChatMsg" => {
            let response = response.int(2, request.int(1)).int(3, request.int(2));
            request.messages(3).iter().fold(response, |response, text| {
                response.message(4, Message::default().text(1, &text.text(1)).text(2, &text.text(2)))
            })
        }
        "NotifyKickUser" => response.int(2, request.int(1)),
        other => panic!("no original has {other}"),
    }
}

#[derive(Clone)]
struct ChatService {
    behaviour: watch::Receiver<Behaviour>,
    arrived: mpsc::UnboundedSender<Call>,
}

impl NamedService for ChatService {
    const NAME: &'static str = "message.ChatService";
}

impl Service<http::Request<Body>> for ChatService {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Infallible>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let method = request.uri().path().rsplit('/').next().unwrap_or_default().to_owned();
        let method = Method { method, service: self.clone() };
        Box::pin(async move { Ok(server::Grpc::new(RawCodec).unary(method, request).await) })
    }
}

struct Method {
    method: String,
    service: ChatService,
}

impl UnaryService<Bytes> for Method {
    type Response = Bytes;
    type Future = BoxFuture<Response<Bytes>, Status>;

    fn call(&mut self, request: Request<Bytes>) -> Self::Future {
        let ChatService { mut behaviour, arrived } = self.service.clone();
        let call = Call { method: self.method.clone(), request: Fields::decode(request.get_ref()) };
        Box::pin(async move {
            let _ = arrived.send(call.clone());
            let behaviour = behaviour.wait_for(|behaviour| *behaviour != Behaviour::Hangs).await;
            match behaviour.map(|behaviour| *behaviour) {
                Ok(Behaviour::Answers(error)) => {
                    Ok(Response::new(response(&call.method, error, &call.request).encode()))
                }
                _ => Err(Status::unavailable("the test is over")),
            }
        })
    }
}

/// Messages as the bytes they are.
#[derive(Clone, Copy)]
struct RawCodec;

impl Codec for RawCodec {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for RawCodec {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, message: Bytes, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put(message);
        Ok(())
    }
}

impl Decoder for RawCodec {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(buffer.copy_to_bytes(buffer.remaining())))
    }
}
