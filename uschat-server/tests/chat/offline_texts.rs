//! What was said to somebody offline is told when they log in: in order, once, and as their client can bear it.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use serde_json::json;
use uschat_proto::chat::{ThreadId, UserId};

use crate::support::{Client, Friends, PATIENCE, World, text};

/// How often the server writes what users have got.
const SOON: Duration = Duration::from_millis(50);

/// The session of a user that has just gone is over for everybody.
async fn gone(world: &World, client: Client, uid: UserId) {
    use uschat_server::store::state::Presence;
    drop(client);
    let gone = async {
        while world.state.presence(uid).await.unwrap().is_some() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, gone).await.expect("the session should end");
}

#[tokio::test]
async fn texts_that_wait_are_told_in_order_and_not_again() {
    let Friends { world, server, ada, ben, thread } = Friends::new(SOON).await;
    let mut ada_client = server.log_in(ada).await;
    for number in 0..200 {
        ada_client.send(1017, &text(ben, &format!("text {number}"), &format!("{{{number}}}"))).await;
    }
    for _ in 0..200 {
        assert_eq!(ada_client.expect(1018).await["error"], 0);
    }
    let mut ben_client = server.log_in(ben).await;
    assert_eq!(ben_client.told(thread, 200).await, (2..=201).collect::<Vec<_>>());
    world.until_delivered(ben, thread, 201).await;

    ada_client.send(1017, &text(ben, "live", "{live}")).await;
    assert_eq!(ada_client.expect(1018).await["error"], 0);
    assert_eq!(ben_client.told(thread, 1).await, [202]);
    // What was confirmed when the session ended counts too.
    gone(&world, ben_client, ben).await;
    world.until_delivered(ben, thread, 202).await;
    server.log_in(ben).await.hears_nothing().await;
    ada_client.is_alive().await;
    server.stop().await;
}

#[tokio::test]
async fn many_conversations_wait_at_once() {
    let Friends { world, server, ben, .. } = Friends::new(SOON).await;
    let mut expected = HashMap::new();
    for number in 0..300 {
        let friend = world.user(&format!("friend {number}")).await;
        let thread = world.friends(friend, ben).await;
        for _ in 0..number % 4 {
            let last = world.said(friend, ben, "hello").await;
            expected.insert(thread.0, last.seq);
        }
    }
    let mut client = server.log_in(ben).await;
    let mut told: HashMap<i64, i64> = HashMap::new();
    while told != expected {
        let body = client.expect(1019).await;
        let last = told.entry(body["thread_id"].as_i64().unwrap()).or_insert(1);
        for text in body["chat_datas"].as_array().unwrap() {
            *last += 1;
            assert_eq!(text["seq"], *last);
        }
    }
    server.stop().await;
}

#[tokio::test]
async fn a_first_season_client_gets_them_paced_and_merged() {
    let Friends { world, server, ada, ben, .. } = Friends::new(SOON).await;
    for number in 0..200 {
        world.said(ada, ben, &format!("text {number}")).await;
    }
    let mut client = server.log_in_with(ben, &[]).await;
    let (begun, mut frames, mut contents) = (Instant::now(), 0, Vec::new());
    while contents.len() < 200 {
        let body = client.expect(1019).await;
        frames += 1;
        contents.extend(body["text_array"].as_array().unwrap().iter().map(|text| text["content"].clone()));
    }
    assert!(contents.iter().zip(0..).all(|(content, number)| *content == format!("text {number}")));
    assert!(frames <= 8, "{frames} frames");
    assert!(
        begun.elapsed() >= Duration::from_millis(500),
        "nothing is told before the client might have begun to load"
    );
    server.stop().await;
}

#[tokio::test]
async fn a_client_that_loads_is_told_only_what_came_later() {
    let Friends { world, server, ada, ben, thread } = Friends::new(SOON).await;
    let mut ada_client = server.log_in(ada).await;
    for _ in 0..13 {
        world.said(ada, ben, "before").await;
    }
    let mut client = server.log_in(ben).await;
    client.send(1025, &json!({"uid": ben, "thread_id": 0})).await;
    assert_eq!(client.expect(1026).await["threads"][0]["thread_id"], thread.0);
    client.send(1029, &json!({"thread_id": thread, "message_id": 0})).await;
    let page = client.expect(1030).await;
    assert_eq!(page["load_more"], true);

    // Said while it loads: it is in the next page, and is not told besides.
    ada_client.send(1017, &text(ben, "meanwhile", "{1}")).await;
    assert_eq!(ada_client.expect(1018).await["error"], 0);
    client.is_alive().await;
    client.send(1029, &json!({"thread_id": thread, "message_id": page["last_message_id"]})).await;
    let page = client.expect(1030).await;
    assert_eq!((&page["load_more"], &page["chat_datas"][4]["msg_content"]), (&json!(false), &json!("meanwhile")));

    ada_client.send(1017, &text(ben, "later", "{2}")).await;
    assert_eq!(client.told(thread, 1).await, [16]);
    client.hears_nothing().await;
    world.until_delivered(ben, thread, 16).await;
    server.stop().await;
}

