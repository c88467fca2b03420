//! Requests as the original Qt clients write them, and texts of every kind, byte for byte (PROTOCOL.md, "Generations",
//! "JSON" and "Texts").

use serde_json::{Value, json};

use crate::support::{Frame, RawClient, Topology, ids_of, numbers_of, rows_of, texts};

/// Bytes that one request may carry.
const MOST_CONTENT: usize = 16_384;

#[tokio::test]
async fn indented_json_with_braced_ids_one_request_a_segment() {
    let topology = Topology::start(&[]).await;
    let (ada, bob) = (topology.sign_up("ada").await, topology.sign_up("bob").await);
    let mut one = RawClient::connect(&ada.chat_address()).await;
    send_qt(&mut one, 1005, &json!({ "uid": ada.uid, "token": ada.token })).await;
    assert_eq!(one.expect(1006).await["error"], 0);
    let mut other = RawClient::connect(&bob.chat_address()).await;
    send_qt(&mut other, 1005, &json!({ "uid": bob.uid, "token": bob.token })).await;
    assert_eq!(other.expect(1006).await["error"], 0);

    send_qt(&mut one, 1007, &json!({ "uid": "bob" })).await;
    assert_eq!(one.expect(1008).await["uid"], bob.uid);
    let applying = json!({ "uid": ada.uid, "applyname": "ada", "bakname": "", "touid": bob.uid });
    send_qt(&mut one, 1009, &applying).await;
    assert_eq!(one.expect(1010).await["error"], 0);
    assert_eq!(other.expect(1011).await["applyuid"], ada.uid);
    send_qt(&mut other, 1013, &json!({ "fromuid": bob.uid, "touid": ada.uid, "back": "" })).await;
    assert!(!rows_of(&other.expect(1014).await).is_empty(), "later clients read element 0");
    assert!(!rows_of(&one.expect(1015).await).is_empty(), "later clients read element 0");

    // A message box: the texts, then an empty array at its end.
    let id = "{0f3b12f4-7e86-4b0f-9c5e-5a3c0d6a1e11}";
    let box_of = |texts: Value| json!({ "fromuid": ada.uid, "touid": bob.uid, "text_array": texts });
    send_qt(&mut one, 1017, &box_of(json!([{ "content": "hello", "msgid": id }]))).await;
    let stored = one.expect(1018).await;
    assert_eq!(ids_of(&stored), [id]);
    assert_eq!(stored["text_array"], json!([{ "content": "hello", "msgid": id }]));
    assert_eq!(other.expect(1019).await, stored);
    send_qt(&mut one, 1017, &box_of(json!([]))).await;
    let empty = one.expect(1018).await;
    let expected = json!({
        "error": 0, "fromuid": ada.uid, "touid": bob.uid, "text_array": [], "chat_datas": [],
    });
    assert_eq!(empty, expected);

    // Later clients write another key, and a heartbeat.
    send_qt(&mut one, 1017, &box_of(json!([{ "content": "again", "unique_id": "{u}" }]))).await;
    assert_eq!(ids_of(&one.expect(1018).await), ["{u}"]);
    assert_eq!(other.expect(1019).await["text_array"], json!([{ "content": "again", "msgid": "{u}" }]));
    send_qt(&mut one, 1023, &json!({ "fromuid": ada.uid })).await;
    assert_eq!(one.expect(1024).await, json!({ "error": 0 }));
    other.assert_alive().await;
    topology.assert_no_panic();
}

