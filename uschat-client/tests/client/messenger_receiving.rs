//! Each number of a conversation reaches the application once, in order.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;
use uschat_client::{Cursors, DisconnectReason, Incoming, MessengerConfig, Text, ThreadId, UserId};

use crate::support::network::{nothing_comes, numbers, reconnected, started, started_with, text};
use crate::support::{ADA, GRACE, text_notice};

const THREAD: ThreadId = ThreadId(5);

/// The greetings of a 1014 or 1015, said by Grace in conversation 5.
fn greetings(numbers: std::ops::RangeInclusive<i64>) -> Vec<Value> {
    let greeting = |number: i64| {
        json!({"sender": GRACE, "msg_id": 100 + number, "thread_id": 5, "unique_id": "", "msg_content": "hi",
            "chat_time": "2026-11-20 10:00:00", "status": 2, "seq": number})
    };
    numbers.map(greeting).collect()
}

fn approved(numbers: std::ops::RangeInclusive<i64>) -> Value {
    json!({"error": 0, "fromuid": GRACE, "touid": ADA, "name": "grace", "nick": "grace", "icon": "", "sex": 1,
        "chat_datas": greetings(numbers)})
}

#[tokio::test(start_paused = true)]
async fn doubled_and_reordered_texts_come_once_and_ascending() {
    let (_messenger, mut inbox, mut server, net) = started().await;
    for number in [1, 2, 2, 1, 5, 4, 4, 3, 5, 7, 6, 1] {
        server.send(1019, &text_notice(number)).await;
    }
    assert_eq!(numbers(&mut inbox, 7).await, [1, 2, 3, 4, 5, 6, 7]);
    nothing_comes(&mut inbox, Duration::from_secs(4)).await;
    assert_eq!(net.attempts(), 1);
    assert_eq!(inbox.cursors().seq(THREAD), Some(7));
}

#[tokio::test(start_paused = true)]
async fn the_first_text_told_is_where_a_conversation_begins() {
    let (_messenger, mut inbox, mut server, _net) = started().await;
    for number in [40, 41] {
        server.send(1019, &text_notice(number)).await;
    }
    let mut other = text_notice(3);
    other["thread_id"] = 6.into();
    server.send(1019, &other).await;
    let texts = [text(&mut inbox).await, text(&mut inbox).await, text(&mut inbox).await];
    let seen: Vec<_> = texts.iter().map(|text| (text.thread_id.0, text.seq)).collect();
    assert_eq!(seen, [(5, 40), (5, 41), (6, 3)]);
}

