//! Two strangers become friends and talk, on two servers and on one (PROTOCOL.md, "Log in" to "Texts"), field by field.

use serde_json::{Value, json};

use crate::support::{RawClient, Topology, User, numbers_of, rows_of, without_times};

const LINE: &str = "We are friends now, let's chat!";

#[tokio::test]
async fn strangers_become_friends_across_servers_and_talk() {
    let topology = Topology::start(&[]).await;
    let ada = topology.sign_up("ada").await;
    let (mut on_first, reply) = RawClient::log_in(&ada).await;
    assert_eq!(reply, login_reply(&ada, json!([]), json!([])));
    let bob = topology.sign_up("bob").await;
    assert_ne!(ada.chat_address(), bob.chat_address(), "the server with fewer sessions is chosen");
    let (mut on_second, _) = RawClient::log_in(&bob).await;

    make_friends(&ada, &mut on_first, &bob, &mut on_second).await;
    talk(&ada, &mut on_first, &bob, &mut on_second, 3).await;
    talk(&bob, &mut on_second, &ada, &mut on_first, 4).await;

    // What the next login tells, wherever it happens.
    let (_, reply) = RawClient::log_in_at(&ada.chat_address(), &bob, &[]).await;
    let mut applicant = profile(&ada);
    applicant["desc"] = json!("hi, it is \"Ada\"");
    applicant["status"] = json!(1);
    let mut friend = profile(&ada);
    friend["back"] = json!("Countess");
    assert_eq!(reply, login_reply(&bob, json!([applicant]), json!([friend])));
    let (_, reply) = RawClient::log_in(&ada).await;
    let mut friend = profile(&bob);
    friend["back"] = json!("Bobby");
    assert_eq!(reply, login_reply(&ada, json!([]), json!([friend])));
    topology.assert_no_panic();
}

#[tokio::test]
async fn one_server_serves_both_alike() {
    let topology = Topology::start(&["--chats", "1"]).await;
    let (ada, bob) = (topology.sign_up("ada").await, topology.sign_up("bob").await);
    let ((mut one, _), (mut other, _)) = (RawClient::log_in(&ada).await, RawClient::log_in(&bob).await);
    make_friends(&ada, &mut one, &bob, &mut other).await;
    for number in 3..9 {
        talk(&bob, &mut other, &ada, &mut one, number).await;
    }
}

#[tokio::test]
async fn a_token_opens_sessions_on_every_server_again_and_again() {
    let topology = Topology::start(&["--chats", "3"]).await;
    let ada = topology.sign_up("ada").await;
    for chat in topology.ready.chats.iter().chain(topology.ready.chats.iter().rev()) {
        let (mut client, reply) = RawClient::log_in_at(&chat.tcp, &ada, &[]).await;
        assert_eq!(reply["token"], ada.token.as_str());
        client.assert_alive().await;
    }
}

#[tokio::test]
async fn who_was_offline_finds_applications_and_friends_at_the_next_login() {
    let topology = Topology::start(&[]).await;
    let (ada, bob) = (topology.sign_up("ada").await, topology.sign_up("bob").await);
    let (mut one, _) = RawClient::log_in(&ada).await;
    assert_eq!(one.ask(1009, &json!({ "touid": bob.uid, "bakname": "Bobby" })).await, json!({ "error": 0 }));
    drop(one);
    let (mut other, reply) = RawClient::log_in(&bob).await;
    assert_eq!(reply["apply_list"][0]["status"], 0, "{reply}");
    assert_eq!(reply["apply_list"][0]["uid"], ada.uid);
    let approved = other.ask(1013, &json!({ "touid": ada.uid })).await;
    // Without an introduction there is only the line that they are friends.
    assert_eq!(numbers_of(&approved), [1]);
    let told = other.say(&ada, "c1", "are you there?").await;
    assert_eq!(numbers_of(&told), [2], "stored for whoever is offline");
    let (mut one, reply) = RawClient::log_in(&ada).await;
    assert_eq!(reply["friend_list"][0]["back"], "Bobby", "{reply}");
    assert_eq!(numbers_of(&one.say(&bob, "c1", "now I am").await), [3]);
    assert_eq!(numbers_of(&one.expect(1019).await), [2], "what was said meanwhile");

    // Approving twice gives the first result, and tells nobody again; so does applying to a friend. What is told between
    // two servers keeps its order, so the next frame shows it.
    other.expect(1019).await;
    assert_eq!(other.ask(1013, &json!({ "touid": ada.uid })).await, approved);
    other.say(&ada, "c2", "still friends").await;
    assert_eq!(numbers_of(&one.expect(1019).await), [4]);
    assert_eq!(one.ask(1009, &json!({ "touid": bob.uid })).await, json!({ "error": 0 }));
    one.say(&bob, "c3", "for ever").await;
    assert_eq!(numbers_of(&other.expect(1019).await), [5]);
}

