//! When a messenger connects again, where to, and when it does not.

use std::time::Duration;

use serde_json::json;
use tokio::time::{Instant, sleep};
use uschat_client::{Cursors, DisconnectReason, EndReason, ErrorCode, Incoming, MessengerConfig, SendError, Text};

use crate::support::network::{nothing_comes, reconnected, started, started_with, text};
use crate::support::{ADA, GRACE, text_notice};

#[tokio::test(start_paused = true)]
async fn a_cut_connection_is_opened_again_with_the_same_ticket() {
    let (messenger, mut inbox, server, mut net) = started().await;
    drop(server);
    let lost = inbox.next().await;
    assert!(matches!(lost, Some(Incoming::Disconnected { reason: DisconnectReason::ClosedByServer })), "{lost:?}");
    assert!(messenger.chat().is_none());
    let (mut server, _) = net.session().await;
    let Some(Incoming::Connected { server: address, reconnects: 1 }) = inbox.next().await else { panic!("connected") };
    assert_eq!((address.as_str(), net.tickets()), ("chat:1", 1));
    server.send(1019, &text_notice(1)).await;
    assert_eq!(text(&mut inbox).await.seq, 1);
    assert!(messenger.chat().is_some());
}

#[tokio::test(start_paused = true)]
async fn a_server_that_stops_is_left_for_another() {
    let (_messenger, mut inbox, mut server, mut net) = started().await;
    server.send(3002, &json!({"error": 0})).await;
    let (number, mut server) = net.connection().await;
    assert_eq!(number, 2, "with a new ticket");
    server.accept_login().await;
    server.accept_sync().await;
    reconnected(&mut inbox).await;
}

#[tokio::test(start_paused = true)]
async fn a_void_ticket_is_replaced() {
    for code in [ErrorCode::TOKEN_INVALID, ErrorCode::UID_INVALID] {
        let (_messenger, mut inbox, server, mut net) = started().await;
        drop(server);
        let (number, mut server) = net.connection().await;
        assert_eq!(number, 1);
        server.expect(1005).await;
        server.send(1006, &json!({"error": code})).await;
        let (number, mut server) = net.connection().await;
        assert_eq!(number, 2);
        server.accept_login().await;
        server.accept_sync().await;
        reconnected(&mut inbox).await;
    }
}

#[tokio::test(start_paused = true)]
async fn without_the_gate_the_old_ticket_is_tried_again() {
    let (_messenger, mut inbox, server, mut net) = started().await;
    net.servers_are_away(true);
    net.gate_is_away(true);
    drop(server);
    sleep(Duration::from_secs(20)).await;
    net.servers_are_away(false);
    let (number, mut server) = net.connection().await;
    assert_eq!(number, 1);
    server.accept_login().await;
    server.accept_sync().await;
    reconnected(&mut inbox).await;
}

