//! X4 and X5 of the battery: what nobody may do is refused, counted and leaves nothing behind; what was captured on the wire
//! is worth nothing to anybody else, and to its owner no more than a retry.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::network::counted::Counted;
use crate::support::{Backends, Frame, RawClient, Topology, User, numbers_of, texts, until, xor_password};

mod real_server {
    use super::*;

    #[tokio::test]
    async fn x4_what_nobody_may_do_is_refused_counted_and_leaves_nothing() {
        let backends = Backends::shared().await;
        let topology = Topology::start(&backends.processes()).await;
        let (ada, bob) = topology.sign_up_friends("ada", "bob").await;
        let (eve, dan) = topology.sign_up_friends("eve", "dan").await;
        let fay = topology.sign_up("fay").await;
        let (mut one, mut other) = (RawClient::log_in_coalesced(&ada).await, RawClient::log_in_coalesced(&bob).await);
        let thread = one.say(&bob, "first", "between the two of us").await["thread_id"].as_i64().unwrap();
        hear(&mut other, &[2]).await;
        let stored = everything_stored(&backends).await;
        let before = Counted::at(&topology.ready.metrics).await;
        let mut refused = Refused::default();

        for chat in &topology.ready.chats {
            let mut stranger = RawClient::connect(&chat.tcp).await;
            for (id, body) in requests_of(ada.uid, &bob, thread) {
                refused.ask(&mut stranger, id, &body, 3001).await;
                // Also when nobody could understand it.
                refused.ask(&mut stranger, id, &json!([]), 3001).await;
            }
        }
        let (mut forger, _) = RawClient::log_in(&eve).await;
        for uid in [ada.uid, bob.uid, 0, -1, i64::from(i32::MAX)] {
            for (id, body) in requests_of(uid, &bob, thread) {
                // The others name nobody as their sender.
                if ![1007, 1029, 3003, 3005].contains(&id) {
                    refused.ask(&mut forger, id, &body, 3002).await;
                }
            }
        }
        let forged = refused.by_code[&3002];
        for unknown in [thread, 0, -1, i64::MAX] {
            let history = json!({ "thread_id": unknown, "message_id": 0 });
            refused.ask(&mut forger, 1029, &history, 3009).await;
            // Also where the sender may text the receiver: the conversation is that of the two, or none.
            let mut text = texts(dan.uid, &[("elsewhere", "x")]);
            text["thread_id"] = json!(unknown);
            if unknown != 0 {
                refused.ask(&mut forger, 1017, &text, 3009).await;
            }
        }
        for nobody in [fay.uid, ada.uid, eve.uid, 0, -1, i64::from(i32::MAX)] {
            let exists = [fay.uid, ada.uid, eve.uid].contains(&nobody);
            let approval = json!({ "touid": nobody, "back": "friends" });
            refused.ask(&mut forger, 1013, &approval, if exists { 3004 } else { 1011 }).await;
            refused.ask(&mut forger, 1017, &texts(nobody, &[("id", "hello")]), 3003).await;
            refused.ask(&mut forger, 1027, &json!({ "other_id": nobody }), 3003).await;
        }

        // Who did not say that they sync may not; who did is told nothing of others' conversations and changes nothing there.
        for (id, body) in &requests_of(eve.uid, &bob, thread)[8..] {
            refused.ask(&mut forger, *id, body, 3007).await;
        }
        let mut syncing = RawClient::log_in_at(&topology.ready.chats[0].tcp, &eve, &["coalesced", "sync"]).await.0;
        let [.., (_, cursor), (_, mark)] = requests_of(eve.uid, &bob, thread);
        let synced = syncing.ask(3003, &cursor).await;
        assert_eq!(synced, json!({ "error": 0, "unknown": [thread] }));
        assert_eq!(syncing.ask(3005, &mark).await, json!({ "error": 0 }));
        assert_alive(&mut one).await;
        assert_alive(&mut other).await;
        let after = Counted::at(&topology.ready.metrics).await;
        for (code, times) in refused.by_code {
            assert_eq!(after.refused_since(&before, code), times, "{code}");
        }
        assert_eq!(after.since(&before, "uschat_forged_senders_total", ""), forged);
        assert_eq!(everything_stored(&backends).await, stored);
        assert_eq!(numbers_of(&one.say(&bob, "second", "and still only us").await), [3], "no number was taken");
        hear(&mut other, &[3]).await;
        nothing_heard_of(&mut syncing, thread).await;
        let marks =
            format!("SELECT COUNT(*) FROM thread_progress WHERE thread_id = {thread} AND user_id = {}", eve.uid);
        assert_eq!(backends.rows(&marks).await, ["0"]);
        topology.assert_no_panic();
        topology.stop().await;
    }

