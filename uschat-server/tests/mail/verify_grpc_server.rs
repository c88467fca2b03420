//! The limits of our gRPC servers, seen through the verification service.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use async_trait::async_trait;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
    time::{Instant, timeout},
};
use tokio_util::sync::CancellationToken;
use tonic::Code;
use uschat_proto::grpc::s1::{GetVarifyReq, varify_service_client::VarifyServiceClient};
use uschat_server::{
    grpc_server::{GrpcServerConfig, MAX_MESSAGE_BYTES},
    store::memory::MemoryState,
    verify::{MailError, Mailer, Outbox, Verify, VerifyConfig},
};

const PATIENCE: Duration = Duration::from_secs(5);
const SHORT: Duration = Duration::from_millis(300);

async fn start(server: GrpcServerConfig, mailer: impl Mailer) -> (SocketAddr, CancellationToken, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, shutdown) = (listener.local_addr().unwrap(), CancellationToken::new());
    let config = VerifyConfig { server, mail_deadline: Duration::from_secs(60), ..VerifyConfig::default() };
    let serving = Verify::new(config, Arc::new(MemoryState::new()), Arc::new(mailer)).serve(listener, shutdown.clone());
    let serving = tokio::spawn(async move { serving.await.unwrap() });
    (address, shutdown, serving)
}

async fn client(address: SocketAddr) -> VarifyServiceClient<tonic::transport::Channel> {
    VarifyServiceClient::connect(format!("http://{address}")).await.unwrap()
}

fn ask(email: &str) -> GetVarifyReq {
    GetVarifyReq { email: email.into() }
}

/// Reads until the server closes; what it said.
async fn rest(mut socket: TcpStream) -> Vec<u8> {
    let mut said = Vec::new();
    let _ = timeout(PATIENCE, socket.read_to_end(&mut said)).await.expect("the server keeps the connection");
    said
}

/// Never done with a mail.
struct Stuck;

#[async_trait]
impl Mailer for Stuck {
    async fn send_code(&self, _: &str, _: &str) -> Result<(), MailError> {
        std::future::pending().await
    }
}

#[tokio::test]
async fn silent_connections_are_closed() {
    let (address, ..) = start(GrpcServerConfig { first_call: SHORT, ..Default::default() }, Outbox::default()).await;
    let nothing = TcpStream::connect(address).await.unwrap();
    let mut preface = TcpStream::connect(address).await.unwrap();
    preface.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
    let mut called = client(address).await;
    assert_eq!(called.get_varify_code(ask("a@b")).await.unwrap().into_inner().error, 0);
    rest(nothing).await;
    rest(preface).await;
    assert_eq!(called.get_varify_code(ask("a@b")).await.unwrap().into_inner().error, 0, "one that called stays");
}

#[tokio::test]
async fn http1_and_garbage_are_refused() {
    let (address, ..) = start(GrpcServerConfig::default(), Outbox::default()).await;
    let garbage = "\0".repeat(64);
    for bytes in ["GET / HTTP/1.1\r\nHost: x\r\n\r\n", &garbage] {
        let mut socket = TcpStream::connect(address).await.unwrap();
        socket.write_all(bytes.as_bytes()).await.unwrap();
        rest(socket).await;
    }
    assert_eq!(client(address).await.get_varify_code(ask("a@b")).await.unwrap().into_inner().error, 0);
}

#[tokio::test]
async fn a_flood_of_resets_ends_its_connection_only() {
    let (address, ..) = start(GrpcServerConfig::default(), Outbox::default()).await;
    let mut honest = client(address).await;
    let mut flood = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec();
    for stream in (1..20_000_u32).step_by(2) {
        // HEADERS with :method POST, :scheme http, :path /; then RST_STREAM with CANCEL.
        flood.extend([0, 0, 3, 1, 0b100]);
        flood.extend(stream.to_be_bytes());
        flood.extend([0x83, 0x86, 0x84]);
        flood.extend([0, 0, 4, 3, 0]);
        flood.extend(stream.to_be_bytes());
        flood.extend([0, 0, 0, 8]);
    }
    let (mut read, mut write) = TcpStream::connect(address).await.unwrap().into_split();
    let flooding = tokio::spawn(async move { write.write_all(&flood).await });
    let mut said = Vec::new();
    let _ = timeout(PATIENCE, read.read_to_end(&mut said)).await.expect("the server keeps the connection");
    let _ = timeout(PATIENCE, flooding).await.unwrap();
    // GOAWAY (frame type 7) whose error code is ENHANCE_YOUR_CALM (11).
    let goodbye = said.windows(17).any(|frame| frame[..4] == [0, 0, frame[2], 7] && frame[13..] == [0, 0, 0, 11]);
    assert!(goodbye, "{said:?}");
    assert_eq!(honest.get_varify_code(ask("a@b")).await.unwrap().into_inner().error, 0);
}

#[tokio::test]
async fn messages_over_the_limit_are_refused() {
    let (address, ..) = start(GrpcServerConfig::default(), Outbox::default()).await;
    let mut client = client(address).await;
    let refused = client.get_varify_code(ask(&"a".repeat(MAX_MESSAGE_BYTES))).await.unwrap_err();
    assert_eq!(refused.code(), Code::OutOfRange);
    let long = client.get_varify_code(ask(&"a".repeat(MAX_MESSAGE_BYTES - 100))).await.unwrap().into_inner();
    assert_eq!(long.error, 3007);
}

#[tokio::test]
async fn a_call_ends_at_its_deadline() {
    let (address, ..) = start(GrpcServerConfig { call_deadline: SHORT, ..Default::default() }, Stuck).await;
    let refused = timeout(PATIENCE, client(address).await.get_varify_code(ask("a@b"))).await.unwrap().unwrap_err();
    assert_eq!(refused.code(), Code::DeadlineExceeded);
}

#[tokio::test]
async fn an_unknown_service_is_unimplemented() {
    use uschat_proto::grpc::s1::{GetChatServerReq, status_service_client::StatusServiceClient};

    let (address, ..) = start(GrpcServerConfig::default(), Outbox::default()).await;
    let mut status = StatusServiceClient::connect(format!("http://{address}")).await.unwrap();
    assert_eq!(status.get_chat_server(GetChatServerReq { uid: 1 }).await.unwrap_err().code(), Code::Unimplemented);
}

#[tokio::test]
async fn idle_connections_do_not_hold_up_a_shutdown() {
    let (address, shutdown, serving) = start(GrpcServerConfig::default(), Outbox::default()).await;
    let mut idle = client(address).await;
    idle.get_varify_code(ask("a@b")).await.unwrap();
    let began = Instant::now();
    shutdown.cancel();
    timeout(PATIENCE, serving).await.unwrap().unwrap();
    assert!(began.elapsed() < Duration::from_secs(2));
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn a_call_that_does_not_end_is_cut_at_the_drain_deadline() {
    let config = GrpcServerConfig { drain: SHORT, ..Default::default() };
    let (address, shutdown, serving) = start(config, Stuck).await;
    let mut stuck = client(address).await;
    let call = tokio::spawn(async move { stuck.get_varify_code(ask("a@b")).await });
    // The service answers another connection's call, so it has the first one's too.
    assert_eq!(client(address).await.get_varify_code(ask("nobody")).await.unwrap().into_inner().error, 3007);
    let began = Instant::now();
    shutdown.cancel();
    timeout(PATIENCE, serving).await.unwrap().unwrap();
    assert!(began.elapsed() >= SHORT && began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    assert!(timeout(PATIENCE, call).await.unwrap().unwrap().is_err());
}