#[tokio::test(start_paused = true)]
async fn an_own_text_closes_the_gap_when_it_is_acknowledged() {
    let (messenger, mut inbox, mut server, net) = started().await;
    server.send(1019, &text_notice(1)).await;
    assert_eq!(text(&mut inbox).await.seq, 1);
    let promise = messenger.submit(GRACE, vec![Text::new("two"), Text::new("three")]).await.unwrap();
    let request = server.texts().await;
    server.send(1019, &text_notice(4)).await;
    nothing_comes(&mut inbox, Duration::from_secs(1)).await;
    server.acknowledge(&request, 2).await;
    assert_eq!(promise.await.unwrap()[1].seq, 3);
    assert_eq!(text(&mut inbox).await.seq, 4);
    assert_eq!(net.attempts(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_gap_that_stays_costs_the_session_and_the_next_one_closes_it() {
    let (_messenger, mut inbox, mut server, mut net) = started().await;
    for number in [1, 3, 4] {
        server.send(1019, &text_notice(number)).await;
    }
    let start = Instant::now();
    assert_eq!(text(&mut inbox).await.seq, 1);
    let (mut second, cursors) = net.session().await;
    assert!(start.elapsed() >= Duration::from_secs(5) && start.elapsed() < Duration::from_secs(6));
    assert_eq!((&cursors[0]["thread_id"], &cursors[0]["seq"]), (&5.into(), &1.into()));
    assert!(cursors[0]["fingerprint"].is_string(), "{cursors}");
    for number in 2..=5 {
        second.send(1019, &text_notice(number)).await;
    }
    let lost = inbox.next().await;
    assert!(matches!(lost, Some(Incoming::Disconnected { reason: DisconnectReason::TextMissing })), "{lost:?}");
    assert!(matches!(inbox.next().await, Some(Incoming::Connected { reconnects: 1, .. })));
    assert_eq!(numbers(&mut inbox, 4).await, [2, 3, 4, 5]);
    drop(server);
}

#[tokio::test(start_paused = true)]
async fn gaps_that_close_in_time_may_follow_each_other_for_ever() {
    let (_messenger, mut inbox, mut server, net) = started().await;
    server.send(1019, &text_notice(1)).await;
    for number in (2..40).step_by(2) {
        server.send(1019, &text_notice(number + 1)).await;
        tokio::time::sleep(Duration::from_secs(3)).await;
        // Before this gap closes there is the next one.
        server.send(1019, &text_notice(number + 3)).await;
        server.send(1019, &text_notice(number)).await;
    }
    assert_eq!(numbers(&mut inbox, 39).await, (1..=39).collect::<Vec<_>>());
    assert_eq!(net.attempts(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_comes_too_early_is_bounded() {
    let mut config = MessengerConfig::default();
    config.held_back = 10;
    let (_messenger, mut inbox, mut server, mut net) = started_with(config, Cursors::default()).await;
    server.send(1019, &text_notice(1)).await;
    for number in 3..=13 {
        server.send(1019, &text_notice(number)).await;
    }
    let start = Instant::now();
    let (mut server, cursors) = net.session().await;
    assert!(start.elapsed() < Duration::from_secs(1), "not after the gap deadline");
    assert_eq!(cursors[0]["seq"], 1);
    for number in 2..=13 {
        server.send(1019, &text_notice(number)).await;
    }
    assert_eq!(text(&mut inbox).await.seq, 1);
    reconnected(&mut inbox).await;
    assert_eq!(numbers(&mut inbox, 12).await, (2..=13).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn a_conversation_that_was_set_back_is_told_and_goes_on_behind_what_there_is() {
    let (_messenger, mut inbox, mut server, mut net) = started().await;
    for number in 7..=9 {
        server.send(1019, &text_notice(number)).await;
    }
    assert_eq!(numbers(&mut inbox, 3).await, [7, 8, 9]);
    drop(server);
    let (_, mut server) = net.connection().await;
    server.accept_login().await;
    let request = server.expect(3003).await;
    assert_eq!(request["cursors"][0]["seq"], 9);
    let cursor = json!({"thread_id": 5, "seq": 4, "fingerprint": "00000000000000ff"});
    server.send(3004, &json!({"error": 0, "replaced": [cursor]})).await;
    server.send(1019, &text_notice(5)).await;
    reconnected(&mut inbox).await;
    assert_eq!(inbox.cursors().seq(THREAD), Some(9), "it has not been told yet");
    let replaced = inbox.next().await;
    let Some(Incoming::ConversationReplaced { thread_id: THREAD, cursor }) = replaced else { panic!("{replaced:?}") };
    assert_eq!(cursor.seq, 4);
    assert_eq!(inbox.cursors().seq(THREAD), Some(4));
    assert_eq!(text(&mut inbox).await.seq, 5);
    drop(server);
    let (_server, cursors) = net.session().await;
    assert_eq!(cursors[0]["seq"], 5);
}

#[tokio::test(start_paused = true)]
async fn a_conversation_that_is_none_is_forgotten() {
    let (_messenger, mut inbox, mut server, mut net) = started().await;
    server.send(1019, &text_notice(1)).await;
    assert_eq!(text(&mut inbox).await.seq, 1);
    drop(server);
    let (_, mut server) = net.connection().await;
    server.accept_login().await;
    server.expect(3003).await;
    server.send(3004, &json!({"error": 0, "unknown": [5]})).await;
    reconnected(&mut inbox).await;
    assert_eq!(inbox.cursors(), Cursors::default());
    drop(server);
    let (_server, cursors) = net.session().await;
    assert_eq!(cursors, json!([]));
}

#[tokio::test(start_paused = true)]
async fn greetings_come_with_the_friend_or_as_texts_and_never_both() {
    let (_messenger, mut inbox, mut server, mut net) = started().await;
    server.send(1019, &text_notice(1)).await;
    server.send(1015, &approved(1..=3)).await;
    server.send(1019, &text_notice(4)).await;
    server.send(1019, &text_notice(2)).await;
    assert_eq!(text(&mut inbox).await.seq, 1);
    let Some(Incoming::FriendApproved { friend }) = inbox.next().await else { panic!("1015") };
    assert_eq!((friend.profile.uid, friend.thread_id), (GRACE, Some(THREAD)));
    let shown: Vec<_> = friend.greetings.iter().map(|text| text.seq).collect();
    assert_eq!(shown, [2, 3], "the first one was shown");
    assert_eq!(text(&mut inbox).await.seq, 4);

    // Not their turn: they come behind what is missing.
    server.send(1015, &approved(6..=7)).await;
    server.send(1019, &text_notice(5)).await;
    let Some(Incoming::FriendApproved { friend }) = inbox.next().await else { panic!("1015") };
    assert_eq!(friend.greetings, []);
    assert_eq!(numbers(&mut inbox, 3).await, [5, 6, 7]);
    nothing_comes(&mut inbox, Duration::from_secs(10)).await;
    assert!(net.no_connection_waits());
}

#[tokio::test(start_paused = true)]
async fn greetings_of_an_approval_count_as_seen() {
    let (messenger, mut inbox, mut server, mut net) = started().await;
    let chat = messenger.chat().unwrap();
    let mut response = approved(1..=2);
    response["uid"] = GRACE.0.into();
    let serve = async {
        let Some((1013, _)) = server.request().await else { panic!("1013") };
        server.send(1014, &response).await;
        server.send(1019, &text_notice(3)).await;
        server
    };
    let (friend, mut server) = tokio::join!(chat.approve_friend(GRACE, ""), serve);
    assert_eq!(friend.unwrap().greetings.len(), 2);
    assert_eq!(text(&mut inbox).await.seq, 3);
    assert_eq!(inbox.cursors().seq(THREAD), Some(3));

    // Asked again, as after a lost answer, it shows nothing twice.
    let serve = async {
        let Some((1013, _)) = server.request().await else { panic!("1013") };
        server.send(1014, &response).await;
    };
    let (friend, ()) = tokio::join!(chat.approve_friend(GRACE, ""), serve);
    assert_eq!(friend.unwrap().greetings, []);
    nothing_comes(&mut inbox, Duration::from_secs(10)).await;
    assert!(net.no_connection_waits());
}

#[tokio::test(start_paused = true)]
async fn greetings_of_an_approval_that_nobody_awaits_come_in_the_next_session() {
    let (messenger, mut inbox, mut server, mut net) = started().await;
    let chat = messenger.chat().unwrap();
    let approving = tokio::time::timeout(Duration::from_secs(1), chat.approve_friend(GRACE, ""));
    assert!(approving.await.is_err(), "given up");
    assert!(matches!(server.request().await, Some((1013, _))));
    let start = Instant::now();
    let (mut server, cursors) = net.session().await;
    assert!(start.elapsed() < Duration::from_secs(1), "the session was ended, not lost");
    assert_eq!(cursors, json!([]), "where the conversation begins is the server's to say");
    for number in 1..=2 {
        server.send(1019, &text_notice(number)).await;
    }
    reconnected(&mut inbox).await;
    assert_eq!(numbers(&mut inbox, 2).await, [1, 2]);
}

#[tokio::test(start_paused = true)]
async fn an_application_that_does_not_read_stops_the_reading_and_loses_nothing() {
    const COUNT: i64 = 5000;
    let mut config = MessengerConfig::default();
    config.incoming = 4;
    config.chat.event_capacity = 4;
    let (_messenger, mut inbox, mut server, mut net) = started_with(config, Cursors::default()).await;
    let writer = tokio::spawn(async move {
        for number in 1..=COUNT {
            server.send(1019, &text_notice(number)).await;
        }
        server
    });
    tokio::time::sleep(Duration::from_secs(3600)).await;
    assert!(!writer.is_finished(), "the connection kept reading");
    for number in 1..=COUNT {
        assert_eq!(text(&mut inbox).await.seq, number);
    }
    writer.await.unwrap();
    assert!(net.no_connection_waits(), "one session all the time");
}

#[tokio::test(start_paused = true)]
async fn nobody_is_late_while_the_application_does_not_read() {
    let mut config = MessengerConfig::default();
    config.incoming = 1;
    config.chat.event_capacity = 1;
    let (messenger, mut inbox, mut server, mut net) = started_with(config, Cursors::default()).await;
    let promise = messenger.submit(GRACE, vec![Text::new("x")]).await.unwrap();
    let request = server.texts().await;
    let serve = tokio::spawn(async move {
        for number in (1..=2000).chain([2002]) {
            server.send(1019, &text_notice(number)).await;
        }
        server.acknowledge(&request, 2001).await;
        server
    });
    tokio::time::sleep(Duration::from_secs(3600)).await;
    assert!(!serve.is_finished(), "the connection kept reading");
    assert_eq!(numbers(&mut inbox, 2000).await, (1..=2000).collect::<Vec<_>>());
    assert_eq!(promise.await.unwrap()[0].seq, 2001);
    assert_eq!(text(&mut inbox).await.seq, 2002);
    assert!(net.no_connection_waits(), "one session all the time");
    serve.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_lost_while_nobody_reads_is_noticed_and_what_has_come_stays() {
    let mut config = MessengerConfig::default();
    config.incoming = 1;
    let (_messenger, mut inbox, mut server, mut net) = started_with(config, Cursors::default()).await;
    for number in 1..=3 {
        server.send(1019, &text_notice(number)).await;
    }
    let applied = json!({"error": 0, "applyuid": 7, "name": "eve", "desc": "hi", "icon": "", "sex": 1, "nick": "eve"});
    server.send(1011, &applied).await;
    drop(server);
    let (mut server, cursors) = {
        let session = tokio::time::timeout(Duration::from_secs(1), net.session());
        assert!(session.await.is_err(), "what came first waits for the application");
        assert_eq!(numbers(&mut inbox, 3).await, [1, 2, 3]);
        let Some(Incoming::FriendApplied { applicant }) = inbox.next().await else { panic!("1011") };
        assert_eq!(applicant.uid, UserId(7));
        net.session().await
    };
    assert_eq!(cursors[0]["seq"], 3);
    server.send(1019, &text_notice(4)).await;
    reconnected(&mut inbox).await;
    assert_eq!(text(&mut inbox).await.seq, 4);
}

#[tokio::test(start_paused = true)]
async fn who_drops_the_inbox_can_go_on_sending() {
    let (messenger, inbox, mut server, _net) = started().await;
    drop(inbox);
    for number in 1..=1000 {
        server.send(1019, &text_notice(number)).await;
    }
    let promise = messenger.submit(GRACE, vec![Text::new("x")]).await.unwrap();
    let request = server.texts().await;
    server.acknowledge(&request, 1001).await;
    assert_eq!(promise.await.unwrap()[0].seq, 1001);
}
