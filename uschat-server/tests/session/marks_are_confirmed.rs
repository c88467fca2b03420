//! What the peer's system has acknowledged is confirmed, and nothing else: not what waits behind a closed window, not what
//! a reset, a kick or a time-out cut off.

use std::{any::Any, net::SocketAddr, time::Duration};

use socket2::SockRef;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpSocket, TcpStream},
    time::sleep,
};
use uschat_server::{
    CancellationToken, LogicSystem, Reply,
    proto::Message,
    session::{CloseReason, Mergeable, Pacing, PushError, SessionConfig},
    wire::Frame,
};

use crate::app::*;

/// More than two looks apart.
const TWO_LOOKS: Duration = Duration::from_millis(1_200);
const BUFFER: usize = 8 * 1024;
/// More than the buffers of both systems hold.
const PUSHES: u64 = 500;
const PUSH_BYTES: usize = 1_000;

/// A server on a port of its own; its sockets buffer little.
async fn listen(fixture: &Fixture) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    SockRef::from(&listener).set_send_buffer_size(BUFFER).unwrap();
    let address = listener.local_addr().unwrap();
    let server = fixture.server.clone();
    tokio::spawn(async move { server.listen(listener, CancellationToken::new()).await });
    address
}

/// A client that has logged in as user 1.
async fn connect(fixture: &Fixture) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(BUFFER as u32).unwrap();
    let mut client = socket.connect(listen(fixture).await).await.unwrap();
    client.write_all(&bytes_of(&Login(1))).await.unwrap();
    assert_eq!(read(&mut client, bytes_of(&LoggedIn(1)).len()).await, bytes_of(&LoggedIn(1)));
    client
}

async fn read(client: &mut TcpStream, bytes: usize) -> Vec<u8> {
    let mut read = vec![0; bytes];
    client.read_exact(&mut read).await.unwrap();
    read
}

/// A client that reads nothing of what is pushed and marked until both systems hold no more of it. Also returns how many
/// pushes its system has.
async fn connect_deaf(fixture: &Fixture) -> (TcpStream, u64) {
    let client = connect(fixture).await;
    let session = fixture.session(1);
    for mark in 1..=PUSHES {
        session.push_frame(Frame::new(Told::ID.0, vec![b' '; PUSH_BYTES])).unwrap();
        session.mark(mark);
    }
    until(|| session.confirmed() > 0).await;
    sleep(TWO_LOOKS).await;
    let mut there = vec![0; 1024 * 1024];
    let there = client.peek(&mut there).await.unwrap();
    let arrived = (there / (PUSH_BYTES + 4)) as u64;
    assert!((1..PUSHES / 2).contains(&arrived), "{arrived}");
    (client, arrived)
}

/// Small steps, so that the marks are close to each other.
fn one_frame_a_write() -> SessionConfig {
    SessionConfig { write_frames: 1, ..SessionConfig::default() }
}

async fn settled(fixture: &Fixture) -> u64 {
    until(|| !fixture.app.settled().is_empty()).await;
    fixture.app.settled()[0]
}

#[tokio::test]
async fn what_the_peers_system_has_is_confirmed_though_its_program_does_not_read() {
    let fixture = serve(SessionConfig::default());
    let mut client = connect(&fixture).await;
    let session = fixture.session(1);
    session.push(&Told(1)).unwrap();
    session.mark(7);
    session.push(&Told(2)).unwrap();
    session.mark(9);
    assert_eq!(session.confirmed(), 0);
    until(|| session.confirmed() == 9).await;
    // A mark behind which nothing is, and one that another session could not know of.
    session.mark(10);
    until(|| session.confirmed() == 10).await;
    let both = [bytes_of(&Told(1)), bytes_of(&Told(2))].concat();
    assert_eq!(read(&mut client, both.len()).await, both);
}

#[tokio::test]
async fn what_waits_behind_a_closed_window_is_not_until_it_opens() {
    let fixture = serve(one_frame_a_write());
    let (mut client, arrived) = connect_deaf(&fixture).await;
    let session = fixture.session(1);
    assert!((1..=arrived).contains(&session.confirmed()), "{} of {arrived}", session.confirmed());
    let reading = tokio::spawn(async move {
        read(&mut client, PUSHES as usize * (PUSH_BYTES + 4)).await;
        client
    });
    until(|| session.confirmed() == PUSHES).await;
    reading.await.unwrap();
}

#[tokio::test]
async fn a_reset_leaves_the_rest_unconfirmed() {
    let fixture = serve(one_frame_a_write());
    let (client, arrived) = connect_deaf(&fixture).await;
    SockRef::from(&client).set_linger(Some(Duration::ZERO)).unwrap();
    drop(client);
    let settled = settled(&fixture).await;
    assert!((1..=arrived).contains(&settled), "{settled} of {arrived}");
    assert_eq!(fixture.app.journal(), ["closed: broken"]);
}

