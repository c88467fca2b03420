//! A user has one live session in the whole cluster, the latest (PROTOCOL.md, "One live session").

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::support::{RawClient, Topology, User, ids_of, numbers_of, texts};

const GRACE: Duration = Duration::from_secs(5);

#[tokio::test]
async fn a_newer_login_replaces_the_session_here_and_elsewhere() {
    let topology = Topology::start(&[]).await;
    let (ada, bob) = topology.sign_up_friends("ada", "bob").await;
    let cleo = topology.sign_up("cleo").await;
    topology.befriend(&cleo, &bob).await;
    // The two cases at once, because each waits for the grace of a replaced session.
    tokio::join!(replaced(&topology, &ada, &bob, 0, 0), replaced(&topology, &cleo, &bob, 0, 1));
    topology.assert_no_panic();
}

/// Logs `user` in on one server and then on the other, where they are friends of `friend`, who is offline.
async fn replaced(topology: &Topology, user: &User, friend: &User, first: usize, then: usize) {
    let chats = &topology.ready.chats;
    let (mut old, _) = RawClient::log_in_at(&chats[first].tcp, user, &["coalesced"]).await;
    assert_eq!(numbers_of(&old.say(friend, "before", "before").await), [2]);
    let (mut new, _) = RawClient::log_in_at(&chats[then].tcp, user, &["coalesced"]).await;
    let begin = Instant::now();
    assert_eq!(old.expect(1021).await, json!({ "error": 0, "uid": user.uid }));
    // Nothing it asks from now on is carried out.
    old.send(1017, &texts(friend.uid, &[("late", "late")])).await;
    old.send(1023, &json!({})).await;
    old.expect_closed().await;
    assert!(begin.elapsed() < 3 * GRACE, "{:?}", begin.elapsed());
    assert_eq!(numbers_of(&new.say(friend, "after", "after").await), [3]);
    new.assert_alive().await;
}

#[tokio::test]
async fn texts_go_to_the_new_session_only() {
    let topology = Topology::start(&["--chats", "3"]).await;
    let (ada, bob) = topology.sign_up_friends("ada", "bob").await;
    let mut sender = RawClient::log_in_coalesced(&bob).await;
    let mut replaced = Vec::new();
    let (mut live, _) = RawClient::log_in_at(&topology.ready.chats[0].tcp, &ada, &["coalesced"]).await;
    for round in 0..9 {
        let address = &topology.ready.chats[(round / 2 + round) % 3].tcp;
        let (new, _) = RawClient::log_in_at(address, &ada, &["coalesced"]).await;
        replaced.push(std::mem::replace(&mut live, new));
        // From the moment of the login, before the old session may know.
        let id = format!("c{round}");
        sender.say(&ada, &id, "which of you?").await;
        is_told(&mut live, round).await;
    }
    for old in &mut replaced {
        old.expect(1021).await;
        old.shut_down().await;
        old.expect_closed().await;
    }
    live.assert_alive().await;
}

#[tokio::test]
async fn who_leaves_may_come_back() {
    let topology = Topology::start(&[]).await;
    let (ada, bob) = topology.sign_up_friends("ada", "bob").await;
    let mut sender = RawClient::log_in_coalesced(&bob).await;
    for round in 0..10 {
        let address = &topology.ready.chats[round / 2 % 2].tcp;
        let (mut client, _) = RawClient::log_in_at(address, &ada, &["coalesced"]).await;
        let id = format!("c{round}");
        sender.say(&ada, &id, "hello").await;
        is_told(&mut client, round).await;
        if round % 3 == 0 {
            // An orderly end; the others are torn off.
            client.shut_down().await;
            client.expect_closed().await;
        }
    }
}

#[tokio::test]
async fn twenty_rapid_logins_end_with_one_session_that_is_told() {
    let topology = Topology::start(&[]).await;
    let (ada, bob) = topology.sign_up_friends("ada", "bob").await;
    let mut sender = RawClient::log_in_coalesced(&bob).await;
    for at_once in [false, true] {
        let logins = (0..20).map(|round| {
            let (address, user) = (topology.ready.chats[round % 2].tcp.clone(), ada.clone());
            async move {
                let mut client = RawClient::connect(&address).await;
                let error = client.log_in_declaring(&user, &["coalesced"]).await["error"].clone();
                (client, error)
            }
        });
        let mut clients = Vec::new();
        if at_once {
            clients = join_all(logins).await;
        } else {
            for login in logins {
                clients.push(login.await);
            }
            assert!(clients.iter().all(|(_, error)| *error == 0));
        }
        // Which login is the latest cannot be told from outside; it is the one that hears the text and no 1021.
        let id = format!("at once: {at_once}");
        let (sent, heard) =
            tokio::join!(sender.say(&ada, &id, "hello"), join_all(clients.iter_mut().map(|client| hears(client, &id))));
        assert_eq!(sent["error"], 0);
        assert_eq!(heard.into_iter().flatten().collect::<Vec<_>>(), [id]);
    }
    topology.assert_no_panic();
}

/// Waits for the text of this round. What an earlier session has had may be told again before it, in order: its server did not
/// come to say that it was delivered.
async fn is_told(client: &mut RawClient, round: usize) {
    let mut told = Vec::new();
    while told.last() != Some(&format!("c{round}")) {
        told.extend(ids_of(&client.expect(1019).await).into_iter().map(String::from));
    }
    let last: Vec<_> = (0..=round).rev().take(told.len()).map(|round| format!("c{round}")).collect();
    assert!(told.iter().rev().eq(&last), "{told:?}");
}

/// The id of the text if this session is told it, and is not ended before. Texts of before may be told again.
async fn hears((client, error): &mut (RawClient, Value), id: &str) -> Option<String> {
    if *error != 0 {
        assert_eq!(*error, 3101, "another login was faster");
        return None;
    }
    loop {
        let frame = client.recv().await.expect("a kick or a text");
        match frame.id {
            1019 if ids_of(&frame.body).contains(&id) => return Some(id.to_owned()),
            1019 => {}
            1021 => return None,
            other => panic!("{other}: {}", frame.body),
        }
    }
}
