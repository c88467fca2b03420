//! Tests for protocols without sockets: a client at the other end of a pipe, served by the same code as a TCP connection.
//!
//! ```
//! # use std::sync::Arc;
//! # use serde::{Deserialize, Serialize};
//! # use uschat_proto::{ErrorCode, Json, Message, MessageId, Request};
//! # use uschat_server::{Application, Context, LogicSystem, Reply, session::{Server, SessionConfig}, testing};
//! # struct App;
//! # impl Application for App { type User = u32; type Session = (); }
//! # #[derive(Serialize, Deserialize)] struct Ping;
//! # impl Message for Ping { const ID: MessageId = MessageId(1); type Encoding = Json; }
//! # #[derive(Debug, PartialEq, Serialize, Deserialize)] struct Pong;
//! # impl Message for Pong { const ID: MessageId = MessageId(2); type Encoding = Json; }
//! # impl Request for Ping { type Response = Pong; }
//! # #[tokio::main(flavor = "current_thread")] async fn main() {
//! async fn ping(_: Context<App>, _: Ping) -> Result<Reply<Pong>, ErrorCode> {
//!     Ok(Reply::Now(Pong))
//! }
//! let logic = LogicSystem::builder().on(ping).without_login_guard().build().unwrap();
//! let server = Arc::new(Server::new(Arc::new(App), logic, SessionConfig::default()));
//!
//! let mut client = testing::connect(&server);
//! client.send(&Ping).await;
//! assert_eq!(client.receive::<Pong>().await, Pong);
//! # }
//! ```
//!
//! Everything here panics where a test should fail, and waits at most [`PATIENCE`] (of paused time, in tests that pause it).

use std::{sync::Arc, time::Duration};

use bytes::BytesMut;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex},
    task::JoinHandle,
    time::timeout,
};
use uschat_proto::Message;
use uschat_wire::{Frame, FrameDecoder, Limits, MAX_BODY_LEN};

use crate::{
    Application,
    session::{CloseReason, Server},
};

/// How long a test waits for a frame or an end.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// What the pipe holds in each direction before a writer waits.
const PIPE: usize = 256 * 1024;

/// Opens a session and returns its client.
pub fn connect<A: Application>(server: &Arc<Server<A>>) -> Client {
    let (near, far) = duplex(PIPE);
    let server = server.clone();
    let session = tokio::spawn(async move { server.serve_connection(far, None).await });
    let decoder = FrameDecoder::new(Limits::default().max_body(MAX_BODY_LEN));
    Client { pipe: near, decoder, buffer: BytesMut::new(), session }
}

/// The other end of a session.
#[derive(Debug)]
pub struct Client {
    pipe: DuplexStream,
    decoder: FrameDecoder,
    buffer: BytesMut,
    session: JoinHandle<CloseReason>,
}

impl Client {
    /// Sends a message.
    pub async fn send<M: Message>(&mut self, message: &M) {
        let body = message.to_body().expect("the message should have a form on the wire");
        self.send_frame(M::ID.0, &body).await;
    }

    /// Sends a frame with any body.
    pub async fn send_frame(&mut self, id: u16, body: &[u8]) {
        let mut bytes = BytesMut::new();
        uschat_wire::encode(id, body, &mut bytes).expect("the body should fit a frame");
        self.send_bytes(&bytes).await;
    }

    /// Sends bytes that need not be frames.
    pub async fn send_bytes(&mut self, bytes: &[u8]) {
        timeout(PATIENCE, self.pipe.write_all(bytes))
            .await
            .expect("the session should read")
            .expect("the session should be open");
    }

    /// The next frame, which must be of type `M`.
    pub async fn receive<M: Message>(&mut self) -> M {
        let frame = self.receive_frame().await.expect("the session should send a frame before it ends");
        assert_eq!(frame.id, M::ID.0, "the next frame should have the id of {}", std::any::type_name::<M>());
        M::from_body(&frame.body).expect("the body should fit the message")
    }

    /// The next frame, or `None` at the end. Cancel safe.
    pub async fn receive_frame(&mut self) -> Option<Frame> {
        loop {
            if let Some(frame) = self.decoder.decode(&mut self.buffer).expect("the session should send frames") {
                return Some(frame);
            }
            if self.read().await == 0 {
                return None;
            }
        }
    }

    /// The bytes of the next read from the pipe, as many as one read brings; empty at the end.
    pub async fn receive_segment(&mut self) -> Vec<u8> {
        assert!(self.buffer.is_empty(), "segments and frames should not be mixed");
        self.read().await;
        self.buffer.split().to_vec()
    }

    /// Says that nothing more will be sent; the session may still answer.
    pub async fn finish_sending(&mut self) {
        self.pipe.shutdown().await.expect("a pipe can be shut down");
    }

    /// Closes the client's side, and waits for the session's end.
    pub async fn close(mut self) -> CloseReason {
        self.finish_sending().await;
        self.closed().await
    }

    /// Waits for the session's end; frames that still come are thrown away.
    pub async fn closed(mut self) -> CloseReason {
        while self.receive_frame().await.is_some() {}
        drop(self.pipe);
        timeout(PATIENCE, self.session)
            .await
            .expect("the session should end")
            .expect("the session task should not panic")
    }

    async fn read(&mut self) -> usize {
        let read = timeout(PATIENCE, self.pipe.read_buf(&mut self.buffer));
        read.await.expect("the session should send something").unwrap_or(0)
    }
}
