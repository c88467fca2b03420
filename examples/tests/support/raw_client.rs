use std::io;

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
};

use super::{User, in_time, texts};

/// A chat connection that knows the frame and nothing else: id and length, two bytes each, high byte first, then a body.
#[derive(Debug)]
pub struct RawClient {
    stream: TcpStream,
    received: Vec<u8>,
    read_sizes: Vec<usize>,
}

/// A received frame.
#[derive(Debug, Clone, PartialEq)]
pub struct Frame {
    pub id: u16,
    pub body: Value,
}

impl RawClient {
    /// Connects; nothing is sent.
    pub async fn connect(address: &str) -> Self {
        let stream = in_time("connecting", TcpStream::connect(address)).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, received: Vec::new(), read_sizes: Vec::new() }
    }

    /// The same with a receive buffer of about so many bytes, so that a client that does not read is soon noticed.
    pub async fn connect_with_buffer(address: &str, bytes: u32) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(bytes).unwrap();
        let stream = in_time("connecting", socket.connect(address.parse().unwrap())).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, received: Vec::new(), read_sizes: Vec::new() }
    }

    /// Connects where the user's login reply says and logs in; returns the 1006 too.
    pub async fn log_in(user: &User) -> (Self, Value) {
        Self::log_in_at(&user.chat_address(), user, &[]).await
    }

    /// Logs in as a client of our days does: several frames in one segment are welcome.
    pub async fn log_in_coalesced(user: &User) -> Self {
        Self::log_in_at(&user.chat_address(), user, &["coalesced"]).await.0
    }

    /// Logs in on any chat server, declaring these features; returns the 1006 too.
    pub async fn log_in_at(address: &str, user: &User, features: &[&str]) -> (Self, Value) {
        let mut client = Self::connect(address).await;
        let reply = client.log_in_declaring(user, features).await;
        assert_eq!(reply["error"], 0, "{reply}");
        (client, reply)
    }

    /// Sends 1005 and returns the body of the 1006, whatever it says.
    pub async fn log_in_as(&mut self, user: &User) -> Value {
        self.log_in_declaring(user, &[]).await
    }

    /// The same, declaring these features.
    pub async fn log_in_declaring(&mut self, user: &User, features: &[&str]) -> Value {
        let mut body = json!({ "uid": user.uid, "token": user.token });
        if !features.is_empty() {
            body["features"] = json!(features);
        }
        self.send(1005, &body).await;
        self.expect(1006).await
    }

    /// Sends a request and returns the next frame of the answer's id; what comes before it is dropped.
    pub async fn ask(&mut self, id: u16, body: &Value) -> Value {
        self.send(id, body).await;
        self.skip_to(id + 1).await
    }

    /// Sends one text and returns the 1018, whatever it says.
    pub async fn say(&mut self, to: &User, id: &str, content: &str) -> Value {
        self.ask(1017, &texts(to.uid, &[(id, content)])).await
    }

    /// That the session lives and is in step: the next frame answers the heartbeat.
    pub async fn assert_alive(&mut self) {
        self.send(1023, &json!({})).await;
        let answer = self.expect(1024).await;
        assert_eq!(answer, json!({ "error": 0 }));
    }

    /// Sends one frame in one write.
    pub async fn send(&mut self, id: u16, body: &Value) {
        self.send_bytes(&encode(id, body.to_string().as_bytes())).await;
    }

    /// Sends these bytes as they are.
    pub async fn send_bytes(&mut self, bytes: &[u8]) {
        in_time("sending", self.stream.write_all(bytes)).await.unwrap();
    }

    /// The same where the server may close meanwhile; false when it has.
    pub async fn try_send_bytes(&mut self, bytes: &[u8]) -> bool {
        in_time("sending", self.stream.write_all(bytes)).await.is_ok()
    }

    /// The next frame; `None` when the server closed the connection, in whatever way, between two frames.
    pub async fn recv(&mut self) -> Option<Frame> {
        let frame = self.recv_or_cut().await;
        assert!(frame.is_some() || self.received.is_empty(), "the connection was closed within a frame");
        frame
    }

    /// The same, when the connection may also end within a frame.
    ///
    /// Cancel safe.
    pub async fn recv_or_cut(&mut self) -> Option<Frame> {
        self.recv_bytes().await.map(|bytes| Frame::of(&bytes))
    }

    /// The same as it came, header and body.
    pub async fn recv_bytes(&mut self) -> Option<Vec<u8>> {
        in_time("receiving a frame", async {
            loop {
                if let Some(bytes) = self.take_bytes() {
                    return Some(bytes);
                }
                self.received.reserve(65_536);
                match self.stream.read_buf(&mut self.received).await {
                    Ok(0) => return None,
                    Ok(size) => self.read_sizes.push(size),
                    Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return None,
                    Err(error) => panic!("receiving failed: {error}"),
                }
            }
        })
        .await
    }

    /// The body of the next frame, which must have this id.
    pub async fn expect(&mut self, id: u16) -> Value {
        let frame = self.recv().await.unwrap_or_else(|| panic!("closed, {id} was expected"));
        assert_eq!(frame.id, id, "{frame:?}");
        frame.body
    }

    /// The body of the next frame with this id; what comes before it is dropped.
    pub async fn skip_to(&mut self, id: u16) -> Value {
        loop {
            let frame = self.recv().await.unwrap_or_else(|| panic!("closed, {id} was expected"));
            if frame.id == id {
                return frame.body;
            }
        }
    }

    /// That the server closes the connection without another frame.
    pub async fn expect_closed(&mut self) {
        assert_eq!(self.recv().await, None);
    }

    /// The same, and that it was an orderly end of the stream, no reset.
    pub async fn expect_clean_end(&mut self) {
        in_time("the end of the stream", self.stream.read_to_end(&mut self.received)).await.unwrap();
        assert_eq!(self.received, b"");
    }

    /// How many bytes each read from the socket returned since the last call: with pacing, whole frames, one each.
    pub fn take_read_sizes(&mut self) -> Vec<usize> {
        std::mem::take(&mut self.read_sizes)
    }

    /// Closes the sending half.
    pub async fn shut_down(&mut self) {
        self.stream.shutdown().await.unwrap();
    }

    fn take_bytes(&mut self) -> Option<Vec<u8>> {
        let header = self.received.get(..4)?;
        let end = 4 + usize::from(u16::from_be_bytes([header[2], header[3]]));
        self.received.get(..end)?;
        Some(self.received.drain(..end).collect())
    }
}

impl Frame {
    /// What these bytes of one frame say.
    fn of(bytes: &[u8]) -> Self {
        let id = u16::from_be_bytes([bytes[0], bytes[1]]);
        Self { id, body: serde_json::from_slice(&bytes[4..]).unwrap() }
    }

    /// The bytes of a frame with any body.
    pub fn bytes(id: u16, body: &[u8]) -> Vec<u8> {
        encode(id, body)
    }
}

fn encode(id: u16, body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(body.len()).unwrap();
    [&id.to_be_bytes(), &length.to_be_bytes(), body].concat()
}
