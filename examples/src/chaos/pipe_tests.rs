#![allow(clippy::unwrap_used, reason = "tests only")]

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, duplex},
    task::JoinHandle,
    time::{Instant, sleep},
};

use super::{
    super::{Direction, End, Fault, fault::Faults, shared::Shared},
    Outcome, Pipe,
};

const MS: Duration = Duration::from_millis(1);

/// A pipe between two streams in memory, under paused time.
struct Rig {
    shared: Arc<Shared>,
    sender: DuplexStream,
    receiver: DuplexStream,
    outcome: JoinHandle<Outcome>,
}

impl Rig {
    fn new(faults: &[Fault], buffer: usize) -> Self {
        let shared = Arc::new(Shared::new(SocketAddr::from(([127, 0, 0, 1], 1)), 7, buffer));
        set(&shared, faults);
        let settings = shared.settings.subscribe();
        let mut pipe = Pipe::new(Direction::ToServer, 0, &shared, settings);
        let (mine, mut source) = duplex(1);
        let (mut sink, yours) = duplex(64);
        let outcome = tokio::spawn(async move { pipe.run(&mut source, &mut sink).await });
        Self { shared, sender: mine, receiver: yours, outcome }
    }
}

fn set(shared: &Shared, faults: &[Fault]) {
    shared.settings.send_modify(|settings| {
        settings.calls += 1;
        settings.to_server = Faults::new(faults.iter().copied(), settings.calls);
    });
}

#[tokio::test(start_paused = true)]
async fn everything_comes_late_by_the_delay_the_end_too() {
    let mut rig = Rig::new(&[Fault::Delay { base: 200 * MS, jitter: Duration::ZERO }], 100);
    let start = Instant::now();
    rig.sender.write_all(b"a").await.unwrap();
    assert_eq!(rig.receiver.read_u8().await.unwrap(), b'a');
    assert_eq!(start.elapsed(), 200 * MS);
    rig.sender.shutdown().await.unwrap();
    assert_eq!(rig.receiver.read(&mut [0]).await.unwrap(), 0);
    assert_eq!(start.elapsed(), 400 * MS);
    assert_eq!(rig.outcome.await.unwrap(), Outcome::Over);
}

#[tokio::test(start_paused = true)]
async fn a_stall_ends_when_it_is_taken_away() {
    let mut rig = Rig::new(&[Fault::Stall], 100);
    let start = Instant::now();
    let healer = tokio::spawn({
        let shared = Arc::clone(&rig.shared);
        async move {
            sleep(Duration::from_secs(30)).await;
            set(&shared, &[]);
        }
    });
    rig.sender.write_all(b"abc").await.unwrap();
    let mut read = [0; 3];
    rig.receiver.read_exact(&mut read).await.unwrap();
    assert_eq!((read, start.elapsed()), (*b"abc", Duration::from_secs(30)));
    healer.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_pause_ends_with_its_fault() {
    let mut rig = Rig::new(&[Fault::Dribble { bytes: 1, pause: Duration::from_secs(3_600) }], 100);
    let start = Instant::now();
    rig.sender.write_all(b"ab").await.unwrap();
    assert_eq!(rig.receiver.read_u8().await.unwrap(), b'a');
    set(&rig.shared, &[]);
    assert_eq!(rig.receiver.read_u8().await.unwrap(), b'b');
    assert_eq!(start.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_stalled_pipe_reads_up_to_its_bound() {
    let mut rig = Rig::new(&[Fault::Stall], 100);
    let mut written = 0;
    // The duplex takes one byte more.
    while tokio::time::timeout(1_000 * MS, rig.sender.write_u8(0)).await.is_ok() {
        written += 1;
    }
    assert_eq!(written, 101);
    assert_eq!(rig.shared.snapshot().to_server.taken, 100);
    set(&rig.shared, &[]);
    rig.sender.shutdown().await.unwrap();
    let mut read = Vec::new();
    rig.receiver.read_to_end(&mut read).await.unwrap();
    assert_eq!(read.len(), 101);
}

#[tokio::test(start_paused = true)]
async fn a_cut_for_one_connection_spares_the_others() {
    let shared = Arc::new(Shared::new(SocketAddr::from(([127, 0, 0, 1], 1)), 7, 100));
    set(&shared, &[Fault::CutOnce { after: 2, end: End::Reset }]);
    let mut outcomes = Vec::new();
    for number in 0..3 {
        let mut pipe = Pipe::new(Direction::ToServer, number, &shared, shared.settings.subscribe());
        let mut sink = Writes::default();
        outcomes.push((pipe.run(&mut &b"abcd"[..], &mut sink).await, sink.0.concat()));
    }
    assert_eq!(outcomes[0], (Outcome::Close(End::Reset), b"ab".to_vec()));
    assert_eq!(outcomes[1], (Outcome::Over, b"abcd".to_vec()));
    assert_eq!(outcomes[2], outcomes[1]);
    assert_eq!(shared.snapshot().cuts, 1);
}

#[tokio::test(start_paused = true)]
async fn dribbling_writes_single_bytes() {
    let shared = Arc::new(Shared::new(SocketAddr::from(([127, 0, 0, 1], 1)), 7, 100));
    set(&shared, &[Fault::Dribble { bytes: 1, pause: 10 * MS }]);
    let mut pipe = Pipe::new(Direction::ToServer, 0, &shared, shared.settings.subscribe());
    let (mut sink, start) = (Writes::default(), Instant::now());
    assert_eq!(pipe.run(&mut &b"abcde"[..], &mut sink).await, Outcome::Over);
    assert_eq!(sink.0, [b"a", b"b", b"c", b"d", b"e"]);
    assert_eq!(start.elapsed(), 50 * MS);
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_left_is_noticed() {
    let mut rig = Rig::new(&[], 100);
    drop(rig.receiver);
    rig.sender.write_all(b"a").await.unwrap();
    assert_eq!(rig.outcome.await.unwrap(), Outcome::SinkGone);
}

/// What each write brought.
#[derive(Default)]
struct Writes(Vec<Vec<u8>>);

impl AsyncWrite for Writes {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.0.push(bytes.to_vec());
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
