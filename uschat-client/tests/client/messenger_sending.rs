//! What is submitted is acknowledged once, in order, over as many sessions as it takes.

use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;
use uschat_client::{
    Cursors, DisconnectReason, EndReason, ErrorCode, Incoming, Messenger, MessengerConfig, Outgoing, SendError, Text,
    ThreadId,
};

use crate::support::network::{client_ids, contents, network, nothing_comes, reconnected, started, started_with, text};
use crate::support::{ADA, GRACE, stored, texts};

async fn submit(messenger: &Messenger, content: &str) -> Outgoing {
    messenger.submit(GRACE, vec![Text::new(content)]).await.unwrap()
}

async fn seq(outgoing: Outgoing) -> i64 {
    outgoing.await.unwrap()[0].seq
}

#[tokio::test(start_paused = true)]
async fn submits_leave_in_order_and_without_waiting_for_answers() {
    let (messenger, _inbox, mut server, _net) = started().await;
    let mut promises = Vec::new();
    for number in 1..=100 {
        promises.push(submit(&messenger, &format!("text {number}")).await);
    }
    let mut requests = Vec::new();
    for number in 1..=100 {
        let request = server.texts().await;
        assert_eq!(contents(&request), [format!("text {number}")]);
        assert_eq!((&request["fromuid"], &request["touid"]), (&ADA.0.into(), &GRACE.0.into()));
        requests.push(request);
    }
    for (request, number) in requests.iter().zip(1..) {
        server.acknowledge(request, number).await;
    }
    for (promise, number) in promises.into_iter().zip(1..) {
        let sent = promise.await.unwrap();
        assert_eq!((sent[0].seq, sent[0].thread_id), (number, ThreadId(5)));
    }
    assert!(messenger.submit(GRACE, vec![]).await.unwrap().await.unwrap().is_empty());
}