#[tokio::test]
async fn a_later_client_loads_conversations_and_texts_then_talks() {
    let topology = Topology::start(&[]).await;
    let (ada, bob) = topology.sign_up_friends("ada", "bob").await;
    let (mut other, _) = RawClient::log_in(&bob).await;
    for number in 1..=12 {
        assert_eq!(other.say(&ada, "", &format!("while you were away {number}")).await["error"], 0);
    }

    let mut one = RawClient::connect(&ada.chat_address()).await;
    send_qt(&mut one, 1005, &json!({ "uid": ada.uid, "token": ada.token })).await;
    assert_eq!(one.expect(1006).await["error"], 0);
    send_qt(&mut one, 1025, &json!({ "uid": ada.uid, "thread_id": 0 })).await;
    let page = one.expect(1026).await;
    let thread = page["threads"][0]["thread_id"].clone();
    let listed = json!({ "thread_id": thread, "type": "private", "user1_id": ada.uid, "user2_id": bob.uid });
    let expected =
        json!({ "error": 0, "uid": ada.uid, "load_more": false, "next_last_id": thread, "threads": [listed] });
    assert_eq!(page, expected);

    let (mut last, mut read) = (json!(0), Vec::new());
    for (rows, load_more) in [(10, true), (3, false)] {
        send_qt(&mut one, 1029, &json!({ "thread_id": thread, "message_id": last })).await;
        let page = one.expect(1030).await;
        assert_eq!((&page["error"], &page["thread_id"], &page["load_more"]), (&0.into(), &thread, &load_more.into()));
        assert_eq!(rows_of(&page).len(), rows);
        assert_eq!(rows_of(&page)[rows - 1]["msg_id"], page["last_message_id"]);
        last = page["last_message_id"].clone();
        read.extend(rows_of(&page).to_vec());
    }
    assert_eq!((&read[12]["msg_content"], &read[12]["sender"]), (&"while you were away 12".into(), &bob.uid.into()));
    // All there is.
    send_qt(&mut one, 1029, &json!({ "thread_id": thread, "message_id": last })).await;
    let end = json!({ "error": 0, "thread_id": thread, "load_more": false, "last_message_id": last });
    assert_eq!(one.expect(1030).await, end);

    let id = "{0f3b12f4-7e86-4b0f-9c5e-5a3c0d6a1e12}";
    let text = json!([{ "content": "good to be back", "unique_id": id }]);
    let said = json!({ "fromuid": ada.uid, "touid": bob.uid, "thread_id": thread, "text_array": text });
    send_qt(&mut one, 1017, &said).await;
    let stored = one.expect(1018).await;
    assert_eq!((&stored["error"], &stored["thread_id"], ids_of(&stored)), (&0.into(), &thread, vec![id]));
    let told = other.expect(1019).await;
    assert_eq!((&told["thread_id"], rows_of(&told)), (&thread, rows_of(&stored)));
    topology.assert_no_panic();
}

#[tokio::test]
async fn both_arrays_unless_one_is_declared() {
    let topology = Topology::start(&[]).await;
    let (ada, bob) = topology.sign_up_friends("ada", "bob").await;
    let both = ["text_array", "chat_datas"];
    let declared: [(&[&str], &[&str]); 5] = [
        (&[], &both),
        (&["text_array"], &["text_array"]),
        (&["chat_datas"], &["chat_datas"]),
        (&["chat_datas", "text_array"], &both),
        (&["coalesced", "never heard of"], &both),
    ];
    for (features, arrays) in declared {
        let (mut one, _) = RawClient::log_in_at(&ada.chat_address(), &ada, features).await;
        let (mut other, _) = RawClient::log_in_at(&bob.chat_address(), &bob, features).await;
        let stored = one.say(&bob, "", "hello").await;
        let told = other.expect(1019).await;
        for body in [stored, told] {
            let keys: Vec<_> = both.into_iter().filter(|key| body.get(key).is_some()).collect();
            assert_eq!(keys, arrays, "{features:?}: {body}");
        }
        let refused = one.ask(1017, &json!({ "touid": ada.uid, "text_array": [{ "content": "x" }] })).await;
        assert_eq!(refused["text_array"], json!([{ "content": "x", "msgid": "" }]), "says what was refused");
        assert!(refused.get("chat_datas").is_none() && refused.get("thread_id").is_none(), "{refused}");
    }
}

#[tokio::test]
async fn texts_arrive_as_they_were_written() {
    let topology = Topology::start(&[]).await;
    let (ada, bob) = topology.sign_up_friends("ada", "bob").await;
    let ((mut one, _), (mut other, _)) = (RawClient::log_in(&ada).await, RawClient::log_in(&bob).await);
    let every_control: String = (0..0x20).chain([0x7f, 0x80, 0x9f]).filter_map(char::from_u32).collect();
    let contents = [
        "密码".repeat(512),
        "🎉👩‍👩‍👧‍👦\u{1F3F3}\u{FE0F}".repeat(64),
        String::new(),
        "  leading and trailing  ".into(),
        every_control,
        "\"quoted\" \\ back / slash".into(),
        "\u{2028}\u{2029}\u{202e}\u{feff}\u{fffd}\u{10ffff}".into(),
        "a".repeat(MOST_CONTENT),
    ];
    assert_eq!((contents[0].chars().count(), contents[0].len()), (1_024, 3_072));
    for (number, content) in contents.iter().enumerate() {
        let id = format!("{{{number}}}");
        assert_eq!(rows_of(&one.say(&bob, &id, content).await)[0]["content"], content.as_str());
        let told = other.expect(1019).await;
        assert_eq!(rows_of(&told)[0]["content"], content.as_str());
        assert_eq!(told["text_array"][0]["content"], content.as_str());
        assert_eq!(rows_of(&other.say(&ada, &id, content).await)[0]["content"], content.as_str());
        assert_eq!(one.expect(1019).await["text_array"][0]["content"], content.as_str());
    }
}

