//! Clients of the later main line load their conversations and what was said in them after each login.

use serde_json::{Value, json};
use uschat_proto::chat::UserId;

use crate::support::{Client, Running, World, text};

const NOT_FRIENDS: i32 = 3003;
const NOT_A_MEMBER: i32 = 3009;

struct Friends {
    world: World,
    server: Running,
    ada: UserId,
    ben: UserId,
}

async fn friends() -> Friends {
    let world = World::new();
    let (ada, ben) = (world.user("ada").await, world.user("ben").await);
    world.friends(ada, ben).await;
    let server = world.server("one").await;
    Friends { world, server, ada, ben }
}

/// Asks as those clients do: page by page while there is more.
async fn threads(client: &mut Client, uid: UserId) -> Vec<Value> {
    let (mut last, mut all) = (json!(0), Vec::new());
    loop {
        client.send(1025, &json!({"uid": uid, "thread_id": last})).await;
        let page = client.expect(1026).await;
        assert_eq!((&page["error"], &page["uid"]), (&0.into(), &json!(uid)));
        let threads = page["threads"].as_array().cloned().unwrap_or_default();
        assert!(threads.len() <= 10);
        assert_eq!(threads.last().map_or(&last, |thread| &thread["thread_id"]), &page["next_last_id"]);
        last = page["next_last_id"].clone();
        all.extend(threads);
        if page["load_more"] == false {
            return all;
        }
    }
}

async fn history(client: &mut Client, thread: &Value) -> Vec<Value> {
    let (mut last, mut all) = (json!(0), Vec::new());
    loop {
        client.send(1029, &json!({"thread_id": thread, "message_id": last})).await;
        let page = client.expect(1030).await;
        assert_eq!((&page["error"], &page["thread_id"]), (&0.into(), thread));
        let texts = page["chat_datas"].as_array().cloned().unwrap_or_default();
        assert!(texts.len() <= 10);
        assert_eq!(texts.last().map_or(&last, |text| &text["msg_id"]), &page["last_message_id"]);
        last = page["last_message_id"].clone();
        all.extend(texts);
        if page["load_more"] == false {
            return all;
        }
    }
}

#[tokio::test]
async fn conversations_and_texts_are_loaded_page_by_page() {
    let Friends { world, server, ada, ben } = friends().await;
    for number in 0..24 {
        let friend = world.user(&format!("friend {number}")).await;
        world.friends(friend, ada).await;
    }
    let mut client = server.log_in(ada).await;
    for number in 0..33 {
        client.send(1017, &text(ben, &format!("text {number}"), &format!("{{{number}}}"))).await;
        assert_eq!(client.expect(1018).await["error"], 0);
    }

    let threads = threads(&mut client, ada).await;
    assert_eq!(threads.len(), 25);
    let first = &threads[0];
    assert_eq!((&first["type"], &first["user1_id"], &first["user2_id"]), (&"private".into(), &json!(ada), &json!(ben)));
    assert!(threads.is_sorted_by_key(|thread| thread["thread_id"].as_i64()));

    let texts = history(&mut client, &first["thread_id"]).await;
    let seqs: Vec<_> = texts.iter().map(|text| text["seq"].as_i64().unwrap()).collect();
    assert_eq!(seqs, (1..=34).collect::<Vec<_>>());
    let last = &texts[33];
    assert_eq!(
        (&last["sender"], &last["receiver"], &last["msg_content"]),
        (&json!(ada), &json!(ben), &"text 32".into())
    );
    assert_eq!((&last["status"], &last["unique_id"], &last["msg_type"]), (&2.into(), &0.into(), &0.into()));
    assert_eq!(last["chat_time"].as_str().unwrap().len(), "2026-11-20 12:00:00".len());
    // Her greeting is Ben's as well.
    assert_eq!((&texts[0]["sender"], &texts[0]["receiver"]), (&json!(ben), &json!(ada)));
    assert_eq!(history(&mut server.log_in(ben).await, &first["thread_id"]).await, texts);
    server.stop().await;
}

