//! The chaos proxy holds back, swallows and pushes back, one way or both, with bounded memory.

use std::{io::ErrorKind, time::Duration};

use tokio::{io::AsyncWriteExt, net::TcpStream, time::timeout};
use tokio_util::sync::CancellationToken;
use uschat_examples::chaos::{Chaos, ChaosConfig, Direction, Fault};

use crate::harness::{
    self, KERNEL, Link, chaos_to, echo_server, fill, in_time, pair, pattern, read_all, read_exactly, until,
};

#[tokio::test]
async fn one_way_is_stalled_and_the_other_is_not() {
    let mut link = Link::new().await;
    link.chaos.set(Direction::ToClient, [Fault::Stall]);
    link.server.write_all(b"held").await.unwrap();
    link.until("the proxy has the bytes", |seen| seen.to_client.taken == 4).await;
    link.client.write_all(b"question").await.unwrap();
    assert_eq!(read_exactly(&mut link.server, 8).await, b"question");
    assert_eq!(link.client.try_read(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);

    link.chaos.set(Direction::ToServer, [Fault::Stall]);
    link.chaos.set(Direction::ToClient, []);
    assert_eq!(read_exactly(&mut link.client, 4).await, b"held");
    link.client.write_all(b"held too").await.unwrap();
    link.client.shutdown().await.unwrap();
    link.until("the proxy has these", |seen| seen.to_server.taken == 16).await;
    assert_eq!(link.server.try_read(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);
    link.chaos.heal();
    assert_eq!(read_all(&mut link.server).await, (b"held too".to_vec(), None));
}

#[tokio::test]
async fn a_stalled_end_is_not_told_until_the_stall_is_over() {
    let mut link = Link::new().await;
    link.chaos.set(Direction::ToServer, [Fault::Stall]);
    link.client.set_zero_linger().unwrap();
    drop(link.client);
    // The proxy learns it as soon as it writes there, and keeps it to itself.
    for _ in 0..20 {
        link.server.write_all(b"hello?").await.unwrap();
        tokio::task::yield_now().await;
    }
    assert_eq!(link.server.try_read(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);
    link.chaos.heal();
    assert_eq!(read_all(&mut link.server).await, (Vec::new(), Some(ErrorKind::ConnectionReset)));
}

#[tokio::test]
async fn a_writer_into_a_stall_stops_and_nothing_is_lost() {
    const BUFFER: usize = 10_000;
    let listener = harness::listener().await;
    let config = ChaosConfig::to(listener.local_addr().unwrap()).buffer(BUFFER);
    let chaos = Chaos::start(config, CancellationToken::new()).await.unwrap();
    let (client, mut server) = pair(&chaos, &listener).await;
    chaos.set(Direction::ToServer, [Fault::Stall]);
    let written = fill(&client).await;
    assert!(written > BUFFER && written < KERNEL, "{written} bytes");
    let seen = chaos.snapshot().to_server;
    assert_eq!((seen.taken, seen.passed), (BUFFER as u64, 0));
    chaos.heal();
    assert!(read_exactly(&mut server, written).await == pattern(written));
}

#[tokio::test]
async fn a_writer_to_a_vanished_client_stops_too() {
    let link = Link::new().await;
    link.chaos.half_open();
    let written = fill(&link.server).await;
    assert!(written > 64 * 1024 && written < KERNEL, "{written} bytes");
    let seen = link.chaos.snapshot();
    assert_eq!((seen.to_client.taken, seen.half_open), (64 * 1024, 1));
}

#[tokio::test]
async fn a_receiver_that_does_not_read_stops_the_sender() {
    let mut link = Link::new().await;
    let sender = tokio::spawn(async move {
        let sent = pattern(64 * 1024 * 1024);
        link.server.write_all(&sent).await.unwrap();
        link.server.shutdown().await.unwrap();
    });
    let held = |seen: &uschat_examples::chaos::Snapshot| seen.to_client.taken - seen.to_client.passed;
    // The kernel's buffers are full when the proxy's are.
    until(&link.chaos, "the proxy is full", |seen| held(seen) == 64 * 1024).await;
    assert!(!sender.is_finished());
    let (bytes, error) = read_all(&mut link.client).await;
    assert!(error.is_none() && bytes == pattern(64 * 1024 * 1024), "{error:?}, {} bytes", bytes.len());
    in_time("the sender is done", sender).await.unwrap();
}

#[tokio::test]
async fn a_black_hole_swallows_the_end_too_and_for_good() {
    let mut link = Link::new().await;
    link.chaos.set(Direction::ToServer, [Fault::BlackHole]);
    link.client.write_all(b"lost").await.unwrap();
    link.until("it is swallowed", |seen| seen.to_server.swallowed == 4).await;
    link.server.write_all(b"news").await.unwrap();
    assert_eq!(read_exactly(&mut link.client, 4).await, b"news", "the other direction works");

    // After a hole in the stream nothing may follow.
    link.chaos.heal();
    link.client.write_all(b"later").await.unwrap();
    link.until("that is swallowed", |seen| seen.to_server.swallowed == 9).await;
    link.client.shutdown().await.unwrap();
    drop(link.client);
    in_time("what goes to nobody is swallowed", async {
        while link.chaos.snapshot().to_client.swallowed == 0 {
            link.server.write_all(b"?").await.unwrap();
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(link.server.try_read(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);
    assert_eq!(link.chaos.snapshot().to_server.passed, 0);
    drop(link.server);
    until(&link.chaos, "the connection is over", |seen| seen.live == 0).await;
}

#[tokio::test]
async fn a_black_hole_in_both_directions_keeps_new_connections_from_the_server() {
    let mut link = Link::new().await;
    link.chaos.set(Direction::Both, [Fault::BlackHole]);
    let mut lost = TcpStream::connect(link.chaos.address()).await.unwrap();
    lost.write_all(b"anybody there?").await.unwrap();
    link.until("it is swallowed", |seen| seen.to_server.swallowed == 14).await;
    assert_eq!(lost.try_read(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);

    // An older connection that carried nothing meanwhile is whole.
    link.chaos.heal();
    link.client.write_all(b"whole").await.unwrap();
    assert_eq!(read_exactly(&mut link.server, 5).await, b"whole");
    // The server sees the next connection, not the swallowed one.
    let (mut client, mut server) = pair(&link.chaos, &link.listener).await;
    client.write_all(b"next").await.unwrap();
    assert_eq!(read_exactly(&mut server, 4).await, b"next");
}

#[tokio::test]
async fn connections_beyond_the_bound_wait_for_their_turn() {
    let config = ChaosConfig::to(echo_server().await).connections(2);
    let chaos = Chaos::start(config, CancellationToken::new()).await.unwrap();
    let mut clients = Vec::new();
    for _ in 0..3 {
        let mut client = TcpStream::connect(chaos.address()).await.unwrap();
        client.write_all(b"x").await.unwrap();
        clients.push(client);
    }
    read_exactly(&mut clients[0], 1).await;
    read_exactly(&mut clients[1], 1).await;
    assert_eq!(chaos.snapshot().accepted, 2);
    clients.remove(0);
    read_exactly(&mut clients[1], 1).await;
    assert_eq!(chaos.snapshot().accepted, 3);
}

#[tokio::test]
async fn many_connections_at_once_under_changing_faults() {
    const CLIENTS: usize = 150;
    let chaos = chaos_to(echo_server().await).await;
    let address = chaos.address();
    let sent = pattern(20_000);
    let mut clients = tokio::task::JoinSet::new();
    for _ in 0..CLIENTS {
        let sent = sent.clone();
        clients.spawn(async move {
            let mut client = TcpStream::connect(address).await.unwrap();
            let (mut from, mut to) = client.split();
            let mut read = Vec::new();
            let (wrote, ended) = tokio::join!(
                async {
                    to.write_all(&sent).await?;
                    to.shutdown().await
                },
                tokio::io::AsyncReadExt::read_to_end(&mut from, &mut read)
            );
            wrote.unwrap();
            ended.unwrap();
            assert!(read == sent);
        });
    }
    let late = Fault::Delay { base: Duration::from_millis(5), jitter: Duration::from_millis(5) };
    let mut turn = 0;
    in_time("all clients are done", async {
        while !clients.is_empty() {
            chaos.set(Direction::Both, [[late, late], [Fault::Stall, late], [late, late]][turn % 3]);
            turn += 1;
            if let Ok(Some(client)) = timeout(Duration::from_millis(2), clients.join_next()).await {
                client.unwrap();
            }
        }
    })
    .await;
    let seen = chaos.stop().await;
    let total = (CLIENTS * sent.len()) as u64;
    assert_eq!((seen.accepted, seen.to_server.passed, seen.to_client.passed), (CLIENTS as u64, total, total));
}
