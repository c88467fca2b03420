//! Events come typed, in order, and are never dropped.

use std::time::Duration;

use serde_json::json;
use tokio::io::AsyncWriteExt;
use uschat_client::{ChatConfig, DisconnectReason, Event, MessageKey, ThreadId, UserId};

use crate::support::{ADA, GRACE, logged_in, stored, text_notice, texts, within};

#[tokio::test]
async fn notices_become_events_and_unknown_messages_are_ignored() {
    let (_chat, mut events, mut server) = logged_in(ChatConfig::default()).await;
    server
        .send(
            1011,
            &json!({"error": 0, "applyuid": 7, "name": "hi", "desc": "hi", "icon": "", "sex": 1, "nick": "eve"}),
        )
        .await;
    server.send_raw(4242, b"\xff not JSON").await;
    server.send(1018, &json!({"error": 0})).await;
    server
        .send(1015, &json!({"error": 0, "fromuid": 7, "touid": ADA, "name": "eve", "nick": "eve", "icon": "", "sex": 1, "chat_datas": []}))
        .await;
    server.send(1019, &texts(GRACE, ADA, vec![stored(3, "x", "three"), stored(4, "y", "four")])).await;
    server.send(1021, &json!({"error": 0, "uid": ADA})).await;

    let Some(Event::FriendApplied { applicant }) = within(events.next()).await else { panic!("1011") };
    assert_eq!((applicant.uid, applicant.nick.as_str(), applicant.desc.as_str()), (UserId(7), "eve", "hi"));
    let Some(Event::FriendApproved { friend }) = within(events.next()).await else { panic!("1015") };
    assert_eq!((friend.profile.uid, friend.thread_id), (UserId(7), None));
    for (number, expected) in [(3, "three"), (4, "four")] {
        let Some(Event::Text { from, to, client_id, message_id, seq, thread_id, content, sent_at }) =
            within(events.next()).await
        else {
            panic!("1019")
        };
        assert_eq!((to, client_id.as_deref()), (ADA, Some(if number == 3 { "x" } else { "y" })));
        assert_eq!((from, message_id, seq, thread_id), (GRACE, MessageKey(100 + number), number, ThreadId(5)));
        assert_eq!((content.as_str(), sent_at.as_str()), (expected, "2026-11-20 10:00:00"));
    }
    assert!(matches!(within(events.next()).await, Some(Event::Replaced)));
    let end = within(events.next()).await;
    assert!(matches!(end, Some(Event::Disconnected { reason: DisconnectReason::Replaced })), "{end:?}");
    assert!(within(events.next()).await.is_none());
    assert_eq!(within(server.read()).await, None, "a replaced client closes");
}

#[tokio::test(start_paused = true)]
async fn an_application_that_does_not_read_stops_the_connection_and_loses_nothing() {
    const COUNT: i64 = 5000;
    let mut config = ChatConfig::default();
    config.event_capacity = 4;
    let (_chat, mut events, mut server) = logged_in(config).await;
    let writer = tokio::spawn(async move {
        for number in 1..=COUNT {
            server.send(1019, &text_notice(number)).await;
        }
    });
    // Paused time moves on only when nothing else can: an hour passes, the writer is stuck, the session lives.
    tokio::time::sleep(Duration::from_secs(3600)).await;
    assert!(!writer.is_finished(), "the connection kept reading");

    for number in 1..=COUNT {
        let event = events.next().await;
        let Some(Event::Text { seq, .. }) = event else { panic!("{event:?} instead of {number}") };
        assert_eq!(seq, number);
    }
    writer.await.unwrap();
    assert!(matches!(events.next().await, Some(Event::Disconnected { .. })));
}

#[tokio::test(start_paused = true)]
async fn events_that_had_no_room_survive_the_end_of_the_session() {
    let mut config = ChatConfig::default();
    config.event_capacity = 1;
    let (chat, mut events, mut server) = logged_in(config).await;
    let search = tokio::spawn({
        let chat = chat.clone();
        async move { chat.search("grace").await }
    });
    server.expect(1007).await;
    // One piece, so that all of it is read at once: room for the first only, and an answer behind.
    let mut out = bytes::BytesMut::new();
    for number in 1..=3 {
        uschat_wire::encode(1019, text_notice(number).to_string().as_bytes(), &mut out).unwrap();
    }
    uschat_wire::encode(1008, br#"{"error":1011}"#, &mut out).unwrap();
    server.stream.write_all(&out).await.unwrap();
    within(chat.close()).await;
    assert!(within(search).await.unwrap().unwrap().is_none(), "the answer behind the events arrives too");
    for number in 1..=3 {
        assert!(matches!(within(events.next()).await, Some(Event::Text { seq, .. }) if seq == number), "{number}");
    }
    assert!(matches!(within(events.next()).await, Some(Event::Disconnected { reason: DisconnectReason::Closed })));
}

#[tokio::test]
async fn who_drops_the_events_can_go_on_calling() {
    let mut config = ChatConfig::default();
    config.event_capacity = 1;
    let (chat, events, mut server) = logged_in(config).await;
    drop(events);
    for number in 1..=10 {
        server.send(1019, &text_notice(number)).await;
    }
    let serve = async {
        server.expect(1007).await;
        server.send(1008, &json!({"error": 1011})).await;
    };
    let (found, ()) = within(async { tokio::join!(chat.search("x"), serve) }).await;
    assert!(found.unwrap().is_none());
}