#[tokio::test]
async fn so_does_a_newer_login() {
    let config = SessionConfig { replaced_grace: TWO_LOOKS / 10, write: TWO_LOOKS * 4, ..one_frame_a_write() };
    let fixture = serve(config);
    let (_client, arrived) = connect_deaf(&fixture).await;
    fixture.session(1).replace(Frame::new(Kicked::ID.0, "1"));
    let settled = settled(&fixture).await;
    assert!((1..=arrived).contains(&settled), "{settled} of {arrived}");
    assert_eq!(fixture.app.journal(), ["closed: replaced"]);
}

#[tokio::test]
async fn so_does_a_client_that_never_reads_again() {
    let fixture = serve(SessionConfig { write: TWO_LOOKS * 4, ..one_frame_a_write() });
    let (_client, arrived) = connect_deaf(&fixture).await;
    let settled = settled(&fixture).await;
    assert!((1..=arrived).contains(&settled), "{settled} of {arrived}");
    assert_eq!(fixture.app.journal(), ["closed: write_deadline"]);
}

#[tokio::test]
async fn so_does_a_queue_that_overflows() {
    let fixture = serve(one_frame_a_write());
    let (_client, arrived) = connect_deaf(&fixture).await;
    let session = fixture.session(1);
    let refused = std::iter::repeat_with(|| session.push(&Told(0))).take(2_000).find_map(Result::err);
    assert!(matches!(refused, Some(PushError::SlowConsumer)));
    session.mark(PUSHES + 1);
    let settled = settled(&fixture).await;
    assert!((1..=arrived).contains(&settled), "{settled} of {arrived}");
}

/// The end is looked at, without a wait for the next regular look.
#[tokio::test]
async fn a_client_that_closes_has_what_it_read() {
    let fixture = serve(SessionConfig::default());
    let mut client = connect(&fixture).await;
    fixture.session(1).push(&Told(1)).unwrap();
    fixture.session(1).mark(5);
    read(&mut client, bytes_of(&Told(1)).len()).await;
    drop(client);
    assert_eq!(settled(&fixture).await, 5);
    assert_eq!(fixture.app.journal(), ["closed: peer_closed"]);
}

#[tokio::test]
async fn a_session_that_we_close_is_confirmed_when_the_client_has_read_the_rest() {
    let fixture = serve(SessionConfig::default());
    let mut client = connect(&fixture).await;
    let session = fixture.session(1);
    for mark in 1..=100 {
        session.push_frame(Frame::new(Told::ID.0, vec![b' '; PUSH_BYTES])).unwrap();
        session.mark(mark);
    }
    session.close(CloseReason::Application("enough"));
    session.mark(101);
    let mut rest = Vec::new();
    client.read_to_end(&mut rest).await.unwrap();
    assert_eq!(rest.len(), 100 * (PUSH_BYTES + 4));
    drop(client);
    assert_eq!(settled(&fixture).await, 100, "the mark behind the close is not one");
}

/// Logs in and pushes and marks at once, but answers only when the gate opens.
async fn log_in_late(cx: Cx, Echo(user): Echo) -> Answer<Echoed> {
    cx.log_in(user)?;
    cx.session().push(&Told(1)).unwrap();
    cx.session().mark(1);
    cx.opened(user).await;
    Ok(Reply::Now(Echoed(user)))
}

#[tokio::test]
async fn a_mark_behind_held_pushes_waits_for_them() {
    let handlers = LogicSystem::builder().on_open(log_in_late);
    let fixture = serve_handlers(handlers, SessionConfig::default());
    let mut client = TcpStream::connect(listen(&fixture).await).await.unwrap();
    client.write_all(&bytes_of(&Echo(1))).await.unwrap();
    until(|| fixture.server.sessions().of(&1).is_some()).await;
    sleep(TWO_LOOKS).await;
    assert_eq!(fixture.session(1).confirmed(), 0);
    fixture.app.open(1);
    until(|| fixture.session(1).confirmed() == 1).await;
    let both = [bytes_of(&Echoed(1)), bytes_of(&Told(1))].concat();
    assert_eq!(read(&mut client, both.len()).await, both);
}

/// Numbers that become their sum.
struct Sum(u32);

impl Mergeable for Sum {
    fn size(&self) -> usize {
        8
    }
    fn key(&self) -> u64 {
        0
    }
    fn absorb(&mut self, later: &mut dyn Any) -> bool {
        later.downcast_ref::<Self>().map(|later| self.0 += later.0).is_some()
    }
    fn to_frame(&self) -> Option<Frame> {
        Some(Frame::new(Told::ID.0, Told(self.0).to_body().ok()?))
    }
}

#[tokio::test]
async fn merged_pushes_are_confirmed_with_their_last_mark() {
    let fixture = serve(SessionConfig { pacing: Pacing::Gap(Duration::from_millis(50)), ..Default::default() });
    let mut client = connect(&fixture).await;
    let session = fixture.session(1);
    for mark in 1..=4 {
        session.push_mergeable(Sum(mark as u32)).unwrap();
        session.mark(mark);
    }
    assert_eq!(read(&mut client, bytes_of(&Told(10)).len()).await, bytes_of(&Told(10)));
    until(|| session.confirmed() == 4).await;
}