    #[tokio::test]
    async fn x5_what_was_captured_is_worth_no_more_than_a_retry() {
        let backends = Backends::shared().await;
        let topology = Topology::start(&backends.processes()).await;
        let (mut ada, bob) = topology.sign_up_friends("ada", "bob").await;
        let eve = topology.sign_up("eve").await;
        let (mut one, mut other) = (RawClient::log_in_coalesced(&ada).await, RawClient::log_in_coalesced(&bob).await);
        let mut body = texts(bob.uid, &[("captured-1", "pay eve 100"), ("captured-2", "or else")]);
        body["fromuid"] = json!(ada.uid);
        let captured = Frame::bytes(1017, body.to_string().as_bytes());
        one.send_bytes(&captured).await;
        let first = one.skip_to(1018).await;
        assert_eq!(numbers_of(&first), [2, 3]);
        hear(&mut other, &[2, 3]).await;
        let stored = everything_stored(&backends).await;
        let before = Counted::at(&topology.ready.metrics).await;

        // By its owner, at once and in later sessions on every server: the first result.
        for chat in &topology.ready.chats {
            for _ in 0..3 {
                one.send_bytes(&captured).await;
                assert_eq!(one.skip_to(1018).await, first);
            }
            one = RawClient::log_in_at(&chat.tcp, &ada, &["coalesced"]).await.0;
        }
        // By somebody who did not log in, and by somebody else who did.
        let mut refused = Refused::default();
        for chat in &topology.ready.chats {
            let mut stranger = RawClient::connect(&chat.tcp).await;
            refused.ask(&mut stranger, 1017, &body, 3001).await;
            let (mut forger, _) = RawClient::log_in_at(&chat.tcp, &eve, &[]).await;
            refused.ask(&mut forger, 1017, &body, 3002).await;
        }
        // Tokens: somebody else's, of nobody, replaced by a newer login, void after a reset.
        let old = ada.clone();
        for chat in &topology.ready.chats {
            let stolen = User { token: eve.token.clone(), ..ada.clone() };
            refused.log_in(&chat.tcp, &stolen, 1010).await;
            refused.log_in(&chat.tcp, &User { uid: 999_999, ..ada.clone() }, 1011).await;
        }
        topology.log_in_at_gate(&mut ada).await;
        for chat in &topology.ready.chats {
            refused.log_in(&chat.tcp, &old, 1010).await;
        }
        reset_password(&topology, &mut ada, "another secret").await;
        for chat in &topology.ready.chats {
            refused.log_in(&chat.tcp, &old, 1011).await;
            refused.log_in(&chat.tcp, &ada, 1011).await;
        }
        assert_alive(&mut one).await;
        assert_alive(&mut other).await;
        let after = Counted::at(&topology.ready.metrics).await;
        for (code, times) in refused.by_code {
            assert_eq!(after.refused_since(&before, code), times, "{code}");
        }
        assert_eq!(everything_stored(&backends).await, stored);
        topology.log_in_at_gate(&mut ada).await;
        let mut again = RawClient::log_in_at(&topology.ready.chats[0].tcp, &ada, &["coalesced"]).await.0;
        again.send_bytes(&captured).await;
        assert_eq!(again.skip_to(1018).await, first);
        topology.assert_no_panic();
        topology.stop().await;
    }

    #[tokio::test]
    async fn x5_a_token_expires_on_every_server_and_its_session_goes_on() {
        let backends = Backends::shared().await;
        let short = [&backends.processes()[..], &["--token-lifetime", "2"]].concat();
        let topology = Topology::start(&short).await;
        let mut ada = topology.sign_up("ada").await;
        topology.log_in_at_gate(&mut ada).await;
        let (mut open, _) = RawClient::log_in(&ada).await;
        // The end of a lifetime is no event that anybody is told. A login that still succeeds replaces the session.
        until("the token is void", async || {
            let mut connection = RawClient::connect(&ada.chat_address()).await;
            let reply = connection.log_in_as(&ada).await;
            if reply["error"] == 0 {
                open = connection;
                return false;
            }
            assert_eq!(reply, json!({ "error": 1011 }));
            true
        })
        .await;
        let before = Counted::at(&topology.ready.metrics).await;
        for chat in &topology.ready.chats {
            Refused::default().log_in(&chat.tcp, &ada, 1011).await;
        }
        assert_eq!(Counted::at(&topology.ready.metrics).await.refused_since(&before, 1011), 2);
        assert_alive(&mut open).await;
        topology.stop().await;
    }
}

