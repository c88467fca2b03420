//! A paced session: the first frame after a pause leaves at once, each further one a gap later, and waiting pushes merge.

use std::{any::Any, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::{Instant, sleep},
};
use uschat_server::{
    CancellationToken,
    proto::Message,
    session::{Mergeable, Pacing, SessionConfig},
    testing,
    wire::Frame,
};

use crate::app::*;

const GAP: Duration = Duration::from_millis(20);

fn paced() -> SessionConfig {
    SessionConfig { pacing: Pacing::Gap(GAP), ..SessionConfig::default() }
}

#[tokio::test(start_paused = true)]
async fn one_frame_a_gap() {
    let fixture = serve(paced());
    let mut client = fixture.log_in(1).await;
    for _ in 0..2 {
        sleep(Duration::from_secs(1)).await;
        let since = Instant::now();
        for number in 0..4 {
            fixture.session(1).push(&Told(number)).unwrap();
        }
        for number in 0..4 {
            assert_eq!(client.receive_segment().await, bytes_of(&Told(number)));
            // The timer counts whole milliseconds.
            let (passed, due) = (since.elapsed(), GAP * number);
            assert!((due..=due + Duration::from_millis(4)).contains(&passed), "frame {number} after {passed:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn answers_are_kept_apart_too() {
    let fixture = serve(paced());
    let mut client = testing::connect(&fixture.server);
    client.send_bytes(&[bytes_of(&Login(1)), bytes_of(&Echo(2)), bytes_of(&Echo(3))].concat()).await;
    assert_eq!(client.receive_segment().await, bytes_of(&LoggedIn(1)));
    assert_eq!(client.receive_segment().await, bytes_of(&Echoed(2)));
    assert_eq!(client.receive_segment().await, bytes_of(&Echoed(3)));
}

#[tokio::test(start_paused = true)]
async fn until_the_client_says_it_need_not_be() {
    let fixture = serve(paced());
    let mut client = fixture.log_in(1).await;
    fixture.session(1).unpace();
    sleep(GAP).await;
    for number in 0..3 {
        fixture.session(1).push(&Told(number)).unwrap();
    }
    let all: Vec<u8> = (0..3).flat_map(|number| bytes_of(&Told(number))).collect();
    assert_eq!(client.receive_segment().await, all);
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

#[tokio::test(start_paused = true)]
async fn waiting_pushes_merge() {
    let fixture = serve(paced());
    let mut client = fixture.log_in(1).await;
    sleep(GAP).await;
    let session = fixture.session(1);
    session.push_mergeable(Sum(1)).unwrap();
    assert_eq!(client.receive_segment().await, bytes_of(&Told(1)));
    // The gap runs: these wait for it together, though they come one by one.
    for number in [2, 3, 4] {
        session.push_mergeable(Sum(number)).unwrap();
        sleep(Duration::from_millis(2)).await;
    }
    assert_eq!(client.receive_segment().await, bytes_of(&Told(9)));
}

#[tokio::test(start_paused = true)]
async fn sessions_without_pacing_get_each_push_by_itself() {
    let fixture = serve(SessionConfig::default());
    let mut client = fixture.log_in(1).await;
    fixture.session(1).push_mergeable(Sum(1)).unwrap();
    fixture.session(1).push_mergeable(Sum(2)).unwrap();
    assert_eq!(client.receive::<Told>().await, Told(1));
    assert_eq!(client.receive::<Told>().await, Told(2));
}

/// Over real TCP and in real time: a client that reads whatever is there never finds two frames in one read.
#[tokio::test]
async fn two_frames_never_arrive_in_one_read() {
    let fixture = serve(paced());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (server, shutdown) = (fixture.server.clone(), CancellationToken::new());
    let serving = tokio::spawn({
        let shutdown = shutdown.clone();
        async move { server.listen(listener, shutdown).await }
    });
    // A thread of its own, as a client has.
    let reading = tokio::task::spawn_blocking(move || {
        use std::io::{Read, Write};
        let mut stream = std::net::TcpStream::connect(address).unwrap();
        stream.write_all(&bytes_of(&Login(1))).unwrap();
        stream.write_all(&bytes_of(&Echo(1))).unwrap();
        let mut reads = Vec::new();
        while reads.len() < 30 {
            let mut buffer = [0; 4096];
            let bytes = stream.read(&mut buffer).unwrap();
            reads.push(buffer[..bytes].to_vec());
        }
        reads
    });
    until(|| fixture.server.sessions().of(&1).is_some()).await;
    for number in 0..28 {
        fixture.session(1).push(&Told(number)).unwrap();
    }
    let reads = reading.await.unwrap();
    assert_eq!(reads[0], bytes_of(&LoggedIn(1)));
    for read in &reads {
        assert_eq!(read.len(), 4 + usize::from(u16::from_be_bytes([read[2], read[3]])), "{read:?}");
    }
    shutdown.cancel();
    serving.await.unwrap().unwrap();
}

/// The counterpart, which shows that the client above would notice.
#[tokio::test]
async fn without_pacing_they_do() {
    let fixture = serve(SessionConfig::default());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (far, _) = listener.accept().await.unwrap();
    let server = fixture.server.clone();
    tokio::spawn(async move { server.serve_connection(far, None).await });
    stream.write_all(&[bytes_of(&Login(1)), bytes_of(&Echo(1))].concat()).await.unwrap();
    let mut buffer = [0; 4096];
    let bytes = stream.read(&mut buffer).await.unwrap();
    assert_eq!(buffer[..bytes], [bytes_of(&LoggedIn(1)), bytes_of(&Echoed(1))].concat());
}
