//! What the server is told of the application's progress, and what an application keeps of it.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{Instant, sleep, timeout};
use uschat_client::{Cursors, ErrorCode, Incoming, Messenger, MessengerConfig, Text, ThreadId};

use crate::support::network::{network, nothing_comes, numbers, reconnected, started, text};
use crate::support::{ADA, GRACE, stored, text_notice, texts};

const THREAD: ThreadId = ThreadId(5);

fn mark(seq: i64) -> Value {
    json!([{"thread_id": 5, "seq": seq}])
}

/// The next 3005, which is taken.
async fn progress(server: &mut crate::support::FakeServer<tokio::io::DuplexStream>) -> Value {
    let body = server.expect(3005).await;
    server.send(3006, &json!({"error": 0})).await;
    body
}

#[tokio::test(start_paused = true)]
async fn taking_the_next_one_delivers_the_one_before() {
    let (_messenger, mut inbox, mut server, _net) = started().await;
    for number in 1..=2 {
        server.send(1019, &text_notice(number)).await;
    }
    let start = Instant::now();
    assert_eq!(numbers(&mut inbox, 2).await, [1, 2]);
    assert_eq!(progress(&mut server).await, json!({"delivered": mark(1)}));
    assert_eq!(start.elapsed(), Duration::from_millis(200), "others might have joined it");
    assert!(
        timeout(Duration::from_secs(4), server.read()).await.is_err(),
        "the second one is in the application's hands"
    );
    nothing_comes(&mut inbox, Duration::from_millis(300)).await;
    assert_eq!(progress(&mut server).await, json!({"delivered": mark(2)}));
    assert!(timeout(Duration::from_secs(4), server.read()).await.is_err(), "nothing is told twice");
}

