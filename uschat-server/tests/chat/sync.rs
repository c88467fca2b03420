//! A client of ours says what it has and is told the rest: nothing before, nothing twice, nothing of a text that another one
//! has replaced.

use std::time::Duration;

use serde_json::{Value, json};
use uschat_proto::chat::Fingerprint;
use uschat_server::store::{Accounts, Conversations, StoredText};

use crate::support::{Client, Friends, text};

const FEATURES: &[&str] = &["coalesced", "chat_datas", "sync"];
/// How often the server writes what users have got.
const SOON: Duration = Duration::from_millis(50);
const TOO_LARGE: i32 = 3005;
const INVALID_FIELD: i32 = 3007;

fn cursor(text: &StoredText) -> Value {
    let fingerprint = Fingerprint::of(text.key, text.sender, &text.content);
    json!({"thread_id": text.thread, "seq": text.seq, "fingerprint": fingerprint})
}

async fn sync(client: &mut Client, cursors: &[Value]) -> Value {
    client.send(3003, &json!({"cursors": cursors})).await;
    client.expect(3004).await
}

#[tokio::test]
async fn a_client_goes_on_behind_its_cursor_after_it_has_said_so() {
    let Friends { world, server, ada, ben, .. } = Friends::new(SOON).await;
    let mut last = Vec::new();
    for number in 0..20 {
        last.push(world.said(ada, ben, &format!("text {number}")).await);
    }
    // An own text of an earlier session, which may not know that it was stored.
    world.said(ben, ada, "mine").await;
    let mut client = server.log_in_with(ben, FEATURES).await;
    client.hears_nothing().await;

    let mut ada_client = server.log_in(ada).await;
    ada_client.send(1017, &text(ben, "live", "{1}")).await;
    assert_eq!(ada_client.expect(1018).await["chat_datas"][0]["seq"], 23);
    client.is_alive().await;

    assert_eq!(sync(&mut client, &[cursor(&last[9])]).await, json!({"error": 0}));
    let mut told = Vec::new();
    while told.len() < 12 {
        let body = client.expect(1019).await;
        let to = if body["fromuid"] == json!(ada) { ben } else { ada };
        assert_eq!((&body["touid"], body.get("text_array")), (&json!(to), None));
        let texts = body["chat_datas"].as_array().unwrap().clone();
        told.extend(texts.into_iter().map(|text| (body["fromuid"].clone(), text["seq"].as_i64().unwrap())));
    }
    let expected = (12..=23).map(|seq| (if seq == 22 { json!(ben) } else { json!(ada) }, seq));
    assert!(told.into_iter().eq(expected));

    // What this session sends and sees acknowledged is not told.
    client.send(1017, &text(ada, "mine too", "{2}")).await;
    assert_eq!(client.expect(1018).await["chat_datas"][0]["seq"], 24);
    client.hears_nothing().await;
    server.stop().await;
}

#[tokio::test]
async fn a_conversation_without_a_cursor_goes_on_behind_what_was_delivered() {
    let Friends { world, server, ada, ben, thread } = Friends::new(SOON).await;
    let eve = world.user("eve").await;
    let other = world.friends(eve, ben).await;
    world.said(eve, ben, "not named").await;
    world.said(ada, ben, "named").await;
    let mut client = server.log_in_with(ben, FEATURES).await;
    client.send(3003, &json!({"cursors": [{"thread_id": thread, "seq": 0}], "more": true})).await;
    assert_eq!(client.expect(3004).await["error"], 0);
    client.is_alive().await;
    client.send(3003, &json!({})).await;
    assert_eq!(client.expect(3004).await["error"], 0);

    // From the start, although the greeting was delivered before.
    let mut told = Vec::new();
    while told.len() < 3 {
        let body = client.expect(1019).await;
        let texts = body["chat_datas"].as_array().unwrap().clone();
        told.extend(texts.into_iter().map(|text| (body["thread_id"].clone(), text["seq"].clone())));
    }
    told.sort_by_key(|(thread, _)| thread.as_i64());
    assert_eq!(told, [(json!(thread), json!(1)), (json!(thread), json!(2)), (json!(other), json!(2))]);
    client.hears_nothing().await;
    server.stop().await;
}

