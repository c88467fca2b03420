//! Silence is bounded everywhere: before the first byte, before the login, within a frame, and between heartbeats.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, advance, sleep},
};
use uschat_server::{
    session::{CloseReason, Idle, SessionConfig},
    testing,
};

use crate::app::*;

#[tokio::test(start_paused = true)]
async fn a_peer_that_sends_nothing_is_closed() {
    let fixture = serve(SessionConfig::default());
    let since = Instant::now();
    let reason = testing::connect(&fixture.server).closed().await;
    assert!(matches!(reason, CloseReason::FirstByteDeadline));
    assert_eq!(since.elapsed().as_secs(), 5);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_does_not_log_in_is_closed() {
    let fixture = serve(SessionConfig::default());
    let mut client = testing::connect(&fixture.server);
    let since = Instant::now();
    let reason = loop {
        client.send(&Echo(1)).await;
        if client.receive_frame().await.is_none() {
            break client.closed().await;
        }
        sleep(Duration::from_millis(900)).await;
    };
    assert!(matches!(reason, CloseReason::LoginDeadline));
    assert!((10..12).contains(&since.elapsed().as_secs()), "{:?}", since.elapsed());
}

/// Always has more to say, until the test has failed.
struct Flood {
    end: Instant,
}

impl AsyncRead for Flood {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        let frames = [0, 99, 0, 0];
        while buf.remaining() >= frames.len() && Instant::now() < self.end {
            buf.put_slice(&frames);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Flood {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, buf: &[u8]) -> Poll<std::io::Result<usize>> {
        Poll::Ready(Ok(buf.len()))
    }
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Err(std::io::ErrorKind::NotConnected.into()))
    }
}

#[tokio::test]
async fn a_flood_does_not_put_the_login_off() {
    let fixture = serve(SessionConfig { login: Duration::from_millis(50), ..SessionConfig::default() });
    let flood = Flood { end: Instant::now() + Duration::from_secs(5) };
    assert!(matches!(fixture.server.serve_connection(flood, None).await, CloseReason::LoginDeadline));
}

#[tokio::test(start_paused = true)]
async fn half_a_header_is_closed() {
    let fixture = serve(SessionConfig { login: Duration::MAX, ..SessionConfig::default() });
    let mut client = testing::connect(&fixture.server);
    client.send_bytes(&[0, 3]).await;
    let since = Instant::now();
    assert!(matches!(client.closed().await, CloseReason::FrameDeadline));
    assert_eq!(since.elapsed().as_secs(), 10);
}

#[tokio::test(start_paused = true)]
async fn a_byte_a_second_is_closed() {
    let fixture = serve(SessionConfig::default());
    let mut client = fixture.log_in(1).await;
    let since = Instant::now();
    let bytes = [vec![0, 3, 0, 100], vec![b' '; 100]].concat();
    for byte in bytes {
        if fixture.server.sessions().of(&1).is_none() {
            break;
        }
        client.send_bytes(&[byte]).await;
        sleep(Duration::from_secs(1)).await;
    }
    assert!(matches!(client.closed().await, CloseReason::FrameDeadline));
    assert!((10..12).contains(&since.elapsed().as_secs()), "{:?}", since.elapsed());
}

#[tokio::test(start_paused = true)]
async fn an_honest_frame_in_pieces_is_not() {
    let fixture = serve(SessionConfig::default());
    let mut client = fixture.log_in(1).await;
    for _ in 0..5 {
        for byte in bytes_of(&Echo(1)) {
            client.send_bytes(&[byte]).await;
            sleep(Duration::from_secs(1)).await;
        }
        assert_eq!(client.receive::<Echoed>().await, Echoed(1));
    }
}

#[tokio::test(start_paused = true)]
async fn silence_ends_a_session_that_used_to_send_heartbeats() {
    let fixture = serve(SessionConfig::default());
    let mut client = fixture.log_in(1).await;
    let since = Instant::now();
    for _ in 0..10 {
        client.send(&Watch(0)).await;
        sleep(Duration::from_secs(20)).await;
    }
    assert!(matches!(client.closed().await, CloseReason::Idle));
    assert_eq!(since.elapsed().as_secs(), 9 * 20 + 25);
    fixture.assert_nothing_left();
}

#[tokio::test(start_paused = true)]
async fn silence_ends_any_session_where_that_is_wanted() {
    let fixture = serve(SessionConfig { idle: Idle::After(Duration::from_secs(60)), ..SessionConfig::default() });
    let mut client = fixture.log_in(1).await;
    for _ in 0..3 {
        sleep(Duration::from_secs(59)).await;
        client.send(&Echo(1)).await;
        assert_eq!(client.receive::<Echoed>().await, Echoed(1));
    }
    sleep(Duration::from_secs(59)).await;
    assert_eq!(fixture.server.sessions().open(), 1);
    assert!(matches!(client.closed().await, CloseReason::Idle));
}

#[tokio::test(start_paused = true)]
async fn silence_does_not_end_other_sessions_ever() {
    let fixture = serve(SessionConfig::default());
    let mut client = fixture.log_in(1).await;
    for _ in 0..24 {
        advance(Duration::from_secs(30 * 86_400)).await;
        tokio::task::yield_now().await;
    }
    client.send(&Echo(1)).await;
    assert_eq!(client.receive::<Echoed>().await, Echoed(1));
}

#[tokio::test(start_paused = true)]
async fn a_session_that_waits_for_its_handler_counts_as_alive() {
    let fixture = serve(SessionConfig::default());
    let mut client = fixture.log_in(1).await;
    client.send(&Watch(0)).await;
    client.send(&Wait(1)).await;
    sleep(Duration::from_secs(50)).await;
    fixture.app.open(1);
    assert_eq!(client.receive::<Waited>().await, Waited(1));
    sleep(Duration::from_secs(24)).await;
    client.send(&Echo(1)).await;
    assert_eq!(client.receive::<Echoed>().await, Echoed(1));
}
