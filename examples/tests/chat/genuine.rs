//! Who says something is who logged in, and may say it (PROTOCOL.md, "Messages", "Become friends", "Texts", "Tokens").

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::time::sleep;

use crate::support::{DEADLINE, RawClient, Topology, User, numbers_of, texts, xor_password};

#[tokio::test]
async fn nothing_is_done_before_a_login() {
    let topology = Topology::start(&["--chats", "1"]).await;
    let (ada, bob) = topology.sign_up_friends("ada", "bob").await;
    let mut witness = RawClient::log_in_coalesced(&bob).await;
    let mut stranger = RawClient::connect(&ada.chat_address()).await;
    for (id, body) in requests_of(ada.uid, &bob) {
        stranger.send(id, &body).await;
        assert_eq!(stranger.expect(id + 1).await, json!({ "error": 3001 }), "{id}");
        // Also when nobody could understand it.
        stranger.send(id, &json!([])).await;
        assert_eq!(stranger.expect(id + 1).await, json!({ "error": 3001 }), "{id}");
    }
    witness.assert_alive().await;
    assert_eq!(stranger.log_in_as(&ada).await["error"], 0);
    assert_eq!(numbers_of(&stranger.say(&bob, "", "hello").await), [2], "nothing was stored");
}

#[tokio::test]
async fn nobody_speaks_for_another() {
    let topology = Topology::start(&[]).await;
    let (ada, bob) = topology.sign_up_friends("ada", "bob").await;
    let eve = topology.sign_up("eve").await;
    // What ada and bob may do, said by eve in their names.
    let (mut forger, _) = RawClient::log_in(&eve).await;
    let (mut one, mut other) = (RawClient::log_in_coalesced(&ada).await, RawClient::log_in_coalesced(&bob).await);
    for uid in [ada.uid, 0, -1, i64::from(i32::MAX)] {
        for (id, body) in requests_of(uid, &bob) {
            if id != 1007 {
                let refused = forger.ask(id, &body).await;
                assert_eq!(refused["error"], 3002, "{id} as {uid}: {refused}");
            }
        }
    }
    one.assert_alive().await;
    other.assert_alive().await;
    // The truth, or silence, is fine.
    let claimed = json!({ "fromuid": ada.uid, "touid": bob.uid, "text_array": [{ "content": "it is me" }] });
    assert_eq!(numbers_of(&one.ask(1017, &claimed).await), [2], "nothing was stored before");
    assert_eq!(other.expect(1019).await["fromuid"], ada.uid);
    assert_eq!(one.say(&bob, "", "me again").await["fromuid"], ada.uid);
}

#[tokio::test]
async fn texts_are_for_friends() {
    let topology = Topology::start(&[]).await;
    let (ada, bob) = topology.sign_up_friends("ada", "bob").await;
    let eve = topology.sign_up("eve").await;
    let ((mut one, _), (mut stranger, _)) = (RawClient::log_in(&ada).await, RawClient::log_in(&eve).await);
    let nobody = User { uid: 999_999, ..bob.clone() };
    for to in [&bob, &ada, &eve, &nobody, &User { uid: 0, ..bob.clone() }, &User { uid: -1, ..bob.clone() }] {
        let refused = stranger.say(to, "id", "let me in").await;
        let expected = json!({
            "error": 3003, "fromuid": eve.uid, "touid": to.uid, "text_array": [{ "content": "let me in", "msgid": "id" }],
        });
        assert_eq!(refused, expected);
    }
    // To have applied is not enough, for neither side; to be approved is.
    assert_eq!(stranger.ask(1009, &json!({ "touid": ada.uid })).await["error"], 0);
    assert_eq!(one.expect(1011).await["applyuid"], eve.uid);
    assert_eq!(stranger.say(&ada, "id", "let me in").await["error"], 3003);
    assert_eq!(one.say(&eve, "id", "who are you?").await["error"], 3003);
    assert_eq!(one.ask(1013, &json!({ "touid": eve.uid })).await["error"], 0);
    assert_eq!(numbers_of(&stranger.say(&ada, "id", "thank you").await), [2], "what was refused took no number");
    assert_eq!(numbers_of(&one.expect(1019).await), [2]);

    // The conversation is that of the two, or none.
    let others = one.say(&bob, "", "x").await["thread_id"].clone();
    let mut body = texts(ada.uid, &[("other", "x")]);
    body["thread_id"] = others;
    assert_eq!(stranger.ask(1017, &body).await["error"], 3009);
}