#[tokio::test(start_paused = true)]
async fn sixty_four_texts_do_not_wait() {
    let (_messenger, mut inbox, mut server, _net) = started().await;
    for number in 1..=65 {
        server.send(1019, &text_notice(number)).await;
    }
    let start = Instant::now();
    numbers(&mut inbox, 65).await;
    assert_eq!(progress(&mut server).await, json!({"delivered": mark(64)}));
    assert_eq!(start.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn own_texts_are_delivered_with_those_before_them() {
    let (messenger, mut inbox, mut server, _net) = started().await;
    server.send(1019, &text_notice(1)).await;
    assert_eq!(text(&mut inbox).await.seq, 1);
    let promise = messenger.submit(GRACE, vec![Text::new("two")]).await.unwrap();
    let request = server.texts().await;
    server.acknowledge(&request, 2).await;
    promise.await.unwrap();
    assert!(
        timeout(Duration::from_secs(1), server.read()).await.is_err(),
        "the first one is in the application's hands"
    );
    nothing_comes(&mut inbox, Duration::from_millis(300)).await;
    assert_eq!(progress(&mut server).await, json!({"delivered": mark(2)}));
}

#[tokio::test(start_paused = true)]
async fn what_was_not_taken_is_told_again_in_the_next_session() {
    let (messenger, mut inbox, mut server, mut net) = started().await;
    server.send(1019, &text_notice(1)).await;
    assert_eq!(text(&mut inbox).await.seq, 1);
    nothing_comes(&mut inbox, Duration::from_millis(300)).await;
    messenger.mark_read(THREAD, 1);
    assert_eq!(server.expect(3005).await, json!({"delivered": mark(1)}));
    drop(server);
    let (mut server, _) = net.session().await;
    assert_eq!(progress(&mut server).await, json!({"delivered": mark(1), "read": mark(1)}));
    reconnected(&mut inbox).await;
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_tried_again_if_it_may_pass() {
    let (messenger, _inbox, mut server, _net) = started().await;
    messenger.mark_read(THREAD, 3);
    server.expect(3005).await;
    server.send(3006, &json!({"error": ErrorCode::UNAVAILABLE})).await;
    let start = Instant::now();
    assert_eq!(server.expect(3005).await, json!({"read": mark(3)}));
    assert!(start.elapsed() >= Duration::from_secs(1));
    server.send(3006, &json!({"error": 3007})).await;
    assert!(timeout(Duration::from_secs(5), server.read()).await.is_err(), "refused for good");
}

#[tokio::test(start_paused = true)]
async fn read_marks_only_rise() {
    let (messenger, _inbox, mut server, _net) = started().await;
    messenger.mark_read(THREAD, 3);
    messenger.mark_read(THREAD, 2);
    assert_eq!(progress(&mut server).await, json!({"read": mark(3)}));
    messenger.mark_read(THREAD, 3);
    messenger.mark_read(THREAD, 1);
    assert!(timeout(Duration::from_secs(5), server.read()).await.is_err());
    messenger.mark_read(THREAD, 4);
    assert_eq!(progress(&mut server).await, json!({"read": mark(4)}));
}

#[tokio::test(start_paused = true)]
async fn news_of_many_conversations_go_in_parts() {
    let (messenger, _inbox, mut server, _net) = started().await;
    for thread in 1..=300 {
        messenger.mark_read(ThreadId(thread), 1);
    }
    let mut told = 0;
    for expected in [256, 44] {
        let part = progress(&mut server).await;
        assert_eq!(part["read"].as_array().unwrap().len(), expected);
        told += expected;
    }
    assert_eq!(told, 300);
}

#[tokio::test(start_paused = true)]
async fn closing_waits_for_acknowledgements_and_tells_the_rest() {
    let (messenger, mut inbox, mut server, _net) = started().await;
    for number in 1..=2 {
        server.send(1019, &text_notice(number)).await;
    }
    assert_eq!(numbers(&mut inbox, 2).await, [1, 2]);
    let promise = messenger.submit(GRACE, vec![Text::new("three")]).await.unwrap();
    let closing = tokio::spawn(messenger.close());
    let start = Instant::now();
    let mut told = Vec::new();
    let request = loop {
        match server.read().await.unwrap() {
            (3005, body) => {
                server.send(3006, &json!({"error": 0})).await;
                told.push(body);
            }
            (1017, body) => break body,
            other => panic!("{other:?}"),
        }
    };
    sleep(Duration::from_secs(1)).await;
    server.acknowledge(&request, 3).await;
    while let Some((id, body)) = server.read().await {
        assert_eq!(id, 3005, "{body}");
        server.send(3006, &json!({"error": 0})).await;
        told.push(body);
    }
    closing.await.unwrap();
    assert_eq!(promise.await.unwrap()[0].seq, 3);
    assert_eq!(told, [json!({"delivered": mark(1)})], "at once, and the last one taken is in the application's hands");
    assert_eq!(start.elapsed(), Duration::from_secs(1));
    assert!(matches!(inbox.next().await, Some(Incoming::Ended { .. })));
}

#[tokio::test(start_paused = true)]
async fn closing_gives_up_on_a_silent_server() {
    let (messenger, _inbox, _server, _net) = started().await;
    messenger.mark_read(THREAD, 1);
    let start = Instant::now();
    messenger.close().await;
    assert_eq!(start.elapsed(), Duration::from_secs(5));
}

#[tokio::test(start_paused = true)]
async fn a_program_that_kept_its_cursors_goes_on_where_it_was() {
    let (messenger, mut inbox, mut server, _net) = started().await;
    for number in [1, 2, 3, 5] {
        server.send(1019, &text_notice(number)).await;
    }
    assert_eq!(numbers(&mut inbox, 2).await, [1, 2]);
    // An own text, acknowledged before those of others that stand before it were taken.
    let promise = messenger.submit(GRACE, vec![Text::new("four")]).await.unwrap();
    let request = server.texts().await;
    server.acknowledge(&request, 4).await;
    promise.await.unwrap();
    let kept = serde_json::to_string(&inbox.cursors()).unwrap();
    drop((messenger, inbox, server)); // it is killed

    let cursors: Cursors = serde_json::from_str(&kept).unwrap();
    assert_eq!(cursors.seq(THREAD), Some(2));
    let (pipes, mut net) = network();
    let starting = Messenger::start_over(pipes, MessengerConfig::default(), cursors);
    let (started, (mut server, said)) = tokio::join!(starting, net.session());
    let (_messenger, mut inbox) = started.unwrap();
    assert_eq!(said[0]["seq"], 2);
    let own = texts(ADA, GRACE, vec![stored(4, &crate::support::network::client_ids(&request)[0], "four")]);
    for push in [text_notice(3), own, text_notice(5)] {
        server.send(1019, &push).await;
    }
    assert!(matches!(inbox.next().await, Some(Incoming::Connected { reconnects: 0, .. })));
    assert_eq!(numbers(&mut inbox, 2).await, [3, 5], "four was acknowledged in the first life");
    assert_eq!(inbox.cursors().seq(THREAD), Some(5));
}

#[tokio::test(start_paused = true)]
async fn many_cursors_go_in_parts() {
    let conversations: Vec<_> = (1..=600)
        .map(|thread| (thread.to_string(), json!({"through": 1, "fingerprint": "00000000000000ff"})))
        .collect();
    let cursors: Cursors = serde_json::from_value(Value::Object(conversations.into_iter().collect())).unwrap();
    let (pipes, mut net) = network();
    let serve = async {
        let (_, mut server) = net.connection().await;
        server.accept_login().await;
        let mut parts = Vec::new();
        for more in [true, true, false] {
            let part = server.expect(3003).await;
            assert_eq!(part["more"] == true, more);
            parts.push(part["cursors"].as_array().unwrap().len());
            server.send(3004, &json!({"error": 0})).await;
        }
        (parts, server)
    };
    let starting = Messenger::start_over(pipes, MessengerConfig::default(), cursors);
    let (started, (parts, _server)) = tokio::join!(starting, serve);
    assert_eq!(parts, [256, 256, 88]);
    drop(started.unwrap());
}

#[tokio::test(start_paused = true)]
async fn the_login_declares_sync() {
    let (pipes, mut net) = network();
    let serve = async {
        let (_, mut server) = net.connection().await;
        let login = server.expect(1005).await;
        server.send(1006, &crate::support::login_response()).await;
        server.accept_sync().await;
        (login, server)
    };
    let starting = Messenger::start_over(pipes, MessengerConfig::default(), Cursors::default());
    let (started, (login, _server)) = tokio::join!(starting, serve);
    assert_eq!(login["features"], json!(["coalesced", "chat_datas", "sync"]));
    let (messenger, inbox) = started.unwrap();
    assert_eq!((messenger.uid(), messenger.profile().name.as_str()), (ADA, "ada"));
    let shown = format!("{messenger:?} {inbox:?}");
    assert!(!shown.contains(crate::support::TOKEN), "{shown}");
}