#[tokio::test]
async fn a_client_that_loads_hears_of_a_conversation_before_its_first_text() {
    let Friends { world, server, ada, ben, thread } = Friends::new(SOON).await;
    let eve = world.user("eve").await;
    let mut client = server.log_in(ben).await;
    client.send(1025, &json!({"uid": ben, "thread_id": 0})).await;
    client.expect(1026).await;
    client.send(1029, &json!({"thread_id": thread, "message_id": 0})).await;
    client.expect(1030).await;

    // A friend it has not heard of, and a conversation that it never loads.
    let other = world.friends(eve, ben).await;
    let mut eve_client = server.log_in(eve).await;
    eve_client.send(1017, &text(ben, "who are you?", "{1}")).await;
    assert_eq!(client.expect(1028).await, json!({"error": 0, "uid": ben, "other_id": eve, "thread_id": other}));
    assert_eq!(client.told(other, 1).await, [2]);
    eve_client.send(1017, &text(ben, "and again", "{2}")).await;
    assert_eq!(client.told(other, 1).await, [3]);
    let mut ada_client = server.log_in(ada).await;
    ada_client.send(1017, &text(ben, "known", "{3}")).await;
    assert_eq!(client.told(thread, 1).await, [2]);
    server.stop().await;
}

#[tokio::test]
async fn a_client_that_stops_loading_is_told_what_it_did_not_load() {
    let Friends { world, server, ada, ben, thread } = Friends::new(SOON).await;
    world.said(ada, ben, "before").await;
    let mut client = server.log_in(ben).await;
    client.send(1025, &json!({"uid": ben, "thread_id": 0})).await;
    client.expect(1026).await;
    let mut ada_client = server.log_in(ada).await;
    ada_client.send(1017, &text(ben, "meanwhile", "{1}")).await;
    assert_eq!(ada_client.expect(1018).await["error"], 0);
    tokio::time::pause();
    let begun = tokio::time::Instant::now();
    assert_eq!(client.told(thread, 2).await, [2, 3]);
    let waited = begun.elapsed();
    assert!(waited > Duration::from_secs(4) && waited < Duration::from_secs(6), "{waited:?}");
    tokio::time::resume();
    server.stop().await;
}

#[tokio::test]
async fn own_texts_are_not_told_to_a_client_that_shows_what_it_is_told() {
    let Friends { world, server, ada, ben, thread } = Friends::new(SOON).await;
    world.said(ada, ben, "from an earlier session").await;
    world.said(ben, ada, "an answer").await;
    let mut client = server.log_in(ada).await;
    client.send(1017, &text(ben, "from this session", "{1}")).await;
    assert_eq!(client.expect(1018).await["chat_datas"][0]["seq"], 4);
    assert_eq!(client.told(thread, 1).await, [3]);
    client.hears_nothing().await;
    world.until_delivered(ada, thread, 4).await;
    server.stop().await;
}

#[tokio::test]
async fn what_a_notice_of_friendship_brought_is_not_told_again() {
    let world = World::new();
    let (ada, ben) = (world.user("ada").await, world.user("ben").await);
    let server = world.server("ours").await;
    let (mut ada_client, mut ben_client) = (server.log_in(ada).await, server.log_in(ben).await);
    ada_client.send(1009, &json!({"touid": ben, "applyname": "it is me", "bakname": ""})).await;
    ada_client.expect(1010).await;
    ben_client.expect(1011).await;
    ben_client.send(1013, &json!({"touid": ada, "back": ""})).await;
    assert_eq!(ben_client.expect(1014).await["chat_datas"].as_array().unwrap().len(), 2);
    assert_eq!(ada_client.expect(1015).await["chat_datas"].as_array().unwrap().len(), 2);
    ada_client.send(1017, &text(ben, "hello", "{1}")).await;
    assert_eq!(ben_client.told(ThreadId(1), 1).await, [3]);
    ben_client.hears_nothing().await;
    assert_eq!(ada_client.expect(1018).await["error"], 0);
    ada_client.hears_nothing().await;
    server.stop().await;
}

#[tokio::test]
async fn two_that_talk_at_once_miss_nothing_and_see_no_echo() {
    const TEXTS: usize = 300;
    let Friends { server, ada, ben, .. } = Friends::new(SOON).await;
    let talk = async |me: UserId, other: UserId| {
        let mut client = server.log_in(me).await;
        for number in 0..TEXTS {
            client.send(1017, &text(other, "hello", &format!("{{{number}}}"))).await;
        }
        let (mut own, mut told, mut answers, mut heard) = (Vec::new(), Vec::new(), 0, 0);
        while answers < TEXTS || heard < TEXTS {
            let (id, body) = client.receive().await.unwrap();
            let seqs = body["chat_datas"].as_array().unwrap().iter().map(|text| text["seq"].as_i64().unwrap());
            match id {
                1018 => own.extend(seqs),
                _ => told.extend(seqs),
            }
            (answers, heard) = (own.len(), told.len());
        }
        assert!(own.is_sorted_by(|one, next| one < next) && told.is_sorted_by(|one, next| one < next));
        client.is_alive().await;
        own.extend(told);
        own.sort_unstable();
        own
    };
    let (ada_saw, ben_saw) = tokio::join!(talk(ada, ben), talk(ben, ada));
    let all: Vec<_> = (2..2 + 2 * TEXTS as i64).collect();
    assert_eq!(ada_saw, all);
    assert_eq!(ben_saw, all);
    server.stop().await;
}