#[tokio::test]
async fn approvals_need_an_application_by_the_other() {
    let topology = Topology::start(&[]).await;
    let (ada, eve) = (topology.sign_up("ada").await, topology.sign_up("eve").await);
    let ((mut one, _), (mut stranger, _)) = (RawClient::log_in(&ada).await, RawClient::log_in(&eve).await);
    let approve = |uid: i64| json!({ "touid": uid, "back": "mine" });
    assert_eq!(stranger.ask(1013, &approve(ada.uid)).await, json!({ "error": 3004 }));
    assert_eq!(stranger.ask(1013, &approve(eve.uid)).await, json!({ "error": 3004 }), "oneself");
    assert_eq!(stranger.ask(1009, &json!({ "touid": eve.uid })).await, json!({ "error": 3007 }), "oneself");
    assert_eq!(stranger.ask(1009, &json!({ "touid": ada.uid })).await, json!({ "error": 0 }));
    assert_eq!(stranger.ask(1013, &approve(ada.uid)).await, json!({ "error": 3004 }), "one's own application");
    one.expect(1011).await;
    one.assert_alive().await;
    let (_, reply) = RawClient::log_in(&eve).await;
    assert_eq!((&reply["friend_list"], &reply["apply_list"]), (&json!([]), &json!([])));
}

#[tokio::test]
async fn a_token_is_good_for_its_user_until_the_next_login_at_the_gate_or_a_reset() {
    let topology = Topology::start(&[]).await;
    let (mut ada, eve) = (topology.sign_up("ada").await, topology.sign_up("eve").await);
    let mut connection = RawClient::connect(&ada.chat_address()).await;
    let stolen = User { token: eve.token.clone(), ..ada.clone() };
    assert_eq!(connection.log_in_as(&stolen).await, json!({ "error": 1010 }));
    let unknown = User { uid: 999_999, ..ada.clone() };
    assert_eq!(connection.log_in_as(&unknown).await, json!({ "error": 1011 }));

    let (mut open, _) = RawClient::log_in(&ada).await;
    let old = ada.clone();
    topology.log_in_at_gate(&mut ada).await;
    assert_ne!(old.token, ada.token);
    for chat in &topology.ready.chats {
        let mut client = RawClient::connect(&chat.tcp).await;
        assert_eq!(client.log_in_as(&old).await, json!({ "error": 1010 }), "replaced");
    }
    open.assert_alive().await;

    topology.reset_password(&mut ada, "another secret").await;
    assert_eq!(connection.log_in_as(&ada).await, json!({ "error": 1011 }), "void");
    open.assert_alive().await;
    let wrong = json!({ "email": ada.email, "passwd": xor_password("secret of ada") });
    assert_eq!(topology.post("/user_login", &wrong).await, json!({ "error": 1009 }));
    topology.log_in_at_gate(&mut ada).await;
    assert_eq!(connection.log_in_as(&ada).await["error"], 0);
}

#[tokio::test]
async fn a_token_ends_and_its_session_goes_on() {
    let topology = Topology::start(&["--chats", "1", "--token-lifetime", "1"]).await;
    let mut ada = topology.sign_up("ada").await;
    topology.log_in_at_gate(&mut ada).await;
    let (mut open, _) = RawClient::log_in(&ada).await;
    // A refused login leaves the connection open for another, so this one is tried until the token is void.
    let begin = Instant::now();
    loop {
        let mut client = RawClient::connect(&ada.chat_address()).await;
        if client.log_in_as(&ada).await == json!({ "error": 1011 }) {
            break;
        }
        open = client;
        assert!(begin.elapsed() < DEADLINE, "the token is still good");
        // The end of a lifetime is no event that a client is told.
        sleep(Duration::from_millis(50)).await;
    }
    open.assert_alive().await;
}

/// Every request but the login, in the name of `uid`.
fn requests_of(uid: i64, to: &User) -> [(u16, Value); 5] {
    let mut text = texts(to.uid, &[("forged", "I said that")]);
    text["fromuid"] = json!(uid);
    [
        (1007, json!({ "uid": to.name })),
        (1009, json!({ "uid": uid, "touid": to.uid })),
        (1013, json!({ "fromuid": uid, "touid": to.uid })),
        (1017, text),
        (1023, json!({ "fromuid": uid })),
    ]
}

impl Topology {
    async fn reset_password(&self, user: &mut User, password: &str) {
        user.password = password.to_owned();
        assert_eq!(self.post("/get_varifycode", &json!({ "email": user.email })).await["error"], 0);
        let body = json!({
            "user": user.name, "email": user.email, "passwd": xor_password(password),
            "varifycode": self.newest_code(&user.email).await,
        });
        let reply = self.post("/reset_pwd", &body).await;
        assert_eq!(reply, json!({ "error": 0, "email": user.email, "user": user.name }));
    }
}