#[tokio::test(start_paused = true)]
async fn pauses_grow_and_start_over_after_a_session_that_was_of_use() {
    let (_messenger, mut inbox, mut server, mut net) = started().await;
    server.send(1019, &text_notice(1)).await;
    assert_eq!(text(&mut inbox).await.seq, 1);
    net.servers_are_away(true);
    drop(server);
    sleep(Duration::from_secs(60)).await;
    // 0.1, 0.2, 0.4 ... 5 s, of each at least half.
    let attempts = net.attempts() - 1;
    assert!((17..=30).contains(&attempts), "{attempts} attempts in a minute");
    net.servers_are_away(false);
    let (mut server, _) = net.session().await;
    server.send(1019, &text_notice(2)).await;
    reconnected(&mut inbox).await;
    assert_eq!(text(&mut inbox).await.seq, 2);
    let start = Instant::now();
    drop(server);
    net.connection().await;
    assert!(start.elapsed() <= Duration::from_millis(100), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_server_that_lets_in_and_throws_out_is_not_hammered() {
    let (messenger, _inbox, server, mut net) = started().await;
    drop(server);
    let promise = messenger.submit(GRACE, vec![Text::new("x")]).await.unwrap();
    let refusing = tokio::spawn(async move {
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(60) {
            let (mut server, _) = net.session().await;
            let request = server.texts().await;
            server.refuse(&request, ErrorCode::OVERLOADED.0).await;
        }
        let attempts = net.attempts();
        let (mut server, _) = net.session().await;
        let request = server.texts().await;
        server.acknowledge(&request, 1).await;
        (attempts, server)
    });
    assert_eq!(promise.await.unwrap()[0].seq, 1, "in the end it gets through");
    let (attempts, _server) = refusing.await.unwrap();
    assert!(attempts < 35, "{attempts} attempts in a minute");
}

#[tokio::test(start_paused = true)]
async fn one_attempt_at_a_time() {
    let (_messenger, _inbox, server, mut net) = started().await;
    drop(server);
    let (_, silent) = net.connection().await;
    sleep(Duration::from_secs(9)).await;
    assert!(net.no_connection_waits());
    // The login deadline is 10 s; then the next server.
    let (number, _server) = net.connection().await;
    assert_eq!(number, 2);
    drop(silent);
}

#[tokio::test(start_paused = true)]
async fn a_server_without_sync_is_no_session() {
    let (_messenger, mut inbox, server, mut net) = started().await;
    drop(server);
    let (_, mut old) = net.connection().await;
    old.accept_login().await;
    old.expect(3003).await;
    let (number, mut server) = net.connection().await;
    assert_eq!(number, 2);
    server.accept_login().await;
    server.accept_sync().await;
    reconnected(&mut inbox).await;
}

#[tokio::test(start_paused = true)]
async fn a_newer_login_ends_it_for_good() {
    let (messenger, mut inbox, mut server, mut net) = started().await;
    let promise = messenger.submit(GRACE, vec![Text::new("x")]).await.unwrap();
    server.texts().await;
    server.send(1019, &text_notice(1)).await;
    server.send(1021, &json!({"error": 0, "uid": ADA})).await;
    assert_eq!(text(&mut inbox).await.seq, 1);
    let end = inbox.next().await;
    assert!(matches!(end, Some(Incoming::Ended { reason: EndReason::Replaced })), "{end:?}");
    assert!(inbox.next().await.is_none());
    let failed = promise.await;
    assert!(matches!(failed, Err(SendError::Ended(EndReason::Replaced))), "{failed:?}");
    let later = messenger.send_text(GRACE, "y").await;
    assert!(matches!(later, Err(SendError::Ended(EndReason::Replaced))), "{later:?}");
    assert!(messenger.chat().is_none());
    sleep(Duration::from_secs(60)).await;
    assert!(net.no_connection_waits());
}

#[tokio::test(start_paused = true)]
async fn a_password_that_is_no_longer_accepted_ends_it_for_good() {
    let (_messenger, mut inbox, server, mut net) = started().await;
    net.gate_refuses(Some(ErrorCode::PASSWORD_INVALID));
    drop(server);
    let (_, mut server) = net.connection().await;
    server.expect(1005).await;
    server.send(1006, &json!({"error": 1010})).await;
    assert!(matches!(inbox.next().await, Some(Incoming::Disconnected { .. })));
    let end = inbox.next().await;
    assert!(matches!(end, Some(Incoming::Ended { reason: EndReason::PasswordRefused })), "{end:?}");
    sleep(Duration::from_secs(60)).await;
    assert!(net.no_connection_waits());
}

#[tokio::test(start_paused = true)]
async fn other_refusals_of_the_gate_do_not_end_it() {
    let (_messenger, mut inbox, mut server, mut net) = started().await;
    net.gate_refuses(Some(ErrorCode::TOO_MANY_ATTEMPTS));
    net.servers_are_away(true);
    server.send(3002, &json!({"error": 0})).await;
    sleep(Duration::from_secs(20)).await;
    net.gate_refuses(None);
    net.servers_are_away(false);
    net.session().await;
    reconnected(&mut inbox).await;
}

#[tokio::test(start_paused = true)]
async fn dropping_the_last_handle_ends_it() {
    let (messenger, mut inbox, mut server, _net) = started().await;
    let clone = messenger.clone();
    drop(messenger);
    nothing_comes(&mut inbox, Duration::from_secs(1)).await;
    drop(clone);
    assert!(matches!(inbox.next().await, Some(Incoming::Ended { reason: EndReason::Closed })));
    assert!(server.request().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn closing_between_two_sessions_ends_at_once() {
    let (messenger, mut inbox, server, net) = started_with(MessengerConfig::default(), Cursors::default()).await;
    net.servers_are_away(true);
    drop(server);
    assert!(matches!(inbox.next().await, Some(Incoming::Disconnected { .. })));
    let start = Instant::now();
    messenger.close().await;
    assert_eq!(start.elapsed(), Duration::ZERO);
    assert!(matches!(inbox.next().await, Some(Incoming::Ended { reason: EndReason::Closed })));
}