/// Of four requests so many are read, and so many of those acknowledged, before the connection is cut.
#[tokio::test(start_paused = true)]
async fn wherever_the_connection_is_cut_the_rest_goes_again_in_order_with_the_same_ids() {
    for read in 0..=4 {
        for acknowledged in 0..=read {
            let (messenger, mut inbox, mut server, mut net) = started().await;
            let mut promises = Vec::new();
            for number in 1..=4 {
                promises.push(submit(&messenger, &format!("text {number}")).await);
            }
            let mut first = Vec::new();
            for _ in 0..read {
                first.push(server.texts().await);
            }
            for (request, number) in first[..acknowledged].iter().zip(1..) {
                server.acknowledge(request, number).await;
            }
            drop(server);
            let (mut server, _) = net.session().await;
            promises.push(submit(&messenger, "text 5").await);
            for number in acknowledged + 1..=5 {
                let request = server.texts().await;
                assert_eq!(contents(&request), [format!("text {number}")], "{read} read, {acknowledged} acknowledged");
                if let Some(first) = first.get(number - 1) {
                    assert_eq!(client_ids(&request), client_ids(first));
                }
                server.acknowledge(&request, i64::try_from(number).unwrap()).await;
            }
            for (promise, number) in promises.into_iter().zip(1..) {
                assert_eq!(seq(promise).await, number);
            }
            reconnected(&mut inbox).await;
            nothing_comes(&mut inbox, Duration::from_secs(30)).await;
            messenger.close().await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_permanent_refusal_fails_its_texts_alone() {
    let (messenger, _inbox, mut server, mut net) = started().await;
    let (one, two, three) =
        (submit(&messenger, "one").await, submit(&messenger, "two").await, submit(&messenger, "three").await);
    let requests = [server.texts().await, server.texts().await, server.texts().await];
    server.acknowledge(&requests[0], 1).await;
    server.refuse(&requests[1], ErrorCode::NOT_FRIENDS.0).await;
    server.acknowledge(&requests[2], 2).await;
    assert_eq!((seq(one).await, seq(three).await), (1, 2));
    let refused = two.await;
    assert!(matches!(refused, Err(SendError::Refused(ErrorCode::NOT_FRIENDS))), "{refused:?}");
    assert!(net.no_connection_waits(), "the session goes on");
}

#[tokio::test(start_paused = true)]
async fn after_a_refusal_that_may_pass_everything_behind_it_goes_again() {
    let (messenger, mut inbox, mut server, mut net) = started().await;
    let promises =
        [submit(&messenger, "one").await, submit(&messenger, "two").await, submit(&messenger, "three").await];
    let requests = [server.texts().await, server.texts().await, server.texts().await];
    server.acknowledge(&requests[0], 1).await;
    for request in &requests[1..] {
        server.refuse(request, ErrorCode::UNAVAILABLE.0).await;
    }
    let (mut second, _) = net.session().await;
    assert!(server.read().await.is_none(), "the session is over");
    for (request, number) in requests[1..].iter().zip(2..) {
        let again = second.texts().await;
        assert_eq!(&again, request);
        second.acknowledge(&again, number).await;
    }
    for (promise, number) in promises.into_iter().zip(1..) {
        assert_eq!(seq(promise).await, number);
    }
    let lost = inbox.next().await;
    let Some(Incoming::Disconnected { reason: DisconnectReason::Refused(code) }) = lost else { panic!("{lost:?}") };
    assert_eq!(code, ErrorCode::UNAVAILABLE);
}

/// A 1019 to Ada's next session with a text that she sent in an earlier one.
async fn push_own(server: &mut crate::support::FakeServer<tokio::io::DuplexStream>, request: &Value, first: i64) {
    let items = request["text_array"].as_array().unwrap();
    let datas = items.iter().zip(first..);
    let datas =
        datas.map(|(item, n)| stored(n, item["unique_id"].as_str().unwrap(), item["content"].as_str().unwrap()));
    server.send(1019, &texts(ADA, GRACE, datas.collect())).await;
}

#[tokio::test(start_paused = true)]
async fn an_own_text_that_comes_back_is_its_acknowledgement_and_is_not_shown() {
    let (messenger, mut inbox, mut server, mut net) = started().await;
    let alone = submit(&messenger, "alone").await;
    let both = messenger.submit(GRACE, vec![Text::new("a"), Text::new("b")]).await.unwrap();
    let requests = [server.texts().await, server.texts().await];
    drop(server);

    let (mut server, _) = net.session().await;
    let again = [server.texts().await, server.texts().await];
    push_own(&mut server, &requests[0], 1).await;
    assert_eq!(seq(alone).await, 1);
    push_own(&mut server, &requests[1], 2).await;
    let sent: Vec<_> = both.await.unwrap().iter().map(|sent| sent.seq).collect();
    assert_eq!(sent, [2, 3]);
    // What was sent again before it came back is answered too, and that changes nothing.
    for (request, number) in again.iter().zip(1..) {
        server.acknowledge(request, number).await;
    }
    server.send(1019, &crate::support::text_notice(4)).await;
    reconnected(&mut inbox).await;
    assert_eq!(text(&mut inbox).await.seq, 4);
    assert_eq!(inbox.cursors().seq(ThreadId(5)), Some(4));
}

#[tokio::test(start_paused = true)]
async fn an_own_text_of_an_earlier_run_is_shown() {
    let (_messenger, mut inbox, mut server, _net) = started().await;
    server.send(1019, &texts(ADA, GRACE, vec![stored(1, "of-yesterday", "hello")])).await;
    let text = text(&mut inbox).await;
    assert_eq!((text.from, text.to, text.client_id.as_deref()), (ADA, GRACE, Some("of-yesterday")));
    assert_eq!((text.seq, text.content.as_str()), (1, "hello"));
}

#[tokio::test(start_paused = true)]
async fn who_submits_beyond_the_bound_waits_for_room() {
    let mut config = MessengerConfig::default();
    config.outgoing = 1; // 64 at least
    let (messenger, _inbox, mut server, _net) = started_with(config, Cursors::default()).await;
    let first = messenger.submit(GRACE, (0..64).map(|_| Text::new("x")).collect()).await.unwrap();
    let mut next = Box::pin(messenger.submit(GRACE, vec![Text::new("y")]));
    assert!(tokio::time::timeout(Duration::from_secs(1), &mut next).await.is_err(), "no room yet");
    let request = server.texts().await;
    server.acknowledge(&request, 1).await;
    assert_eq!(first.await.unwrap().len(), 64);
    let next = next.await.unwrap();
    let request = server.texts().await;
    assert_eq!(contents(&request), ["y"]);
    server.acknowledge(&request, 65).await;
    assert_eq!(seq(next).await, 65);
}

#[tokio::test(start_paused = true)]
async fn a_dropped_promise_takes_nothing_back() {
    let (messenger, mut inbox, mut server, _net) = started().await;
    drop(submit(&messenger, "one").await);
    let request = server.texts().await;
    server.acknowledge(&request, 1).await;
    server.send(1019, &crate::support::text_notice(2)).await;
    assert_eq!(text(&mut inbox).await.seq, 2);
    assert!(messenger.submit(GRACE, (0..65).map(|_| Text::new("x")).collect()).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn limits_are_told_before_anything_is_sent() {
    let (messenger, _inbox, _server, _net) = started().await;
    let long = messenger.send_text(GRACE, &"x".repeat(16_385)).await;
    assert!(matches!(long, Err(SendError::Limit(uschat_client::RequestError::TextsTooLong { .. }))), "{long:?}");
    let many = messenger.submit(GRACE, (0..65).map(|_| Text::new("x")).collect()).await;
    assert!(matches!(many, Err(SendError::Limit(uschat_client::RequestError::TooManyTexts { .. }))), "{many:?}");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_does_not_answer_is_left_after_the_request_deadline() {
    let (messenger, mut inbox, mut server, mut net) = started().await;
    let start = Instant::now();
    let promise = submit(&messenger, "one").await;
    let serve = tokio::spawn(async move {
        let request = server.texts().await;
        // Heartbeats are answered, so the server is there.
        assert!(server.request().await.is_none(), "the client has left");
        request
    });
    let (mut second, _) = net.session().await;
    assert!(start.elapsed() >= Duration::from_secs(10) && start.elapsed() < Duration::from_secs(11));
    let again = second.texts().await;
    assert_eq!(again, serve.await.unwrap());
    second.acknowledge(&again, 1).await;
    assert_eq!(seq(promise).await, 1);
    let lost = inbox.next().await;
    assert!(matches!(lost, Some(Incoming::Disconnected { reason: DisconnectReason::AnswerMissing })), "{lost:?}");
    assert_eq!(net.tickets(), 2, "another server");
}

#[tokio::test(start_paused = true)]
async fn an_acknowledgement_after_the_break_is_given_again() {
    let (messenger, mut inbox, mut server, mut net) = started().await;
    let promise = submit(&messenger, "one").await;
    let request = server.texts().await;
    // Half of the acknowledgement gets through.
    tokio::io::AsyncWriteExt::write_all(&mut server.stream, b"\x03\xFA\x00\xFF{\"err").await.unwrap();
    drop(server);
    let (mut server, _) = net.session().await;
    let again = server.texts().await;
    assert_eq!(again, request);
    server.acknowledge(&again, 7).await;
    assert_eq!(seq(promise).await, 7);
    reconnected(&mut inbox).await;
}

#[tokio::test(start_paused = true)]
async fn with_a_deadline_a_text_is_given_up_also_without_a_server() {
    let mut config = MessengerConfig::default();
    config.send_deadline = Some(Duration::from_secs(30));
    let (messenger, mut inbox, server, mut net) = started_with(config, Cursors::default()).await;
    net.servers_are_away(true);
    drop(server);
    let start = Instant::now();
    let early = submit(&messenger, "early").await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let late = submit(&messenger, "late").await;
    let result = early.await;
    assert!(matches!(result, Err(SendError::TimedOut { after }) if after.as_secs() == 30), "{result:?}");
    assert_eq!(start.elapsed().as_secs(), 30);
    net.servers_are_away(false);
    let mut serving = Box::pin(async {
        let (mut server, _) = net.session().await;
        assert_eq!(contents(&server.texts().await), ["late"], "what was given up is not sent");
        std::future::pending::<()>().await
    });
    tokio::select! {
        () = &mut serving => {}
        result = late => assert!(matches!(result, Err(SendError::TimedOut { .. })), "{result:?}"),
        () = tokio::time::sleep(Duration::from_secs(60)) => panic!("never given up"),
    }
    assert_eq!(start.elapsed().as_secs(), 31);
    drop(serving);
    assert!(matches!(inbox.next().await, Some(Incoming::Disconnected { .. })));
}

#[tokio::test(start_paused = true)]
async fn a_text_that_was_given_up_and_stored_all_the_same_is_shown() {
    let mut config = MessengerConfig::default();
    config.send_deadline = Some(Duration::from_secs(3));
    let (messenger, mut inbox, mut server, _net) = started_with(config, Cursors::default()).await;
    server.send(1019, &crate::support::text_notice(1)).await;
    assert_eq!(text(&mut inbox).await.seq, 1);
    let promise = submit(&messenger, "slow").await;
    let request = server.texts().await;
    assert!(matches!(promise.await, Err(SendError::TimedOut { .. })));
    server.acknowledge(&request, 2).await;
    server.send(1019, &crate::support::text_notice(3)).await;
    let slow = text(&mut inbox).await;
    assert_eq!((slow.from, slow.to, slow.seq, slow.content.as_str()), (ADA, GRACE, 2, "slow"));
    assert_eq!(slow.client_id, Some(client_ids(&request)[0].clone()));
    assert_eq!(text(&mut inbox).await.seq, 3);
}

#[tokio::test(start_paused = true)]
async fn what_is_not_acknowledged_at_the_end_says_so() {
    let (messenger, mut inbox, server, net) = started().await;
    net.servers_are_away(true);
    drop(server);
    assert!(matches!(inbox.next().await, Some(Incoming::Disconnected { .. })));
    let promise = submit(&messenger, "one").await;
    let start = Instant::now();
    messenger.clone().close().await;
    assert_eq!(start.elapsed(), Duration::from_secs(5), "it was tried until the close deadline");
    let result = promise.await;
    assert!(matches!(result, Err(SendError::Ended(EndReason::Closed))), "{result:?}");
    let later = messenger.submit(GRACE, vec![Text::new("two")]).await;
    assert!(matches!(later, Err(SendError::Ended(EndReason::Closed))), "{later:?}");
    assert!(matches!(inbox.next().await, Some(Incoming::Ended { reason: EndReason::Closed })));
    assert!(inbox.next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn texts_of_a_plain_call_take_no_part_but_leave_no_gap() {
    let (messenger, mut inbox, mut server, _net) = started().await;
    let chat = messenger.chat().unwrap();
    let serve = async {
        let request = server.texts().await;
        server.acknowledge(&request, 1).await;
        server.send(1019, &crate::support::text_notice(2)).await;
    };
    let (sent, ()) = tokio::join!(chat.send_text(GRACE, "plain"), serve);
    assert_eq!(sent.unwrap().seq, 1);
    assert_eq!(text(&mut inbox).await.seq, 2);
    assert_eq!(messenger.cursors().seq(ThreadId(5)), Some(2));
}

#[tokio::test(start_paused = true)]
async fn the_first_login_is_not_repeated() {
    let (pipes, mut net) = network();
    net.gate_refuses(Some(ErrorCode::PASSWORD_INVALID));
    let refused = Messenger::start_over(pipes, MessengerConfig::default(), Cursors::default()).await;
    assert!(matches!(refused, Err(uschat_client::StartError::Gate(_))));
    assert!(net.no_connection_waits());
}
