//! P4: clients that are not there any more.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
};
use tokio_util::sync::CancellationToken;
use uschat_examples::chaos::{Chaos, ChaosConfig};

use super::counted::{Counted, until_closed};

use crate::support::{Frame, RawClient, Topology, User, in_time, numbers_of};

/// A session that sent heartbeats may be silent so long.
const IDLE: Duration = Duration::from_secs(25);

#[tokio::test]
async fn p4_a_client_that_vanished_is_reaped_and_is_told_again_what_it_did_not_get() {
    let topology = Topology::start(&["--chats", "1"]).await;
    let (ada, bob) = topology.sign_up_friends("ada", "bob").await;
    let mut sender = RawClient::log_in_coalesced(&ada).await;
    let counted = Counted::at(&topology.ready.metrics).await;
    // A window of some KiB that nobody empties: what does not fit is never acknowledged, as from a machine that is gone.
    let mut gone = Gone::log_in(&topology.ready.chats[0].tcp, &bob).await;
    let content = "x".repeat(100);
    let (first, count) = (2, 200);
    for number in first..first + count {
        assert_eq!(numbers_of(&sender.say(&bob, &format!("id-{number}"), &content).await), [number]);
        if number == first {
            // From here on it is told everything at once, a frame each.
            gone.hears(first).await;
        }
    }
    let begin = Instant::now();
    until_closed(&topology.ready.metrics, &counted, "idle", 3 * IDLE).await;
    println!("reaped after {:?}", begin.elapsed());
    let confirmed = gone.confirmed().await;
    println!("its machine had {} texts", confirmed.len());

    // Without a cursor: a client of the first season.
    let (mut back, _) = RawClient::log_in(&bob).await;
    let mut again = Vec::new();
    while again.last() != Some(&(first + count - 1)) {
        again.extend(numbers_of(&back.expect(1019).await));
    }
    println!("{} are told again", again.len());
    let from = again[0];
    assert_eq!(again, (from..first + count).collect::<Vec<_>>(), "in order");
    let next = confirmed.last().map_or(first + 1, |last| last + 1);
    assert!(!confirmed.is_empty(), "its window held some");
    assert!(from <= next, "{from} is the first told again, {next} the first that its machine did not have");
    assert!(again.len() > 100, "so much fits into no window: {}", again.len());
    topology.assert_no_panic();
}

#[tokio::test]
async fn p4_a_half_open_session_with_heartbeats_is_reaped() {
    let topology = Topology::start(&["--chats", "1"]).await;
    let (mut ada, bob) = topology.sign_up_friends("ada", "bob").await;
    let home = topology.ready.chats[0].tcp.parse().unwrap();
    let chaos = Chaos::start(ChaosConfig::to(home), CancellationToken::new()).await.unwrap();
    (ada.host, ada.port) = ("127.0.0.1".to_owned(), chaos.address().port().to_string());
    let (mut vanishing, _) = RawClient::log_in(&ada).await;
    let mut witness = RawClient::log_in_coalesced(&bob).await;
    vanishing.assert_alive().await;
    let counted = Counted::at(&topology.ready.metrics).await;
    chaos.half_open();
    let begin = Instant::now();
    until_closed(&topology.ready.metrics, &counted, "idle", 3 * IDLE).await;
    println!("reaped after {:?}", begin.elapsed());
    assert!(begin.elapsed() > IDLE / 2, "that was no time of silence");
    witness.assert_alive().await;
    // Texts wait until the user is back.
    assert_eq!(numbers_of(&witness.say(&ada, "meanwhile", "are you there?").await), [2]);
    let (mut back, _) = RawClient::log_in(&ada).await;
    assert_eq!(numbers_of(&back.skip_to(1019).await), [2]);
    topology.assert_no_panic();
}

/// A client without our extension that sent a heartbeat once, and then neither reads nor says anything.
struct Gone(TcpStream);

impl Gone {
    async fn log_in(address: &str, user: &User) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4_096).unwrap();
        let mut stream = in_time("connecting", socket.connect(address.parse().unwrap())).await.unwrap();
        // Not paced: otherwise waiting texts would come as one frame, and its window holds but a part of that.
        let login = json!({ "uid": user.uid, "token": user.token, "features": ["coalesced"] });
        let mut hello = Frame::bytes(1005, login.to_string().as_bytes());
        hello.extend(Frame::bytes(1023, b"{}"));
        stream.write_all(&hello).await.unwrap();
        let mut gone = Self(stream);
        gone.skip_to(1024).await;
        gone
    }

    /// Reads up to the text with this number.
    async fn hears(&mut self, number: i64) {
        while numbers_of(&self.skip_to(1019).await).last() != Some(&number) {}
    }

    /// Frame after frame, nothing beyond.
    async fn skip_to(&mut self, wanted: u16) -> Value {
        loop {
            let (id, body) = in_time("a frame", frame(&mut self.0)).await;
            if id == wanted {
                return serde_json::from_slice(&body).unwrap();
            }
        }
    }

    /// The numbers of the texts that its kernel had acknowledged when nothing more fitted.
    async fn confirmed(&mut self) -> Vec<i64> {
        let mut bytes = vec![0; 1024 * 1024];
        let count = in_time("a look", self.0.peek(&mut bytes)).await.unwrap();
        let (mut rest, mut numbers) = (&bytes[..count], Vec::new());
        while let Some((header, behind)) = rest.split_at_checked(4) {
            let length = usize::from(u16::from_be_bytes([header[2], header[3]]));
            let Some((body, behind)) = behind.split_at_checked(length) else { break };
            let body: Value = serde_json::from_slice(body).unwrap();
            numbers.extend(numbers_of(&body));
            rest = behind;
        }
        assert!((1..bytes.len()).contains(&count), "{count} bytes");
        numbers
    }
}

async fn frame(stream: &mut TcpStream) -> (u16, Vec<u8>) {
    let (id, length) = (stream.read_u16().await.unwrap(), stream.read_u16().await.unwrap());
    let mut body = vec![0; length.into()];
    stream.read_exact(&mut body).await.unwrap();
    (id, body)
}
