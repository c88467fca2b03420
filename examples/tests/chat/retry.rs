//! A text is accepted once, however often it is sent, wherever, and whatever happened to the server (PROTOCOL.md, "Texts").

use serde_json::{Value, json};

use crate::support::{RawClient, Topology, User, ids_of, numbers_of, texts};

#[tokio::test]
async fn a_retry_gets_the_first_result_and_is_told_once() {
    let topology = Topology::start(&[]).await;
    let (ada, bob) = topology.sign_up_friends("ada", "bob").await;
    let cleo = topology.sign_up("cleo").await;
    topology.befriend(&ada, &cleo).await;
    let (mut one, mut other) = (RawClient::log_in_coalesced(&ada).await, RawClient::log_in_coalesced(&bob).await);
    let first = one.say(&bob, "id-1", "hello").await;
    assert_eq!(other.expect(1019).await, first);
    for _ in 0..5 {
        assert_eq!(one.say(&bob, "id-1", "hello").await, first);
    }
    // On every server, in a new session, under the other key.
    for chat in &topology.ready.chats {
        let (mut again, _) = RawClient::log_in_at(&chat.tcp, &ada, &["coalesced"]).await;
        assert_eq!(again.say(&bob, "id-1", "hello").await, first);
        let other_key = json!({ "touid": bob.uid, "text_array": [{ "content": "hello", "unique_id": "id-1" }] });
        assert_eq!(again.ask(1017, &other_key).await, first);
        one = again;
    }
    other.assert_alive().await;

    // The id names this text of this sender to this receiver, and no other.
    for (to, content) in [(&bob, "hello!"), (&bob, ""), (&cleo, "hello")] {
        let refused = one.say(to, "id-1", content).await;
        assert_eq!(refused["error"], 3006);
        assert_eq!(refused["text_array"], json!([{ "content": content, "msgid": "id-1" }]));
    }
    assert_eq!(numbers_of(&one.say(&bob, "ID-1", "compared as bytes").await), [3]);
    assert_eq!(ids_of(&other.expect(1019).await), ["ID-1"], "of the retries nothing was told");
    assert_eq!(numbers_of(&other.say(&ada, "id-1", "hello").await), [4], "another sender's id is another id");
}

#[tokio::test]
async fn what_has_no_id_is_new_each_time() {
    let topology = Topology::start(&["--chats", "1"]).await;
    let (ada, bob) = topology.sign_up_friends("ada", "bob").await;
    let (mut one, mut other) = (RawClient::log_in_coalesced(&ada).await, RawClient::log_in_coalesced(&bob).await);
    for number in (2..8).step_by(2) {
        assert_eq!(numbers_of(&one.say(&bob, "", "hello").await), [number]);
        let absent = json!({ "touid": bob.uid, "text_array": [{ "content": "hello" }] });
        assert_eq!(numbers_of(&one.ask(1017, &absent).await), [number + 1]);
        assert_eq!(numbers_of(&other.expect(1019).await), [number]);
        assert_eq!(numbers_of(&other.expect(1019).await), [number + 1]);
    }
}

#[tokio::test]
async fn a_request_is_one_whole_also_when_parts_of_it_were_sent_before() {
    let topology = Topology::start(&[]).await;
    let (ada, bob) = topology.sign_up_friends("ada", "bob").await;
    let (mut one, mut other) = (RawClient::log_in_coalesced(&ada).await, RawClient::log_in_coalesced(&bob).await);
    let first = one.ask(1017, &texts(bob.uid, &[("a", "1"), ("b", "2")])).await;
    assert_eq!(numbers_of(&first), [2, 3]);
    assert_eq!(other.expect(1019).await, first);
    let mixed = one.ask(1017, &texts(bob.uid, &[("c", "3"), ("b", "2"), ("d", "4"), ("a", "1")])).await;
    assert_eq!(ids_of(&mixed), ["c", "b", "d", "a"], "in the order of the request");
    assert_eq!(numbers_of(&mixed), [4, 3, 5, 2]);
    let told = other.expect(1019).await;
    assert_eq!((ids_of(&told), numbers_of(&told)), (vec!["c", "d"], vec![4, 5]), "only what is new");
    // One bad element refuses all of them.
    let refused = one.ask(1017, &texts(bob.uid, &[("e", "5"), ("a", "not 1"), ("f", "6")])).await;
    assert_eq!(refused["error"], 3006);
    let refused = one.ask(1017, &texts(bob.uid, &[("e", "5"), ("g", "7"), ("g", "not 7")])).await;
    assert_eq!(refused["error"], 3006);
    let twice = one.ask(1017, &texts(bob.uid, &[("e", "5"), ("e", "5")])).await;
    assert_eq!(numbers_of(&twice), [6, 6]);
    assert_eq!(ids_of(&other.expect(1019).await), ["e"]);
    other.assert_alive().await;
}

#[tokio::test]
async fn acknowledged_texts_outlive_an_orderly_end_and_a_kill() {
    let mut topology = Topology::start(&[]).await;
    let (mut ada, mut bob) = topology.sign_up_friends("ada", "bob").await;
    let mut acknowledged: Vec<(String, Value)> = Vec::new();
    for round in 0..4 {
        let mut one = RawClient::log_in_coalesced(&ada).await;
        let (mut other, reply) = RawClient::log_in(&bob).await;
        assert_eq!(reply["friend_list"][0]["uid"], ada.uid);
        for (id, first) in &acknowledged {
            assert_eq!(one.say(&bob, id, "kept").await, *first);
        }
        other.assert_alive().await;
        for number in 0..5 {
            let id = format!("{round}-{number}");
            let stored = one.say(&bob, &id, "kept").await;
            assert_eq!(numbers_of(&stored), [i64::try_from(acknowledged.len()).unwrap() + 2]);
            acknowledged.push((id, stored));
        }
        // Nothing happens between the last acknowledgement and the end.
        let directory = if round % 2 == 0 { topology.crash().await } else { topology.stop().await };
        topology = Topology::start_in(directory, &[], &[]).await;
        log_in_both(&topology, &mut ada, &mut bob).await;
    }
    assert!(!topology.log().contains("panic"), "{}", topology.log());
}

/// Tokens are in memory and end with the process.
async fn log_in_both(topology: &Topology, ada: &mut User, bob: &mut User) {
    topology.log_in_at_gate(ada).await;
    topology.log_in_at_gate(bob).await;
}
