//! How connections end at the chaos proxy: cut after any byte, dropped, half-open, refused, or in good order.

use std::io::ErrorKind;

use tokio::{
    io::AsyncWriteExt,
    net::{TcpSocket, TcpStream},
};
use tokio_util::sync::CancellationToken;
use uschat_examples::chaos::{Chaos, ChaosConfig, Direction, End, Fault};

use crate::harness::{self, Link, chaos_to, echo_server, in_time, pair, pattern, read_all, read_exactly, until};

/// The bytes of the exchange that is cut at each of them.
const EXCHANGE: usize = 100;

fn error_of(end: End) -> Option<ErrorKind> {
    (end == End::Reset).then_some(ErrorKind::ConnectionReset)
}

#[tokio::test]
async fn a_request_is_cut_after_exactly_so_many_bytes() {
    let link = Link::new().await;
    let sent = pattern(EXCHANGE);
    for end in [End::Fin, End::Reset] {
        for offset in 0..=EXCHANGE {
            link.chaos.set(Direction::ToServer, [Fault::Cut { after: offset as u64, end }]);
            let (mut client, mut server) = pair(&link.chaos, &link.listener).await;
            // With a cut before the first byte the reset may be quicker.
            let _ = client.write_all(&sent).await;
            let seen = read_all(&mut server).await;
            assert_eq!(seen, (sent[..offset].to_vec(), error_of(end)), "{end:?} after {offset}, server");
            drop(server);
            assert_eq!(read_all(&mut client).await, (Vec::new(), error_of(end)), "{end:?} after {offset}, client");
        }
    }
    // And the connection of the link itself, by the first cut, after 0 bytes.
    assert_eq!(link.chaos.stop().await.cuts, 2 * (EXCHANGE as u64 + 1) + 1);
}

#[tokio::test]
async fn an_answer_is_cut_after_exactly_so_many_bytes() {
    let chaos = chaos_to(echo_server().await).await;
    let sent = pattern(EXCHANGE);
    for end in [End::Fin, End::Reset] {
        for offset in 0..=EXCHANGE {
            chaos.set(Direction::ToClient, [Fault::Cut { after: offset as u64, end }]);
            let mut client = TcpStream::connect(chaos.address()).await.unwrap();
            let _ = client.write_all(&sent).await;
            let seen = read_all(&mut client).await;
            assert_eq!(seen, (sent[..offset].to_vec(), error_of(end)), "{end:?} after {offset}");
        }
    }
    assert_eq!(chaos.snapshot().cuts, 2 * (EXCHANGE as u64 + 1));
}

#[tokio::test]
async fn a_cut_reaches_a_live_connection_and_one_cut_only_one() {
    let mut link = Link::new().await;
    let (mut other, mut other_server) = pair(&link.chaos, &link.listener).await;
    link.client.write_all(b"0123456789").await.unwrap();
    read_exactly(&mut link.server, 10).await;
    link.chaos.set(Direction::Both, [Fault::CutOnce { after: 5, end: End::Fin }]);
    assert_eq!(read_all(&mut link.client).await, (Vec::new(), None), "it was further already");
    other.write_all(b"0123456789").await.unwrap();
    assert_eq!(read_exactly(&mut other_server, 10).await, b"0123456789", "the cut is spent");
}

#[tokio::test]
async fn all_connections_are_dropped_at_once_and_later_ones_live() {
    for end in [End::Fin, End::Reset] {
        let mut link = Link::new().await;
        let (mut second, _) = pair(&link.chaos, &link.listener).await;
        link.chaos.drop_all(end);
        assert_eq!(read_all(&mut link.client).await, (Vec::new(), error_of(end)));
        assert_eq!(read_all(&mut link.server).await, (Vec::new(), error_of(end)));
        assert_eq!(read_all(&mut second).await, (Vec::new(), error_of(end)));
        drop((link.client, link.server, second));
        let (mut third, mut server) = pair(&link.chaos, &link.listener).await;
        third.write_all(b"alive").await.unwrap();
        assert_eq!(read_exactly(&mut server, 5).await, b"alive");
        assert_eq!(link.chaos.snapshot().dropped, 2);
    }
}

