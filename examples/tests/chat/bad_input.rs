//! Bodies that are not what a request needs: each is answered, the session lives, nobody else notices, nothing panics
//! (PROTOCOL.md, "JSON" and "Answers").

use serde_json::{Value, json};

use crate::support::{Frame, RawClient, Topology, User};

const REQUESTS: [u16; 6] = [1005, 1007, 1009, 1013, 1017, 1023];

#[tokio::test]
async fn what_is_no_json_object_is_answered_with_1001() {
    let (topology, mut client, mut witness, ..) = setting().await;
    let mut too_deep = b"{\"uid\":".to_vec();
    too_deep.extend([b'['; 32_000]);
    let mut deep_and_closed = b"{\"touid\":".to_vec();
    deep_and_closed.extend(b"[".repeat(16_000).into_iter().chain(b"]".repeat(16_000)).chain(*b"}"));
    let bodies: [&[u8]; 26] = [
        b"",
        b" ",
        b"null",
        b"true",
        b"1",
        b"-0.0",
        b"\"{}\"",
        b"[]",
        b"[{}]",
        b"[1,2]",
        b"{",
        b"}",
        b"{\"uid\"",
        b"{\"uid\":}",
        b"{\"uid\":1,}",
        b"{\"uid\":01}",
        b"{} {}",
        b"{}\0",
        b"\xef\xbb\xbf{}",
        b"\xff\xfe{\0}\0",
        b"{\"touid\":\"\xff\"}",
        b"{\"x\":\"\n\"}",
        b"{'uid':1}",
        b"{\"uid\":NaN}",
        &too_deep,
        &b"[".repeat(32_767),
    ];
    for id in REQUESTS {
        for body in bodies {
            client.send_bytes(&Frame::bytes(id, body)).await;
            let shown = String::from_utf8_lossy(&body[..body.len().min(40)]);
            let frame = client.recv().await.unwrap_or_else(|| panic!("{id} {shown}: closed"));
            assert_eq!((frame.id, frame.body), (id + 1, json!({ "error": 1001 })), "{id} {shown}");
        }
        // An unknown key may hold anything that is JSON; here it is the wrong type of a known one, or ignored.
        client.send_bytes(&Frame::bytes(id, &deep_and_closed)).await;
        assert_eq!(client.recv().await.unwrap().id, id + 1);
        client.assert_alive().await;
        witness.assert_alive().await;
    }
    topology.assert_no_panic();
}

#[tokio::test]
async fn before_a_login_too_the_connection_lives() {
    let topology = Topology::start(&["--chats", "1"]).await;
    let ada = topology.sign_up("ada").await;
    let mut client = RawClient::connect(&ada.chat_address()).await;
    let (uid, token) = (ada.uid, ada.token.as_str());
    let bodies = [
        (json!({}), 1001),
        (json!({ "uid": uid }), 1001),
        (json!({ "token": token }), 1001),
        (json!({ "uid": uid.to_string(), "token": token }), 1001),
        (json!({ "uid": uid, "token": 5 }), 1001),
        (json!({ "uid": uid, "token": null }), 1001),
        (json!({ "uid": 1u64 << 32, "token": token }), 1001),
        (json!({ "uid": 1.5, "token": token }), 1001),
        (json!({ "uid": uid, "token": token, "features": "coalesced" }), 1001),
        (json!({ "uid": uid, "token": token, "features": [1] }), 1001),
        (json!({ "uid": uid, "token": token, "client": {} }), 1001),
        (json!({ "uid": uid, "token": "" }), 1010),
        (json!({ "uid": uid, "token": "x".repeat(30_000) }), 1010),
        (json!({ "uid": 0, "token": token }), 1011),
        (json!({ "uid": -1, "token": token }), 1011),
        (json!({ "uid": i32::MAX, "token": token }), 1011),
    ];
    for (body, error) in bodies {
        client.send(1005, &body).await;
        assert_eq!(client.expect(1006).await, json!({ "error": error }), "{}", shown(&body));
    }
    assert_eq!(client.log_in_as(&ada).await["error"], 0);
    assert_eq!(client.log_in_as(&ada).await, json!({ "error": 3008 }));
    client.assert_alive().await;
    topology.assert_no_panic();
}

