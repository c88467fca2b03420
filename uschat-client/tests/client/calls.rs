//! Every call gets its own answer, in time or not at all.

use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;
use uschat_client::{ChatConfig, ErrorCode, MessageKey, RequestError, Sent, Text, ThreadId, UserId};

use crate::support::{ADA, GRACE, logged_in, logged_in_over_tcp, profile, stored, texts, within};

#[tokio::test]
async fn pipelined_texts_are_acknowledged_one_by_one() {
    let (chat, _events, mut server) = logged_in_over_tcp().await;
    let calls: Vec<_> = (0..200)
        .map(|n| {
            let chat = chat.clone();
            tokio::spawn(async move { chat.send_text(GRACE, &format!("text {n}")).await })
        })
        .collect();
    // All of them are in flight before the first is answered.
    let mut requests = Vec::new();
    for _ in 0..200 {
        requests.push(within(server.expect(1017)).await);
    }
    for (request, number) in requests.iter().zip(1..) {
        assert_eq!((&request["fromuid"], &request["touid"]), (&json!(ADA), &json!(GRACE)));
        server.acknowledge(request, number).await;
    }
    for (n, call) in calls.into_iter().enumerate() {
        let sent = within(call).await.unwrap().unwrap();
        let position = requests.iter().position(|r| r["text_array"][0]["content"] == format!("text {n}")).unwrap();
        let number = position as i64 + 1;
        assert_eq!(sent, Sent { message_id: MessageKey(100 + number), seq: number, thread_id: ThreadId(5) });
    }
}

#[tokio::test]
async fn a_refusal_goes_to_the_call_it_is_meant_for() {
    let (chat, _events, mut server) = logged_in(ChatConfig::default()).await;
    let serve = async {
        let (first, _second, third) = (server.expect(1017).await, server.expect(1017).await, server.expect(1017).await);
        server.acknowledge(&first, 1).await;
        server.send(1018, &json!({"error": 3003})).await;
        server.acknowledge(&third, 2).await;
    };
    let calls =
        async { tokio::join!(chat.send_text(GRACE, "a"), chat.send_text(UserId(9), "b"), chat.send_text(GRACE, "c")) };
    let ((a, b, c), ()) = within(async { tokio::join!(calls, serve) }).await;
    assert_eq!(a.unwrap().seq, 1);
    assert!(matches!(b, Err(RequestError::Refused(ErrorCode::NOT_FRIENDS))), "{b:?}");
    assert_eq!(c.unwrap().seq, 2);
}

#[tokio::test]
async fn answers_of_different_kinds_may_overtake_each_other() {
    let (chat, _events, mut server) = logged_in(ChatConfig::default()).await;
    let serve = async {
        let text = server.expect(1017).await;
        assert_eq!(server.expect(1007).await, json!({"uid": "grace"}));
        assert_eq!(server.expect(1007).await, json!({"uid": "nobody"}));
        let apply = server.expect(1009).await;
        assert_eq!(apply, json!({"uid": ADA, "touid": GRACE, "applyname": "hi", "bakname": "G"}));
        let approve = server.expect(1013).await;
        assert_eq!(approve, json!({"fromuid": ADA, "touid": GRACE, "back": "G"}));
        let mut friend = profile(GRACE, "grace");
        friend["error"] = 0.into();
        friend["chat_datas"] = json!([{"sender": GRACE, "msg_id": 1, "thread_id": 5, "unique_id": "", "msg_content": "hi",
            "chat_time": "", "status": 2, "seq": 1}]);
        server.send(1014, &friend).await;
        server.send(1010, &json!({"error": 0})).await;
        server.send(1008, &friend).await;
        server.send(1008, &json!({"error": 1011})).await;
        server.acknowledge(&text, 1).await;
    };
    let calls = async {
        tokio::join!(
            chat.send_text(GRACE, "a"),
            chat.search("grace"),
            chat.search("nobody"),
            chat.add_friend(GRACE, "hi", "G"),
            chat.approve_friend(GRACE, "G")
        )
    };
    let ((sent, grace, nobody, added, approved), ()) = within(async { tokio::join!(calls, serve) }).await;
    assert_eq!(sent.unwrap().seq, 1);
    assert_eq!(grace.unwrap().unwrap().uid, GRACE);
    assert!(nobody.unwrap().is_none());
    added.unwrap();
    let approved = approved.unwrap();
    assert_eq!((approved.profile.uid, approved.thread_id), (GRACE, Some(ThreadId(5))));
    assert_eq!(approved.greetings[0].content, "hi");
}

