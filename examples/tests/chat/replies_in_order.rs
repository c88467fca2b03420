//! Answers to pipelined requests: one each, those about conversations in the order of the requests (PROTOCOL.md, "Answers").

use std::collections::HashMap;

use serde_json::{Value, json};

use crate::support::{Frame, RawClient, Topology, User, ids_of, numbers_of, texts};

#[tokio::test]
async fn a_pipelined_mix_is_answered_in_order() {
    let topology = Topology::start(&[]).await;
    let (ada, bob) = topology.sign_up_friends("ada", "bob").await;
    let eve = topology.sign_up("eve").await;
    let (mut one, mut other) = (RawClient::log_in_coalesced(&ada).await, RawClient::log_in_coalesced(&bob).await);

    let nobody = User { uid: 999_999, ..bob.clone() };
    let mut segment = Vec::new();
    let mut push = |id: u16, body: &Value| segment.extend(Frame::bytes(id, body.to_string().as_bytes()));
    let mut expected = Vec::new();
    let mut next = 2;
    for number in 0..20 {
        let id = format!("c{number}");
        let body = texts(bob.uid, &[(&id, "first"), (&format!("{id}b"), "second")]);
        push(1017, &body);
        push(1023, &json!({}));
        push(1017, &texts(eve.uid, &[(&id, "to a stranger")]));
        push(1007, &json!({ "uid": "eve" }));
        push(1017, &body);
        push(1017, &json!({ "touid": bob.uid, "text_array": "no array" }));
        push(1013, &json!({ "touid": eve.uid }));
        push(1017, &texts(nobody.uid, &[("", "to nobody")]));
        push(1017, &texts(bob.uid, &[(&id, "other content")]));
        push(1017, &texts(bob.uid, &[]));
        // The id was the stranger's in a request that was refused, and stays free; it is bob's since the first one.
        let numbers = (0, vec![next, next + 1]);
        let refused = |error: i64| (error, Vec::new());
        expected.extend([
            numbers.clone(),
            refused(3006),
            numbers,
            refused(1001),
            refused(3004),
            refused(3003),
            refused(3006),
            (0, Vec::new()),
        ]);
        next += 2;
    }
    let (heartbeats, searches) = (20, 20);
    one.send_bytes(&segment).await;

    let mut in_order = Vec::new();
    let mut beside = HashMap::new();
    while in_order.len() < expected.len() || beside.values().sum::<usize>() < heartbeats + searches {
        let Frame { id, body } = one.recv().await.unwrap();
        let error = body["error"].as_i64().unwrap();
        match id {
            1014 => in_order.push((error, Vec::new())),
            1018 if error == 0 => in_order.push((error, numbers_of(&body))),
            1018 => in_order.push((error, Vec::new())),
            _ => *beside.entry(id).or_default() += 1,
        }
    }
    assert_eq!(in_order, expected);
    assert_eq!(beside, HashMap::from([(1024, heartbeats), (1008, searches)]));
    one.assert_alive().await;

    let mut told = Vec::new();
    while told.len() < 40 {
        told.extend(numbers_of(&other.expect(1019).await));
    }
    assert_eq!(told, (2..42).collect::<Vec<_>>(), "as they were said, and each once");
    other.assert_alive().await;
}

#[tokio::test]
async fn two_sessions_pipeline_to_one_receiver() {
    let topology = Topology::start(&[]).await;
    let (ada, bob) = topology.sign_up_friends("ada", "bob").await;
    let cleo = topology.sign_up("cleo").await;
    topology.befriend(&cleo, &bob).await;
    let chats = &topology.ready.chats;
    let (mut near, _) = RawClient::log_in_at(&chats[0].tcp, &ada, &["coalesced"]).await;
    let (mut far, _) = RawClient::log_in_at(&chats[1].tcp, &cleo, &["coalesced"]).await;
    let (mut receiver, _) = RawClient::log_in_at(&chats[0].tcp, &bob, &["coalesced", "chat_datas"]).await;

    const WINDOW: usize = 32;
    for round in 0..10 {
        let begin = 2 + i64::try_from(round * WINDOW).unwrap();
        let expected: Vec<_> = (begin..).take(WINDOW).collect();
        let (near, far) =
            tokio::join!(pipeline(&mut near, &bob, round, WINDOW), pipeline(&mut far, &bob, round, WINDOW));
        assert_eq!((&near, &far), (&expected, &expected), "acknowledged once each, in order");
        let mut told: HashMap<i64, Vec<i64>> = HashMap::new();
        while told.values().map(Vec::len).sum::<usize>() < 2 * WINDOW {
            let body = receiver.expect(1019).await;
            told.entry(body["fromuid"].as_i64().unwrap()).or_default().extend(numbers_of(&body));
        }
        assert_eq!(told, HashMap::from([(ada.uid, expected.clone()), (cleo.uid, expected)]));
    }
    near.assert_alive().await;
    far.assert_alive().await;
    receiver.assert_alive().await;
}

#[tokio::test]
async fn two_friends_who_talk_at_once_share_one_count() {
    let topology = Topology::start(&[]).await;
    let (ada, bob) = topology.sign_up_friends("ada", "bob").await;
    let chats = &topology.ready.chats;
    let (mut one, _) = RawClient::log_in_at(&chats[0].tcp, &ada, &["coalesced"]).await;
    let (mut other, _) = RawClient::log_in_at(&chats[1].tcp, &bob, &["coalesced"]).await;
    let talk = async |client: &mut RawClient, to: &User| {
        let segment: Vec<u8> = (0..100).flat_map(|number| text_frame(to, &format!("c{number}"))).collect();
        client.send_bytes(&segment).await;
        let (mut own, mut others) = (Vec::new(), Vec::new());
        while own.len() < 100 || others.len() < 100 {
            let Frame { id, body } = client.recv().await.unwrap();
            let seen = if id == 1018 { &mut own } else { &mut others };
            seen.extend(numbers_of(&body));
        }
        (own, others)
    };
    let ((ada_said, ada_heard), (bob_said, bob_heard)) = tokio::join!(talk(&mut one, &bob), talk(&mut other, &ada));
    assert_eq!((&ada_said, &bob_said), (&bob_heard, &ada_heard), "heard as said, in order");
    let mut all = [ada_said, bob_said].concat();
    all.sort_unstable();
    assert_eq!(all, (2..202).collect::<Vec<_>>());
}

/// Sends so many texts in one segment; the numbers acknowledged, in the order of the answers.
async fn pipeline(client: &mut RawClient, to: &User, round: usize, count: usize) -> Vec<i64> {
    let ids: Vec<_> = (0..count).map(|number| format!("{round}-{number}")).collect();
    let segment: Vec<u8> = ids.iter().flat_map(|id| text_frame(to, id)).collect();
    client.send_bytes(&segment).await;
    let mut numbers = Vec::new();
    for id in ids {
        let stored = client.expect(1018).await;
        assert_eq!(ids_of(&stored), [id]);
        numbers.extend(numbers_of(&stored));
    }
    numbers
}

fn text_frame(to: &User, id: &str) -> Vec<u8> {
    Frame::bytes(1017, texts(to.uid, &[(id, "hello")]).to_string().as_bytes())
}