#[tokio::test]
async fn fields_of_the_wrong_kind_are_refused_by_their_rule() {
    let (topology, mut client, mut witness, ada, bob) = setting().await;
    let (me, you) = (ada.uid, bob.uid);
    let search = |uid: Value, error: i32| (1007, json!({ "uid": uid }), error);
    let text = |text: Value, error: i32| (1017, json!({ "touid": you, "text_array": [text] }), error);
    let long = "x".repeat(256);
    let requests = [
        search(json!(me), 1001),
        search(json!(null), 1001),
        search(json!(["bob"]), 1001),
        search(json!(""), 1011),
        search(json!("12345678901234567890"), 1011),
        search(json!("9".repeat(30_000)), 1011),
        search(json!("0"), 1011),
        search(json!("-1"), 1011),
        search(json!("+1001"), 1011),
        search(json!("bob "), 1011),
        search(json!("bo%"), 1011),
        search(json!("' OR 1=1 --"), 1011),
        search(json!("bob\u{0}"), 1011),
        (1007, json!({ "name": "bob" }), 1001),
        (1009, json!({}), 1001),
        (1009, json!({ "touid": you.to_string() }), 1001),
        (1009, json!({ "touid": null }), 1001),
        (1009, json!({ "touid": 1.0 }), 1001),
        (1009, json!({ "touid": 1e10 }), 1001),
        (1009, json!({ "touid": i64::MAX }), 1001),
        (1009, json!({ "touid": you, "uid": "1001" }), 1001),
        (1009, json!({ "touid": you, "applyname": 5 }), 1001),
        (1009, json!({ "touid": you, "bakname": {} }), 1001),
        (1009, json!({ "touid": you, "applyname": long }), 3007),
        (1009, json!({ "touid": you, "bakname": long }), 3007),
        (1009, json!({ "touid": me }), 3007),
        (1009, json!({ "touid": 0 }), 1011),
        (1009, json!({ "touid": -5 }), 1011),
        (1009, json!({ "touid": i32::MAX }), 1011),
        (1013, json!({}), 1001),
        (1013, json!({ "touid": "x" }), 1001),
        (1013, json!({ "touid": you, "fromuid": [] }), 1001),
        (1013, json!({ "touid": you, "back": 1 }), 1001),
        (1013, json!({ "touid": you, "back": long }), 3007),
        (1013, json!({ "touid": i32::MAX }), 1011),
        (1013, json!({ "touid": 0 }), 1011),
        (1017, json!({}), 1001),
        (1017, json!({ "text_array": [] }), 1001),
        (1017, json!({ "touid": you.to_string(), "text_array": [] }), 1001),
        (1017, json!({ "touid": you, "text_array": {} }), 1001),
        (1017, json!({ "touid": you, "text_array": "hello" }), 1001),
        (1017, json!({ "touid": you, "text_array": null }), 1001),
        (1017, json!({ "touid": you, "thread_id": "1", "text_array": [] }), 1001),
        (1017, json!({ "touid": you, "thread_id": 0.5, "text_array": [] }), 1001),
        (1017, json!({ "touid": you, "thread_id": 999, "text_array": [{ "content": "x" }] }), 3009),
        text(json!("hello"), 1001),
        text(json!([]), 1001),
        text(json!(null), 1001),
        text(json!({}), 1001),
        text(json!({ "msgid": "m" }), 1001),
        text(json!({ "content": 5 }), 1001),
        text(json!({ "content": null }), 1001),
        text(json!({ "content": "x", "msgid": 5 }), 1001),
        text(json!({ "content": "x", "unique_id": [] }), 1001),
        text(json!({ "content": "x", "msgid": "m".repeat(65) }), 3007),
        text(json!({ "content": "x", "unique_id": "é".repeat(33) }), 3007),
        (1023, json!({ "fromuid": "x" }), 1001),
        (1023, json!({ "fromuid": 0.5 }), 1001),
        (1023, json!({ "fromuid": you }), 3002),
    ];
    for (id, body, error) in requests {
        client.send(id, &body).await;
        let frame = client.recv().await.unwrap_or_else(|| panic!("{id} {}: closed", shown(&body)));
        assert_eq!((frame.id, &frame.body["error"]), (id + 1, &json!(error)), "{} {}", shown(&body), frame.body);
    }
    // A surrogate without its other half has no UTF-8.
    let lone = format!(r#"{{"touid":{you},"text_array":[{{"content":"\ud800"}}]}}"#);
    client.send_bytes(&Frame::bytes(1017, lone.as_bytes())).await;
    assert_eq!(client.expect(1018).await, json!({ "error": 1001 }));
    client.assert_alive().await;
    // Nothing of all this reached anyone.
    witness.assert_alive().await;
    assert_eq!(client.say(&bob, "", "hello").await["chat_datas"][0]["seq"], 2);
    topology.assert_no_panic();
}

#[tokio::test]
async fn random_damage_to_good_requests_is_survived() {
    let (topology, mut client, mut witness, ada, bob) = setting().await;
    let good = [
        (1005, json!({ "uid": ada.uid, "token": ada.token })),
        (1007, json!({ "uid": "bob" })),
        (1009, json!({ "uid": ada.uid, "touid": bob.uid, "applyname": "hi", "bakname": "b" })),
        (1013, json!({ "fromuid": ada.uid, "touid": bob.uid, "back": "b" })),
        (1017, json!({ "touid": bob.uid, "text_array": [{ "content": "hello", "msgid": "m" }] })),
        (1023, json!({ "fromuid": ada.uid })),
    ];
    let mut random = Xorshift(0x9e37_79b9_7f4a_7c15);
    for round in 0..100 {
        let mut expected: Vec<u16> = Vec::new();
        let mut segment = Vec::new();
        for (id, body) in &good {
            let mut body = body.to_string().into_bytes();
            for _ in 0..=random.below(4) {
                let at = random.below(body.len());
                match random.below(4) {
                    0 => body[at] = random.below(256) as u8,
                    1 => body.truncate(at.max(1)),
                    2 => body.insert(at, b"\"\\{}[],:0\xff"[random.below(10)]),
                    _ => {
                        body.remove(at);
                        body.push(b' ');
                    }
                }
            }
            segment.extend(Frame::bytes(*id, &body));
            expected.push(id + 1);
        }
        client.send_bytes(&segment).await;
        let mut answered = Vec::new();
        while answered.len() < expected.len() {
            let frame = client.recv().await.unwrap_or_else(|| panic!("round {round}: closed"));
            // Nobody tells this client anything, so every frame is an answer.
            assert!(frame.body["error"].is_i64(), "round {round}: {frame:?}");
            answered.push(frame.id);
        }
        answered.sort_unstable();
        assert_eq!(answered, expected, "round {round}");
    }
    client.assert_alive().await;
    // Some of the damage left texts, so there may be notices before the answer.
    assert_eq!(witness.ask(1023, &json!({})).await["error"], 0);
    topology.assert_no_panic();
}

/// Two friends who read several frames at once.
async fn setting() -> (Topology, RawClient, RawClient, User, User) {
    let topology = Topology::start(&["--chats", "1"]).await;
    let (ada, bob) = topology.sign_up_friends("ada", "bob").await;
    let (client, witness) = (RawClient::log_in_coalesced(&ada).await, RawClient::log_in_coalesced(&bob).await);
    (topology, client, witness, ada, bob)
}

fn shown(body: &Value) -> String {
    body.to_string().chars().take(120).collect()
}

/// The same damage in every run.
struct Xorshift(u64);

impl Xorshift {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound as u64) as usize
    }
}
