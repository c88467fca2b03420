//! The chaos proxy makes bytes late, by its own clock: these tests pause it, so the lower bounds are exact.

use std::time::Duration;

use tokio::{io::AsyncWriteExt, net::TcpStream, time::Instant};
use uschat_examples::chaos::{Direction, Fault};

use crate::harness::{Link, chaos_to, echo_server, pattern, read_all, read_exactly};

const MS: Duration = Duration::from_millis(1);

#[tokio::test(start_paused = true)]
async fn a_delay_of_either_direction_and_of_both() {
    let chaos = chaos_to(echo_server().await).await;
    let late = Fault::Delay { base: 200 * MS, jitter: Duration::ZERO };
    let mut client = TcpStream::connect(chaos.address()).await.unwrap();
    for (direction, least) in
        [(Direction::ToServer, 200 * MS), (Direction::ToClient, 200 * MS), (Direction::Both, 400 * MS)]
    {
        chaos.heal();
        chaos.set(direction, [late]);
        let start = Instant::now();
        client.write_all(b"ping").await.unwrap();
        assert_eq!(read_exactly(&mut client, 4).await, b"ping");
        assert!(start.elapsed() >= least, "{direction:?}: {:?}", start.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn the_end_of_the_stream_is_late_too() {
    let mut link = Link::new().await;
    link.chaos.set(Direction::ToServer, [Fault::Delay { base: 3_000 * MS, jitter: Duration::ZERO }]);
    let start = Instant::now();
    link.client.shutdown().await.unwrap();
    assert_eq!(read_all(&mut link.server).await, (Vec::new(), None));
    assert!(start.elapsed() >= 3_000 * MS, "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn jitter_keeps_the_order() {
    let mut link = Link::new().await;
    link.chaos.set(Direction::ToServer, [Fault::Delay { base: 200 * MS, jitter: 200 * MS }]);
    let sent = pattern(500);
    for chunk in sent.chunks(5) {
        link.client.write_all(chunk).await.unwrap();
        // Lets the proxy read, so that many reads have delays of their own.
        tokio::time::sleep(MS).await;
    }
    assert!(read_exactly(&mut link.server, 500).await == sent);
}

#[tokio::test(start_paused = true)]
async fn bandwidth_is_shared_by_nobody_and_goes_back_to_all_there_is() {
    let mut link = Link::new().await;
    link.chaos.set(Direction::ToServer, [Fault::Bandwidth { bytes_per_second: 8_000 }]);
    let sent = pattern(16_000);
    let start = Instant::now();
    link.client.write_all(&sent).await.unwrap();
    assert!(read_exactly(&mut link.server, 16_000).await == sent);
    // All but the first portion, and what may be caught up.
    assert!(start.elapsed() >= 1_950 * MS, "{:?}", start.elapsed());

    // The other direction is as fast as ever; by the paused clock that takes no time.
    let start = Instant::now();
    link.server.write_all(&sent).await.unwrap();
    assert!(read_exactly(&mut link.client, 16_000).await == sent);
    assert!(start.elapsed() < 1_000 * MS, "{:?}", start.elapsed());

    link.chaos.set(Direction::ToServer, [Fault::Bandwidth { bytes_per_second: 1 }]);
    link.client.write_all(&sent).await.unwrap();
    let start = Instant::now();
    assert!(read_exactly(&mut link.server, 10).await == sent[..10]);
    assert!(start.elapsed() >= 8_900 * MS, "{:?}", start.elapsed());
    link.chaos.heal();
    let start = Instant::now();
    assert!(read_exactly(&mut link.server, 15_990).await == sent[10..]);
    assert!(start.elapsed() < 1_000 * MS, "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn dribbled_bytes_come_one_by_one() {
    let mut link = Link::new().await;
    link.chaos.set(Direction::ToClient, [Fault::Dribble { bytes: 1, pause: 100 * MS }]);
    let start = Instant::now();
    link.server.write_all(b"abcdefghij").await.unwrap();
    for (count, byte) in (0..).zip(b"abcdefghij") {
        let mut read = [0; 10];
        let size = tokio::io::AsyncReadExt::read(&mut link.client, &mut read).await.unwrap();
        assert_eq!(&read[..size], [*byte], "one byte in one read");
        assert!(start.elapsed() >= count * 100 * MS, "byte {count} after {:?}", start.elapsed());
    }
}