/// What was refused, by code.
#[derive(Default)]
struct Refused {
    by_code: BTreeMap<i64, u64>,
}

impl Refused {
    /// Asks what must be refused with this code, whatever else comes.
    async fn ask(&mut self, client: &mut RawClient, id: u16, body: &Value, code: i64) {
        let answer = client.ask(id, body).await;
        assert_eq!(answer["error"], code, "{id} {body}: {answer}");
        *self.by_code.entry(code).or_default() += 1;
    }

    /// Tries to log in, which must be refused with this code and nothing more.
    async fn log_in(&mut self, address: &str, user: &User, code: i64) {
        let mut connection = RawClient::connect(address).await;
        assert_eq!(connection.log_in_as(user).await, json!({ "error": code }));
        *self.by_code.entry(code).or_default() += 1;
    }
}

/// Waits for texts with these numbers. What was said when they became friends may be told again before.
async fn hear(client: &mut RawClient, numbers: &[i64]) {
    let mut heard = numbers_of(&client.skip_to(1019).await);
    if heard == [1] {
        heard = numbers_of(&client.skip_to(1019).await);
    }
    assert_eq!(heard, numbers);
}

async fn assert_alive(client: &mut RawClient) {
    assert_eq!(client.ask(1023, &json!({})).await, json!({ "error": 0 }));
}

/// That none of the frames up to an answer is about this conversation.
async fn nothing_heard_of(client: &mut RawClient, thread: i64) {
    client.send(1023, &json!({})).await;
    loop {
        let frame = client.recv().await.unwrap();
        if frame.id == 1024 {
            return;
        }
        assert_ne!(frame.body["thread_id"], thread, "{frame:?}");
    }
}

/// Every request but the login, in the name of `uid`.
fn requests_of(uid: i64, to: &User, thread: i64) -> [(u16, Value); 10] {
    let mut text = texts(to.uid, &[("forged", "I said that")]);
    text["fromuid"] = json!(uid);
    [
        (1007, json!({ "uid": to.name })),
        (1009, json!({ "uid": uid, "touid": to.uid })),
        (1013, json!({ "fromuid": uid, "touid": to.uid })),
        (1017, text),
        (1023, json!({ "fromuid": uid })),
        (1025, json!({ "uid": uid, "thread_id": 0 })),
        (1027, json!({ "uid": uid, "other_id": to.uid })),
        (1029, json!({ "thread_id": thread, "message_id": 0 })),
        (3003, json!({ "cursors": [{ "thread_id": thread, "seq": 0 }] })),
        (3005, json!({ "delivered": [{ "thread_id": thread, "seq": 2 }] })),
    ]
}

/// All that a user could bring about without being allowed to.
async fn everything_stored(backends: &Backends) -> Vec<String> {
    let mut all = Vec::new();
    for query in [
        "SELECT thread_id, seq, sender_id, recv_id, client_id, content FROM chat_message ORDER BY thread_id, seq",
        "SELECT thread_id, seq FROM thread_head ORDER BY thread_id",
        "SELECT thread_id, user1_id, user2_id FROM private_chat ORDER BY thread_id",
        "SELECT self_id, friend_id FROM friend ORDER BY self_id, friend_id",
        "SELECT from_uid, to_uid FROM friend_apply ORDER BY from_uid, to_uid",
    ] {
        all.extend(backends.rows(query).await);
    }
    all
}

async fn reset_password(topology: &Topology, user: &mut User, password: &str) {
    user.password = password.to_owned();
    assert_eq!(topology.post("/get_varifycode", &json!({ "email": user.email })).await["error"], 0);
    let body = json!({
        "user": user.name, "email": user.email, "passwd": xor_password(password),
        "varifycode": topology.newest_code(&user.email).await,
    });
    let reply = topology.post("/reset_pwd", &body).await;
    assert_eq!(reply, json!({ "error": 0, "email": user.email, "user": user.name }));
}
