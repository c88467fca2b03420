//! However a session ends, nobody waits for ever and everybody learns why.

use std::time::Duration;

use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::time::Instant;
use uschat_client::{ChatConfig, DisconnectReason, Event, RequestError};

use crate::support::{GRACE, logged_in, logged_in_over_tcp, within};

#[tokio::test]
async fn a_cut_connection_ends_the_calls_in_flight_and_later_ones() {
    let (chat, mut events, mut server) = logged_in_over_tcp().await;
    let serve = async {
        server.expect(1017).await;
        server.expect(1007).await;
        drop(server);
    };
    let calls = async { tokio::join!(chat.send_text(GRACE, "a"), chat.search("b")) };
    let ((a, b), ()) = within(async { tokio::join!(calls, serve) }).await;
    assert!(matches!(a, Err(RequestError::Disconnected(DisconnectReason::ClosedByServer))), "{a:?}");
    assert!(matches!(b, Err(RequestError::Disconnected(DisconnectReason::ClosedByServer))), "{b:?}");
    let later = within(chat.search("c")).await;
    assert!(matches!(later, Err(RequestError::Disconnected(DisconnectReason::ClosedByServer))), "{later:?}");
    assert!(matches!(within(events.next()).await, Some(Event::Disconnected { .. })));
}

#[tokio::test]
async fn a_notice_that_is_not_understood_ends_the_session_with_a_clear_error() {
    for (id, body) in
        [(1019, &b"garbage"[..]), (1019, br#"{"error":0,"fromuid":1,"touid":2}"#), (1011, b"[]"), (1021, b"")]
    {
        let (_chat, mut events, mut server) = logged_in(ChatConfig::default()).await;
        server.send_raw(id, body).await;
        let Some(Event::Disconnected { reason }) = within(events.next()).await else { panic!("{id}") };
        let text = reason.to_string();
        assert!(text.starts_with(&format!("the server sent a notice {id} that is not understood: ")), "{text}");
    }
}

#[tokio::test]
async fn a_server_that_stops_in_good_order_says_so() {
    let (chat, mut events, mut server) = logged_in(ChatConfig::default()).await;
    server.send(3002, &json!({"error": 0})).await;
    let end = within(events.next()).await;
    assert!(matches!(end, Some(Event::Disconnected { reason: DisconnectReason::ServerStopping })), "{end:?}");
    let later = within(chat.search("x")).await;
    assert!(matches!(later, Err(RequestError::Disconnected(DisconnectReason::ServerStopping))), "{later:?}");
}

#[tokio::test]
async fn half_a_frame_is_no_frame() {
    let (_chat, mut events, mut server) = logged_in(ChatConfig::default()).await;
    server.stream.write_all(b"\x03\xFB\xFF\xFF{").await.unwrap();
    server.stream.shutdown().await.unwrap();
    let end = within(events.next()).await;
    assert!(matches!(end, Some(Event::Disconnected { reason: DisconnectReason::ClosedByServer })), "{end:?}");
}

#[tokio::test(start_paused = true)]
async fn heartbeats_are_sent_and_silence_after_two_ends_the_session() {
    let (chat, mut events, mut server) = logged_in(ChatConfig::default()).await;
    let start = Instant::now();
    for _ in 0..6 {
        assert_eq!(server.expect(1023).await, json!({"fromuid": crate::support::ADA}));
        server.send(1024, &json!({"error": 0})).await;
    }
    assert_eq!(start.elapsed(), Duration::from_secs(60));
    let end = events.next().await;
    assert!(matches!(end, Some(Event::Disconnected { reason: DisconnectReason::HeartbeatMissed })), "{end:?}");
    assert_eq!(start.elapsed(), Duration::from_secs(90), "two heartbeats at 70 s and 80 s, given up at 90 s");
    let later = chat.search("x").await;
    assert!(matches!(later, Err(RequestError::Disconnected(DisconnectReason::HeartbeatMissed))), "{later:?}");
}

#[tokio::test(start_paused = true)]
async fn closing_waits_for_the_answers_in_flight() {
    let (chat, mut events, mut server) = logged_in(ChatConfig::default()).await;
    let serve = async {
        let request = server.expect(1017).await;
        tokio::time::sleep(Duration::from_secs(2)).await;
        server.acknowledge(&request, 1).await;
        assert_eq!(server.read().await, None, "the end of the stream follows the answer");
    };
    let call = chat.send_text(GRACE, "last words");
    let close = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let closing = tokio::spawn({
            let chat = chat.clone();
            async move { chat.close().await }
        });
        tokio::task::yield_now().await;
        let late = chat.search("too late").await;
        assert!(matches!(late, Err(RequestError::Disconnected(DisconnectReason::Closed))), "{late:?}");
        closing.await.unwrap();
    };
    let (sent, (), ()) = tokio::join!(call, close, serve);
    assert_eq!(sent.unwrap().seq, 1);
    assert!(matches!(events.next().await, Some(Event::Disconnected { reason: DisconnectReason::Closed })));
    chat.close().await;
}

#[tokio::test(start_paused = true)]
async fn closing_gives_up_on_a_silent_server_after_its_deadline() {
    let (chat, _events, _server) = logged_in(ChatConfig::default()).await;
    let start = Instant::now();
    let (call, ()) = tokio::join!(chat.search("x"), async {
        tokio::task::yield_now().await;
        chat.close().await;
    });
    assert!(matches!(call, Err(RequestError::Disconnected(DisconnectReason::Closed))), "{call:?}");
    assert_eq!(start.elapsed(), Duration::from_secs(5));
}

#[tokio::test]
async fn dropping_the_last_handle_closes() {
    let (chat, mut events, mut server) = logged_in(ChatConfig::default()).await;
    let clone = chat.clone();
    drop(chat);
    drop(clone);
    assert_eq!(within(server.read()).await, None);
    assert!(matches!(within(events.next()).await, Some(Event::Disconnected { reason: DisconnectReason::Closed })));
}