#[tokio::test]
async fn a_cursor_of_another_text_is_replaced_by_the_last_there_is() {
    let Friends { world, server, ada, ben, thread } = Friends::new(SOON).await;
    let eve = world.user("eve").await;
    let (other, foreign) = (world.friends(eve, ben).await, world.friends(eve, ada).await);
    world.said(ada, ben, "one").await;
    let last = world.said(ada, ben, "two").await;
    let wrong = json!({"thread_id": thread, "seq": 2, "fingerprint": "0123456789abcdef"});
    let lost = json!({"thread_id": other, "seq": 9, "fingerprint": "0123456789abcdef"});
    let unknown = [json!({"thread_id": foreign, "seq": 0}), json!({"thread_id": 999, "seq": 0})];

    let mut client = server.log_in_with(ben, FEATURES).await;
    let answer = sync(&mut client, &[wrong, lost, unknown[0].clone(), unknown[1].clone()]).await;
    let greeting = world.store.texts_at(&[(other, 1)]).await.unwrap().remove(0);
    assert_eq!(answer["replaced"], json!([cursor(&last), cursor(&greeting)]));
    assert_eq!(answer["unknown"], json!([foreign, 999]));
    client.hears_nothing().await;

    let mut ada_client = server.log_in(ada).await;
    ada_client.send(1017, &text(ben, "three", "{1}")).await;
    assert_eq!(client.told(thread, 1).await, [4]);
    server.stop().await;
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_and_may_be_sent_again() {
    let Friends { world, server, ada, ben, thread } = Friends::new(SOON).await;
    world.said(ada, ben, "hello").await;
    let mut client = server.log_in_with(ben, FEATURES).await;
    let without_fingerprint = json!({"thread_id": thread, "seq": 1});
    for cursor in [without_fingerprint, json!({"thread_id": thread, "seq": -1}), json!({"thread_id": 0, "seq": 0})] {
        assert_eq!(sync(&mut client, &[cursor]).await, json!({"error": INVALID_FIELD}));
    }
    client.send(3005, &json!({"delivered": [{"thread_id": thread, "seq": 2}]})).await;
    assert_eq!(client.expect(3006).await, json!({"error": INVALID_FIELD}), "before it has said where it is");

    let cursors = |number: i64| (0..number).map(|id| json!({"thread_id": 1_000 + id, "seq": 0})).collect::<Vec<_>>();
    assert_eq!(sync(&mut client, &cursors(257)).await, json!({"error": TOO_LARGE}));
    for _ in 0..16 {
        client.send(3003, &json!({"cursors": cursors(256), "more": true})).await;
        assert_eq!(client.expect(3004).await["unknown"].as_array().unwrap().len(), 256);
    }
    assert_eq!(sync(&mut client, &cursors(1)).await, json!({"error": TOO_LARGE}));
    assert_eq!(sync(&mut client, &[]).await, json!({"error": 0}));
    assert_eq!(client.told(thread, 1).await, [2]);
    assert_eq!(sync(&mut client, &[]).await, json!({"error": INVALID_FIELD}), "the last part has come");

    let marks = |number: i64| (0..number).map(|_| json!({"thread_id": thread, "seq": 1})).collect::<Vec<_>>();
    client.send(3005, &json!({"delivered": marks(256), "read": marks(1)})).await;
    assert_eq!(client.expect(3006).await, json!({"error": TOO_LARGE}));
    client.send(3005, &json!({"read": [{"thread_id": thread, "seq": -1}]})).await;
    assert_eq!(client.expect(3006).await, json!({"error": INVALID_FIELD}));

    let mut undeclared = server.log_in(ada).await;
    assert_eq!(sync(&mut undeclared, &[]).await, json!({"error": INVALID_FIELD}));
    undeclared.send(3005, &json!({})).await;
    assert_eq!(undeclared.expect(3006).await, json!({"error": INVALID_FIELD}));
    let mut stranger = server.connect().await;
    assert_eq!(sync(&mut stranger, &[]).await, json!({"error": 3001}));
    server.stop().await;
}

#[tokio::test]
async fn what_a_client_has_got_is_what_it_says_and_was_told() {
    let Friends { world, server, ada, ben, thread } = Friends::new(SOON).await;
    let eve = world.user("eve").await;
    let foreign = world.friends(eve, ada).await;
    let greeting = world.store.texts_at(&[(thread, 1)]).await.unwrap().remove(0);
    for _ in 0..3 {
        world.said(ada, ben, "hello").await;
    }
    let mut client = server.log_in_with(ben, FEATURES).await;
    assert_eq!(sync(&mut client, &[cursor(&greeting)]).await, json!({"error": 0}));
    assert_eq!(client.told(thread, 3).await, [2, 3, 4]);

    let marks = json!([{"thread_id": thread, "seq": 3}, {"thread_id": foreign, "seq": 1}]);
    client.send(3005, &json!({"delivered": marks, "read": [{"thread_id": thread, "seq": 2}]})).await;
    assert_eq!(client.expect(3006).await, json!({"error": 0}));
    world.until_delivered(ben, thread, 3).await;
    let standing = world.store.standings(ben, &[thread]).await.unwrap()[0];
    assert_eq!((standing.delivered, standing.read), (3, 2));

    // More than it was told, and of a later session: neither counts.
    client.send(3005, &json!({"delivered": [{"thread_id": thread, "seq": 99}]})).await;
    client.expect(3006).await;
    world.until_delivered(ben, thread, 4).await;
    world.store.next_fence(ben).await.unwrap();
    world.said(ada, ben, "later").await;
    server.stop().await;
    assert_eq!(world.delivered(ben, thread).await, 4);
}

#[tokio::test]
async fn a_client_that_sent_and_lost_its_connection_learns_what_was_stored() {
    let Friends { server, ada, ben, thread, .. } = Friends::new(SOON).await;
    let mut client = server.log_in_with(ada, FEATURES).await;
    assert_eq!(sync(&mut client, &[]).await, json!({"error": 0}));
    client.send(1017, &text(ben, "did you get this?", "{1}")).await;
    // Stored; but as if this had never arrived.
    client.expect(1018).await;
    let mut client = server.log_in_with(ada, FEATURES).await;
    assert_eq!(sync(&mut client, &[]).await, json!({"error": 0}));
    let body = client.expect(1019).await;
    let told = &body["chat_datas"][0];
    assert_eq!((&body["fromuid"], &body["touid"]), (&json!(ada), &json!(ben)));
    assert_eq!((&body["thread_id"], &told["unique_id"], &told["seq"]), (&json!(thread), &json!("{1}"), &json!(2)));
    server.stop().await;
}