/// Searches, applies and approves; afterwards their conversation has two texts.
async fn make_friends(ada: &User, one: &mut RawClient, bob: &User, other: &mut RawClient) {
    for wanted in [bob.name.clone(), bob.uid.to_string()] {
        let mut found = profile(bob);
        found["error"] = json!(0);
        assert_eq!(one.ask(1007, &json!({ "uid": wanted })).await, found, "nothing that is not public");
    }
    let applying = json!({
        "uid": ada.uid, "touid": bob.uid, "applyname": "hi, it is \"Ada\"", "bakname": "Bobby",
    });
    assert_eq!(one.ask(1009, &applying).await, json!({ "error": 0 }));
    let noticed = json!({
        "error": 0, "applyuid": ada.uid, "name": "hi, it is \"Ada\"", "desc": "hi, it is \"Ada\"",
        "icon": ":/res/head_1.jpg", "sex": 0, "nick": "ada",
    });
    assert_eq!(other.expect(1011).await, noticed);

    let approved = other.ask(1013, &json!({ "fromuid": bob.uid, "touid": ada.uid, "back": "Countess" })).await;
    let thread = rows_of(&approved)[0]["thread_id"].as_i64().unwrap();
    let first = rows_of(&approved)[0]["msg_id"].as_i64().unwrap();
    assert!(thread > 0 && first > 0, "{approved}");
    let greeting = |sender: &User, key: i64, content: &str, seq: i64| {
        json!({
            "sender": sender.uid, "msg_id": key, "thread_id": thread, "unique_id": "", "msg_content": content,
            "status": 2, "seq": seq,
        })
    };
    let second = rows_of(&approved)[1]["msg_id"].as_i64().unwrap();
    assert!(second > first, "{approved}");
    let rows = json!([greeting(ada, first, "hi, it is \"Ada\"", 1), greeting(bob, second, LINE, 2)]);
    let common =
        |user: &User| json!({ "error": 0, "name": user.name, "nick": user.name, "icon": ":/res/head_1.jpg", "sex": 0 });
    let mut expected = common(ada);
    expected["uid"] = json!(ada.uid);
    expected["chat_datas"] = rows.clone();
    assert_eq!(without_times(approved), expected);
    let mut expected = common(bob);
    expected["fromuid"] = json!(bob.uid);
    expected["touid"] = json!(ada.uid);
    expected["chat_datas"] = rows;
    assert_eq!(without_times(one.expect(1015).await), expected);
}

/// One text, which must get this number: acknowledged and told, field by field.
async fn talk(from: &User, sender: &mut RawClient, to: &User, receiver: &mut RawClient, number: i64) {
    let (id, content) = (format!("{{id-{number}}}"), format!("你好 {number}"));
    let stored = sender.say(to, &id, &content).await;
    let row = &rows_of(&stored)[0];
    let (key, thread) = (row["message_id"].as_i64().unwrap(), stored["thread_id"].as_i64().unwrap());
    assert!(key >= number && thread > 0, "{stored}");
    let expected = json!({
        "error": 0, "fromuid": from.uid, "touid": to.uid, "thread_id": thread,
        "text_array": [{ "content": content, "msgid": id }],
        "chat_datas": [{ "message_id": key, "unique_id": id, "content": content, "status": 2, "seq": number }],
    });
    let told = receiver.expect(1019).await;
    assert_eq!(told, stored, "both read the same");
    assert_eq!(without_times(stored), expected);
}

fn login_reply(user: &User, apply_list: Value, friend_list: Value) -> Value {
    let mut reply = profile(user);
    reply["error"] = json!(0);
    reply["token"] = json!(user.token);
    reply["email"] = json!(user.email);
    reply["apply_list"] = apply_list;
    reply["friend_list"] = friend_list;
    reply
}

/// What anyone may know of a user.
fn profile(user: &User) -> Value {
    json!({ "uid": user.uid, "name": user.name, "nick": user.name, "desc": "", "sex": 0, "icon": ":/res/head_1.jpg" })
}