#[tokio::test]
async fn a_vanished_client_is_not_told_to_the_server() {
    let mut link = Link::new().await;
    link.client.write_all(b"here").await.unwrap();
    read_exactly(&mut link.server, 4).await;
    link.chaos.half_open();
    assert_eq!(read_all(&mut link.client).await, (Vec::new(), Some(ErrorKind::ConnectionReset)));
    link.until("it is half-open", |seen| seen.half_open == 1).await;

    // For the server it is all as before: it can write, and there is nothing to read, nor an end.
    link.server.write_all(b"are you there?").await.unwrap();
    link.until("the bytes are swallowed", |seen| seen.to_client.swallowed == 14).await;
    assert_eq!(link.server.try_read(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);

    // The client comes back beside it.
    let (mut client, mut server) = pair(&link.chaos, &link.listener).await;
    client.write_all(b"again").await.unwrap();
    assert_eq!(read_exactly(&mut server, 5).await, b"again");

    // The server gives the first one up, and the proxy shows it.
    drop(link.server);
    until(&link.chaos, "the server's end is seen", |seen| (seen.half_open, seen.live) == (0, 1)).await;
}

#[tokio::test]
async fn dropping_ends_half_open_connections_too() {
    let mut link = Link::new().await;
    link.chaos.half_open();
    link.until("it is half-open", |seen| seen.half_open == 1).await;
    link.chaos.drop_all(End::Reset);
    assert_eq!(read_all(&mut link.server).await, (Vec::new(), Some(ErrorKind::ConnectionReset)));
    link.until("it is gone", |seen| (seen.half_open, seen.live) == (0, 0)).await;
}

#[tokio::test]
async fn connecting_is_refused_until_it_listens_on_the_same_port_again() {
    let mut link = Link::new().await;
    let address = link.chaos.address();
    for _ in 0..20 {
        link.chaos.refuse().await.unwrap();
        link.chaos.refuse().await.unwrap();
        assert_eq!(TcpStream::connect(address).await.unwrap_err().kind(), ErrorKind::ConnectionRefused);
        link.chaos.accept().await.unwrap();
        assert_eq!(link.chaos.address(), address);
        let (mut client, mut server) = pair(&link.chaos, &link.listener).await;
        client.write_all(b"x").await.unwrap();
        read_exactly(&mut server, 1).await;
    }
    link.client.write_all(b"still here").await.unwrap();
    assert_eq!(read_exactly(&mut link.server, 10).await, b"still here");
}

#[tokio::test]
async fn a_port_that_refuses_is_given_to_nobody_else() {
    // No connection has been on it, which would keep the port too.
    let chaos = chaos_to(harness::listener().await.local_addr().unwrap()).await;
    chaos.refuse().await.unwrap();
    let other = TcpSocket::new_v4().unwrap();
    assert_eq!(other.bind(chaos.address()).unwrap_err().kind(), ErrorKind::AddrInUse);
    let address = chaos.address();
    chaos.stop().await;
    other.bind(address).unwrap();
}

#[tokio::test]
async fn both_ends_pass_on_how_the_other_ended() {
    let mut link = Link::new().await;
    link.client.write_all(b"last words").await.unwrap();
    link.client.shutdown().await.unwrap();
    assert_eq!(read_all(&mut link.server).await, (b"last words".to_vec(), None));
    // Half closed: the answer still comes.
    link.server.write_all(b"answer").await.unwrap();
    link.server.shutdown().await.unwrap();
    assert_eq!(read_all(&mut link.client).await, (b"answer".to_vec(), None));

    let (client, mut server) = pair(&link.chaos, &link.listener).await;
    client.set_zero_linger().unwrap();
    drop(client);
    assert_eq!(read_all(&mut server).await, (Vec::new(), Some(ErrorKind::ConnectionReset)));

    let (mut client, server) = pair(&link.chaos, &link.listener).await;
    server.set_zero_linger().unwrap();
    drop(server);
    assert_eq!(read_all(&mut client).await, (Vec::new(), Some(ErrorKind::ConnectionReset)));
    link.until("nothing is left", |seen| seen.live == 0).await;
}

#[tokio::test]
async fn a_server_that_is_not_there_is_a_reset() {
    let gone = harness::listener().await.local_addr().unwrap();
    let chaos = chaos_to(gone).await;
    let mut client = TcpStream::connect(chaos.address()).await.unwrap();
    assert_eq!(read_all(&mut client).await, (Vec::new(), Some(ErrorKind::ConnectionReset)));
    assert_eq!(chaos.snapshot().unreachable, 1);
}

#[tokio::test]
async fn the_token_the_handle_and_stopping_leave_no_task() {
    let tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    let listener = harness::listener().await;
    let server = listener.local_addr().unwrap();
    let none = tasks();
    for how in 0..3 {
        let token = CancellationToken::new();
        let chaos = Chaos::start(ChaosConfig::to(server), token.clone()).await.unwrap();
        let (mut client, served) = pair(&chaos, &listener).await;
        let (other, _silent) = pair(&chaos, &listener).await;
        chaos.half_open();
        until(&chaos, "both are half-open", |seen| seen.half_open == 2).await;
        let _ = read_all(&mut client).await;
        drop(other);
        match how {
            0 => assert_eq!(chaos.stop().await.live, 0),
            1 => drop(chaos),
            _ => {
                token.cancel();
                assert_eq!(in_time("it stops", chaos.stop()).await.live, 0);
            }
        }
        drop(served);
        in_time("all tasks end", async {
            while tasks() > none {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }
}

#[tokio::test]
async fn only_loopback_is_addressed() {
    let loopback = "127.0.0.1:1".parse().unwrap();
    let elsewhere = "192.0.2.1:1".parse().unwrap();
    for config in [ChaosConfig::to(elsewhere), ChaosConfig::to(loopback).listen("0.0.0.0:0".parse().unwrap())] {
        let error = Chaos::start(config, CancellationToken::new()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
    }
}