#[tokio::test]
async fn a_page_holds_no_more_than_a_frame() {
    let Friends { server, ada, ben, .. } = friends().await;
    let mut client = server.log_in(ada).await;
    // JSON makes six bytes of each of these characters.
    let long = "\u{1}".repeat(5_000);
    for number in 0..5 {
        client.send(1017, &text(ben, &long, &format!("{{{number}}}"))).await;
        assert_eq!(client.expect(1018).await["error"], 0);
    }
    let thread = threads(&mut client, ada).await[0]["thread_id"].clone();
    let texts = history(&mut client, &thread).await;
    assert_eq!(texts.iter().filter(|text| text["msg_content"] == long.as_str()).count(), 5);
    server.stop().await;
}

#[tokio::test]
async fn history_has_what_this_session_sent_before() {
    let Friends { server, ada, ben, .. } = friends().await;
    let mut client = server.log_in(ada).await;
    let thread = threads(&mut client, ada).await[0]["thread_id"].clone();
    for number in 0..5 {
        client.send(1017, &text(ben, &format!("text {number}"), &format!("{{{number}}}"))).await;
    }
    client.send(1029, &json!({"thread_id": thread, "message_id": 0})).await;
    for _ in 0..5 {
        assert_eq!(client.expect(1018).await["error"], 0);
    }
    assert_eq!(client.expect(1030).await["chat_datas"].as_array().unwrap().len(), 6);
    server.stop().await;
}

#[tokio::test]
async fn a_conversation_is_read_by_its_members_only() {
    let Friends { world, server, ada, .. } = friends().await;
    let eve = world.user("eve").await;
    let thread = threads(&mut server.log_in(ada).await, ada).await[0]["thread_id"].clone();

    let mut client = server.log_in(eve).await;
    for thread in [thread, json!(0), json!(-1), json!(999_999)] {
        client.send(1029, &json!({"thread_id": thread, "message_id": 0})).await;
        assert_eq!(client.expect(1030).await, json!({"error": NOT_A_MEMBER}));
    }
    assert!(threads(&mut client, eve).await.is_empty());
    server.stop().await;
}

#[tokio::test]
async fn a_conversation_is_opened_between_friends_only() {
    let Friends { world, server, ada, ben } = friends().await;
    let eve = world.user("eve").await;
    let mut client = server.log_in(ada).await;
    let thread = threads(&mut client, ada).await[0]["thread_id"].clone();

    client.send(1027, &json!({"uid": ada, "other_id": ben})).await;
    let opened = client.expect(1028).await;
    assert_eq!(opened, json!({"error": 0, "uid": ada, "other_id": ben, "thread_id": thread}));
    for other in [eve, ada, UserId(999_999)] {
        client.send(1027, &json!({"uid": ada, "other_id": other})).await;
        assert_eq!(client.expect(1028).await, json!({"error": NOT_FRIENDS}));
    }
    server.stop().await;
}

#[tokio::test]
async fn nobody_asks_for_another_and_nothing_is_answered_before_login() {
    let Friends { server, ada, ben, .. } = friends().await;
    let mut client = server.log_in(ada).await;
    client.send(1025, &json!({"uid": ben, "thread_id": 0})).await;
    assert_eq!(client.expect(1026).await["error"], 3002);
    client.send(1027, &json!({"uid": ben, "other_id": ada})).await;
    assert_eq!(client.expect(1028).await["error"], 3002);

    let mut stranger = server.connect().await;
    for (id, body) in [
        (1025, json!({"uid": ada, "thread_id": 0})),
        (1027, json!({"uid": ada, "other_id": ben})),
        (1029, json!({"thread_id": 1, "message_id": 0})),
    ] {
        stranger.send(id, &body).await;
        let refused = stranger.expect(id + 1).await;
        assert!(refused["error"].as_i64().unwrap() != 0 && refused.get("chat_datas").is_none(), "{refused}");
    }
    server.stop().await;
}