#[tokio::test]
async fn a_request_carries_64_texts_and_16_kib() {
    let topology = Topology::start(&[]).await;
    let (ada, bob) = topology.sign_up_friends("ada", "bob").await;
    let ((mut one, _), (mut other, _)) = (RawClient::log_in(&ada).await, RawClient::log_in(&bob).await);
    let many = |count: usize, bytes: usize| {
        let content = "x".repeat(bytes);
        json!({ "touid": bob.uid, "text_array": vec![json!({ "content": content }); count] })
    };
    let stored = one.ask(1017, &many(64, MOST_CONTENT / 64)).await;
    assert_eq!(numbers_of(&stored), (2..66).collect::<Vec<_>>());
    assert_eq!(other.expect(1019).await, stored, "one request is one notice");
    for too_much in [many(65, 1), many(1, MOST_CONTENT + 1), many(64, MOST_CONTENT / 64 + 1), many(1_000, 0)] {
        let refused = one.ask(1017, &too_much).await;
        assert_eq!(refused["error"], 3005);
        assert_eq!(refused["text_array"].as_array().map(Vec::len), too_much["text_array"].as_array().map(Vec::len));
    }
    one.assert_alive().await;
    assert_eq!(numbers_of(&one.say(&bob, "", "next").await), [66], "what was refused took no number");
}

#[tokio::test]
async fn what_must_be_escaped_counts_as_long_as_it_becomes() {
    let topology = Topology::start(&["--chats", "1"]).await;
    let (ada, bob) = topology.sign_up_friends("ada", "bob").await;
    let ((mut one, _), (mut other, _)) = (RawClient::log_in(&ada).await, RawClient::log_in(&bob).await);
    // 200 + 2 * e + 220 <= 65,535, with e twice and six times the length.
    for (character, most) in [("\"", 16_278), ("\\", 16_278), ("\u{1}", 5_426), ("\n", 16_278)] {
        let longest = character.repeat(most);
        let stored = one.say(&bob, "", &longest).await;
        assert_eq!(rows_of(&stored)[0]["content"], longest.as_str());
        assert_eq!(other.expect(1019).await, stored);
        assert_eq!(one.say(&bob, "", &character.repeat(most + 1)).await["error"], 3005);
        one.assert_alive().await;
    }
    // An id counts like a content.
    let id = "\"".repeat(64);
    assert_eq!(one.ask(1017, &texts(bob.uid, &[(&id, &"\"".repeat(16_278))])).await["error"], 3005);
    assert_eq!(ids_of(&one.say(&bob, &id, &"\"".repeat(16_278 - 64)).await), [id]);
}

/// Sends what `QJsonDocument::toJson` makes of it, in a write of its own.
async fn send_qt(client: &mut RawClient, id: u16, body: &Value) {
    let text = format!("{}\n", indented(body, 0));
    client.send_bytes(&Frame::bytes(id, text.as_bytes())).await;
}

/// Four blanks a level, keys sorted, and a line of its own for the end of an empty array.
fn indented(value: &Value, level: usize) -> String {
    let (inner, outer) = ("    ".repeat(level + 1), "    ".repeat(level));
    let wrapped = |open: char, lines: Vec<String>, close: char| {
        let end = if lines.is_empty() { "" } else { "\n" };
        format!("{open}\n{}{end}{outer}{close}", lines.join(",\n"))
    };
    match value {
        Value::Array(items) => {
            wrapped('[', items.iter().map(|item| format!("{inner}{}", indented(item, level + 1))).collect(), ']')
        }
        Value::Object(fields) => {
            let mut fields: Vec<_> = fields.iter().collect();
            fields.sort_by_key(|(key, _)| *key);
            let line = |(key, value): (&String, &Value)| format!("{inner}\"{key}\": {}", indented(value, level + 1));
            wrapped('{', fields.into_iter().map(line).collect(), '}')
        }
        plain => plain.to_string(),
    }
}

#[test]
fn indented_as_qt_does_it() {
    let body = json!({ "touid": 2, "fromuid": 1, "text_array": [], "a": [{ "b": "c" }] });
    let text = "{\n    \"a\": [\n        {\n            \"b\": \"c\"\n        }\n    ],\n    \"fromuid\": 1,\n    \
                \"text_array\": [\n    ],\n    \"touid\": 2\n}";
    assert_eq!(indented(&body, 0), text);
}