#[tokio::test(start_paused = true)]
async fn a_call_without_an_answer_times_out_and_the_next_one_gets_its_own() {
    let (chat, _events, mut server) = logged_in(ChatConfig::default()).await;
    let start = Instant::now();
    // Heartbeats are answered, so the session lives.
    let deaf = async {
        loop {
            if server.read().await.unwrap().0 == 1023 {
                server.send(1024, &json!({"error": 0})).await;
            }
        }
    };
    tokio::select! {
        result = chat.search("late") => assert!(matches!(result, Err(RequestError::TimedOut { .. })), "{result:?}"),
        () = deaf => unreachable!(),
    }
    assert_eq!(start.elapsed(), Duration::from_secs(10));

    let serve = async {
        while server.read().await.unwrap().0 != 1007 {}
        for name in ["late", "next"] {
            let mut found = profile(GRACE, name);
            found["error"] = 0.into();
            server.send(1008, &found).await;
        }
    };
    let (found, ()) = tokio::join!(chat.search("next"), serve);
    assert_eq!(found.unwrap().unwrap().name, "next");
}

#[tokio::test(start_paused = true)]
async fn calls_beyond_the_bounds_wait_and_an_abandoned_one_is_never_sent() {
    let mut config = ChatConfig::default();
    (config.max_in_flight, config.command_capacity) = (1, 1);
    let (chat, _events, mut server) = logged_in(config).await;
    let serve = async {
        server.expect(1017).await;
        // The first call is in flight, the second waits in the queue until it is given up.
        tokio::time::sleep(Duration::from_secs(1)).await;
        server.send(1018, &json!({"error": 3103})).await;
        server.expect(1017).await
    };
    let short = tokio::time::timeout(Duration::from_millis(500), chat.send_text(GRACE, "abandoned"));
    let calls = async {
        let (first, abandoned) = tokio::join!(chat.send_text(GRACE, "first"), short);
        assert!(matches!(first, Err(RequestError::Refused(ErrorCode::OVERLOADED))), "{first:?}");
        assert!(abandoned.is_err());
        chat.send_text(GRACE, "third").await
    };
    tokio::select! {
        result = calls => panic!("{result:?}"),
        request = serve => assert_eq!(request["text_array"][0]["content"], "third"),
    }
}

#[tokio::test]
async fn what_is_over_the_limits_is_refused_before_it_is_sent() {
    let (chat, _events, mut server) = logged_in(ChatConfig::default()).await;
    let many: Vec<_> = (0..65).map(|_| Text::new("x")).collect();
    assert!(matches!(chat.send_texts(GRACE, &many).await, Err(RequestError::TooManyTexts { count: 65, max: 64 })));
    let long = chat.send_text(GRACE, &"x".repeat(16_385)).await;
    assert!(matches!(long, Err(RequestError::TextsTooLong { len: 16_385, max: 16_384 })), "{long:?}");
    // 16 KiB of control characters grow sixfold in JSON.
    let escaped = chat.send_text(GRACE, &"\u{1}".repeat(16_384)).await;
    assert!(matches!(escaped, Err(RequestError::BodyTooLong { max: 32_767, .. })), "{escaped:?}");
    assert!(chat.send_texts(GRACE, &[]).await.unwrap().is_empty());
    within(chat.close()).await;
    assert_eq!(within(server.read()).await, None, "something was sent");
}

#[tokio::test]
async fn a_retry_repeats_the_client_id_and_several_texts_keep_their_order() {
    let (chat, _events, mut server) = logged_in(ChatConfig::default()).await;
    let two = [Text::new("a"), Text::new("b")];
    for _ in 0..2 {
        let serve = async {
            let request = server.expect(1017).await;
            let ids: Vec<_> =
                request["text_array"].as_array().unwrap().iter().map(|t| t["unique_id"].clone()).collect();
            assert_eq!(ids, [json!(two[0].client_id), json!(two[1].client_id)]);
            server.acknowledge(&request, 8).await;
        };
        let (sent, ()) = within(async { tokio::join!(chat.send_texts(GRACE, &two), serve) }).await;
        assert_eq!(sent.unwrap().iter().map(|sent| sent.seq).collect::<Vec<_>>(), [8, 9]);
    }
}

#[tokio::test]
async fn an_answer_that_is_none_fails_its_call_alone() {
    let (chat, _events, mut server) = logged_in(ChatConfig::default()).await;
    let two = [Text::new("a"), Text::new("b")];
    let serve = async {
        server.expect(1007).await;
        server.send_raw(1008, b"garbage").await;
        server.expect(1017).await;
        server.send(1018, &texts(ADA, GRACE, vec![stored(1, &two[0].client_id, "a")])).await;
        let request = server.expect(1017).await;
        server.acknowledge(&request, 2).await;
    };
    let calls = async {
        let garbage = chat.search("grace").await;
        assert!(matches!(garbage, Err(RequestError::InvalidReply(_))), "{garbage:?}");
        let half = chat.send_texts(GRACE, &two).await;
        assert!(matches!(half, Err(RequestError::InvalidReply(_))), "{half:?}");
        chat.send_text(GRACE, "fine").await
    };
    let (fine, ()) = within(async { tokio::join!(calls, serve) }).await;
    assert_eq!(fine.unwrap().seq, 2);
}
