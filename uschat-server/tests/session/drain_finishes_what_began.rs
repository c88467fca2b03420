//! A server that stops: handlers in flight finish, their answers and the deferred ones leave, then a farewell, then the
//! end; nothing new is begun, and what hangs is dropped at the deadline.

use std::{net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpSocket, TcpStream},
    task::JoinHandle,
    time::{Instant, timeout},
};
use uschat_server::{
    CancellationToken,
    session::{CloseReason, Pacing, SessionConfig},
    testing,
    wire::Frame,
};

use crate::app::*;

#[tokio::test(start_paused = true)]
async fn what_began_is_answered_and_then_comes_the_farewell() {
    let fixture = serve(SessionConfig::default());
    let mut client = fixture.log_in(1).await;
    client.send(&Defer(1)).await;
    client.send(&Wait(2)).await;
    client.send(&Echo(3)).await;
    until(|| fixture.app.journal() == ["wait 2"]).await;
    fixture.server.stop();
    fixture.app.open(2);
    assert_eq!(client.receive::<Waited>().await, Waited(2));
    fixture.app.open(1);
    assert_eq!(client.receive::<Deferred>().await, Deferred(1));
    assert_eq!(client.receive::<Goodbye>().await, Goodbye(0));
    assert!(client.receive_frame().await.is_none());
    assert!(matches!(client.closed().await, CloseReason::Draining));
    assert_eq!(fixture.app.journal(), ["wait 2", "waited 2", "deferred 1", "closed: draining"]);
    fixture.assert_nothing_left();
}

#[tokio::test(start_paused = true)]
async fn a_paced_session_gets_everything_too() {
    let config = SessionConfig { pacing: Pacing::Gap(Duration::from_millis(20)), ..SessionConfig::default() };
    let fixture = serve(config);
    let mut client = fixture.log_in(1).await;
    (0..10).for_each(|number| fixture.session(1).push(&Told(number)).unwrap());
    fixture.server.stop();
    for number in 0..10 {
        assert_eq!(client.receive_segment().await, bytes_of(&Told(number)));
    }
    assert_eq!(client.receive_segment().await, bytes_of(&Goodbye(0)));
    assert!(client.receive_segment().await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_connection_to_a_stopped_server_is_told_at_once() {
    let fixture = serve(SessionConfig::default());
    fixture.server.stop();
    let mut client = testing::connect(&fixture.server);
    client.send(&Login(1)).await;
    assert_eq!(client.receive::<Goodbye>().await, Goodbye(0));
    assert!(matches!(client.closed().await, CloseReason::Draining));
}

struct Listening {
    address: SocketAddr,
    shutdown: CancellationToken,
    serving: JoinHandle<std::io::Result<()>>,
}

async fn listen(fixture: &Fixture) -> Listening {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (server, shutdown) = (fixture.server.clone(), CancellationToken::new());
    let token = shutdown.clone();
    let serving = tokio::spawn(async move { server.listen(listener, token).await });
    Listening { address, shutdown, serving }
}

/// The system answers bytes that nobody read with a reset, which would take along whatever the peer has no room for yet.
#[tokio::test]
async fn over_tcp_the_last_answers_arrive_although_the_server_has_bytes_unread() {
    let fixture = serve(SessionConfig::default());
    let Listening { address, shutdown, serving } = listen(&fixture).await;
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut stream = socket.connect(address).await.unwrap();
    let unread: Vec<u8> = (0..5_000).flat_map(|number| bytes_of(&Echo(number))).collect();
    let sent = [bytes_of(&Login(1)), bytes_of(&Defer(1)), bytes_of(&Wait(2)), unread].concat();
    stream.write_all(&sent).await.unwrap();
    until(|| fixture.app.journal() == ["wait 2"]).await;
    for _ in 0..25 {
        fixture.session(1).push_frame(Frame::new(50, vec![0; 4_096])).unwrap();
    }

    shutdown.cancel();
    // By then the sessions have been told to end.
    while TcpStream::connect(address).await.is_ok() {}
    fixture.app.open(2);
    until(|| fixture.app.journal().len() == 2).await;
    fixture.app.open(1);
    // The client is busy elsewhere when the server closes.
    until(|| fixture.server.sessions().open() == 0).await;
    let mut received = Vec::new();
    stream.read_to_end(&mut received).await.expect("no reset");
    let last = [bytes_of(&Waited(2)), bytes_of(&Deferred(1)), bytes_of(&Goodbye(0))].concat();
    assert_eq!(received.len(), bytes_of(&LoggedIn(1)).len() + 25 * 4_100 + last.len());
    assert!(received.ends_with(&last));
    drop(stream);
    timeout(Duration::from_secs(5), serving).await.unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn what_hangs_is_dropped_at_the_deadline() {
    let fixture = serve(SessionConfig { drain: Duration::from_millis(300), ..SessionConfig::default() });
    let Listening { address, shutdown, serving } = listen(&fixture).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(&[bytes_of(&Login(1)), bytes_of(&Wait(1))].concat()).await.unwrap();
    until(|| fixture.app.journal() == ["wait 1"]).await;
    let since = Instant::now();
    shutdown.cancel();
    timeout(Duration::from_secs(5), serving).await.unwrap().unwrap().unwrap();
    assert!(since.elapsed() >= Duration::from_millis(300));
    fixture.assert_nothing_left();
    assert_eq!(fixture.app.journal(), ["wait 1"]);
}
