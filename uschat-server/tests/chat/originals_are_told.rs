//! What our users say and do reaches users whose session an original first-season server holds.

use std::time::{Duration, Instant};

use serde_json::json;
use uschat_proto::chat::{MessageKey, UserId};
use uschat_server::{
    chat::{Chat, ChatConfig, ChatError, OriginalDialect, OriginalPeer, OriginalPeerError},
    store::{
        Accounts, Contacts, Conversations,
        state::{Holder, Presence},
    },
};

use crate::original_server::{Behaviour, OriginalServer};
use crate::support::{Running, TOKEN, World, text};

const MINUTE: Duration = Duration::from_secs(60);

/// A server of ours that knows the original as "theirs".
async fn ours_beside(world: &World, original: &OriginalServer) -> Running {
    let originals = vec![original.as_peer("theirs")];
    world.server_with(world.stores(), ChatConfig { originals, ..ChatConfig::new("ours", "127.0.0.1") }).await
}

/// As if the user had logged in there.
async fn holds(world: &World, server: &str, uid: UserId) {
    let fence = world.store.next_fence(uid).await.unwrap();
    let holder = Holder { server: server.into(), session: 1, fence };
    world.state.take_presence(uid, &holder, MINUTE).await.unwrap();
}

/// Two friends, the second one's session at the original.
async fn friend_there(world: &World, ada: UserId, name: &str) -> UserId {
    let friend = world.user(name).await;
    world.friends(ada, friend).await;
    holds(world, "theirs", friend).await;
    friend
}

#[tokio::test]
async fn texts_of_a_request_arrive_in_one_call() {
    let (world, mut theirs) = (World::new(), OriginalServer::start().await);
    let ada = world.user("ada").await;
    let ben = friend_there(&world, ada, "ben").await;
    let ours = ours_beside(&world, &theirs).await;
    let mut client = ours.log_in(ada).await;

    let two = json!([{"content": "one", "msgid": "{1}"}, {"content": "zwei, 二"}]);
    client.send(1017, &json!({"touid": ben, "text_array": two})).await;
    let stored = client.expect(1018).await;
    assert_eq!(stored["error"], 0);

    let request = theirs.expect("NotifyTextChatMsg").await;
    assert_eq!(request.numbers(), [1, 2, 3, 3]);
    assert_eq!((request.int(1), request.int(2)), (ada.0, ben.0));
    let texts = request.messages(3);
    assert_eq!((texts[0].text(1), texts[0].text(2)), ("{1}".into(), "one".into()));
    let key = stored["chat_datas"][1]["message_id"].as_i64().unwrap();
    assert_eq!((texts[1].text(1), texts[1].text(2)), (key.to_string(), "zwei, 二".into()), "its key for want of an id");
    ours.stop().await;
}

#[tokio::test]
async fn applications_and_approvals_are_told() {
    let (world, mut theirs) = (World::new(), OriginalServer::start().await);
    let (ada, ben, cleo) = (world.user("ada").await, world.user("ben").await, world.user("cleo").await);
    holds(&world, "theirs", ben).await;
    holds(&world, "theirs", cleo).await;
    let ours = ours_beside(&world, &theirs).await;
    let mut client = ours.log_in(ada).await;

    client.send(1009, &json!({"touid": ben, "applyname": "it is ada", "bakname": "Benno"})).await;
    assert_eq!(client.expect(1010).await["error"], 0);
    let applied = theirs.expect("NotifyAddFriend").await;
    assert_eq!((applied.int(1), applied.int(7)), (ada.0, ben.0));
    assert_eq!((applied.text(2), applied.text(3)), ("it is ada".into(), String::new()));
    let profile = world.store.by_uid(ada).await.unwrap().unwrap().profile;
    assert_eq!((applied.text(4), applied.text(5), applied.int(6)), (profile.icon, profile.nick, profile.sex));

    // Cleo applied at the original; the application lies in the database that both share.
    world.store.apply(cleo, ada, "it is cleo", "").await.unwrap();
    client.send(1013, &json!({"touid": cleo, "back": ""})).await;
    assert_eq!(client.expect(1014).await["error"], 0);
    let approved = theirs.expect("NotifyAuthFriend").await;
    assert_eq!((approved.numbers(), approved.int(1), approved.int(2)), (vec![1, 2], ada.0, cleo.0));
    ours.stop().await;
}

#[tokio::test]
async fn a_login_here_says_nothing_to_the_original_that_held_the_user() {
    let (world, mut theirs) = (World::new(), OriginalServer::start().await);
    let ada = world.user("ada").await;
    let ben = friend_there(&world, ada, "ben").await;
    let cleo = friend_there(&world, ada, "cleo").await;
    let ours = ours_beside(&world, &theirs).await;
    let mut client = ours.log_in(ada).await;
    let mut ben_client = ours.log_in(ben).await;

    client.send(1017, &text(ben, "you are here now", "{1}")).await;
    assert_eq!(ben_client.expect(1019).await["text_array"][0]["content"], "you are here now");
    client.send(1017, &text(cleo, "and you there", "{2}")).await;
    let first = theirs.expect("NotifyTextChatMsg").await;
    assert_eq!(first.int(2), cleo.0, "the first season has no word for a kick");
    ours.stop().await;
}

#[tokio::test]
async fn a_login_there_replaces_the_session_here() {
    let (world, theirs) = (World::new(), OriginalServer::start().await);
    let ada = world.user("ada").await;
    let originals = vec![theirs.as_peer("theirs")];
    let config = ChatConfig { originals, heartbeat: Duration::from_millis(50), ..ChatConfig::new("ours", "127.0.0.1") };
    let ours = world.server_with(world.stores(), config).await;
    let mut client = ours.log_in(ada).await;
    holds(&world, "theirs", ada).await;
    assert_eq!(client.expect(1021).await["uid"], ada.0);
    drop(client);
    ours.stop().await;
    assert_eq!(world.state.presence(ada).await.unwrap().unwrap().server, "theirs");
}

#[tokio::test]
async fn a_hung_original_costs_no_handler_any_time() {
    let (world, mut theirs) = (World::new(), OriginalServer::start().await);
    let (ada, dora) = (world.user("ada").await, world.user("dora").await);
    world.friends(ada, dora).await;
    let ben = friend_there(&world, ada, "ben").await;
    let ours = ours_beside(&world, &theirs).await;
    let mut client = ours.log_in(ada).await;
    let mut dora_client = ours.log_in(dora).await;

    theirs.behave(Behaviour::Hangs);
    client.send(1017, &text(ben, "hello?", "{1}")).await;
    assert_eq!(client.expect(1018).await["error"], 0, "stored, whatever the original makes of it");
    theirs.expect("NotifyTextChatMsg").await;
    // The call is there and hangs until the last line; what follows is answered meanwhile.
    let begun = Instant::now();
    for number in 0..10 {
        client.send(1017, &text(ben, "still there?", &format!("{number}"))).await;
        assert_eq!(client.expect(1018).await["error"], 0);
    }
    client.send(1017, &text(dora, "ben's server hangs", "{3}")).await;
    assert_eq!(client.expect(1018).await["error"], 0);
    assert_eq!(dora_client.expect(1019).await["text_array"][0]["content"], "ben's server hangs");
    dora_client.send(1017, &text(ada, "poor ben", "{4}")).await;
    assert_eq!(dora_client.expect(1018).await["error"], 0);
    // A handler that waited for the original would have taken the 3 s of a call for each of the ten.
    assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
    theirs.behave(Behaviour::Answers(0));
    ours.stop().await;
}

#[tokio::test]
async fn an_original_that_died_and_came_back_is_told_again() {
    let (world, mut theirs) = (World::new(), OriginalServer::start().await);
    let ada = world.user("ada").await;
    let ben = friend_there(&world, ada, "ben").await;
    let ours = ours_beside(&world, &theirs).await;
    let mut client = ours.log_in(ada).await;

    theirs.behave(Behaviour::Hangs);
    client.send(1017, &text(ben, "the last words you hear", "{1}")).await;
    assert_eq!(client.expect(1018).await["error"], 0);
    theirs.expect("NotifyTextChatMsg").await;
    theirs.die().await;
    for number in 0..100 {
        client.send(1017, &text(ben, "lost live, stored all the same", &format!("lost {number}"))).await;
        assert_eq!(client.expect(1018).await["error"], 0);
    }

    theirs.behave(Behaviour::Answers(0));
    theirs.come_back().await;
    // Our server pauses between its attempts to connect, so the first texts may still be lost live.
    let mut attempt = 0;
    let heard = loop {
        attempt += 1;
        client.send(1017, &text(ben, "welcome back", &format!("back {attempt}"))).await;
        assert_eq!(client.expect(1018).await["error"], 0);
        match theirs.next_within(Duration::from_millis(200)).await {
            Some(call) => break call,
            None => assert!(attempt < 100, "the original should be found again"),
        }
    };
    assert_eq!(heard.method, "NotifyTextChatMsg");
    let thread = world.store.private_thread(ada, ben).await.unwrap().unwrap();
    let stored = world.store.history(thread, MessageKey(0), 1_000).await.unwrap();
    assert_eq!(stored.len(), 1 + 1 + 100 + attempt, "the line that opened it, and all that was acknowledged");
    ours.stop().await;
}

#[tokio::test]
async fn a_living_server_of_ours_goes_before_an_original_of_its_name() {
    let (world, mut theirs) = (World::new(), OriginalServer::start().await);
    let (ada, ben) = (world.user("ada").await, world.user("ben").await);
    world.friends(ada, ben).await;
    let cleo = friend_there(&world, ada, "cleo").await;
    let namesake = world.server("theirs").await;
    let ours = ours_beside(&world, &theirs).await;
    let (mut client, mut ben_client) = (ours.log_in(ada).await, namesake.log_in(ben).await);
    client.send(1017, &text(ben, "hello", "{1}")).await;
    assert_eq!(ben_client.expect(1019).await["text_array"][0]["content"], "hello");
    drop(ben_client);
    namesake.stop().await;

    // It has retired; the list of servers is believed for a second.
    let mut attempt = 0;
    let heard = loop {
        attempt += 1;
        client.send(1017, &text(cleo, "hello", &format!("{attempt}"))).await;
        assert_eq!(client.expect(1018).await["error"], 0);
        match theirs.next_within(Duration::from_millis(200)).await {
            Some(call) => break call,
            None => assert!(attempt < 100, "the name should be the original's again"),
        }
    };
    assert_eq!(heard.request.int(2), cleo.0);
    ours.stop().await;
}

#[test]
fn originals_that_cannot_be_told_apart_or_reached_are_refused() {
    let world = World::new();
    let refusal = |name: &str, address: &str| {
        let originals =
            vec![OriginalPeer { name: name.into(), address: address.into(), dialect: OriginalDialect::FirstSeason }];
        Chat::new(ChatConfig { originals, ..ChatConfig::new("ours", "127.0.0.1") }, world.stores()).err()
    };
    assert!(refusal("theirs", "127.0.0.1:50055").is_none());
    assert!(matches!(
        refusal("ours", "127.0.0.1:50055"),
        Some(ChatError::Originals(OriginalPeerError::OwnName { .. }))
    ));
    assert!(matches!(refusal("theirs", "50055"), Some(ChatError::Originals(OriginalPeerError::BadAddress { .. }))));
}

#[tokio::test]
async fn the_token_of_a_user_is_good_here_whoever_held_them() {
    let (world, theirs) = (World::new(), OriginalServer::start().await);
    let ada = world.user("ada").await;
    holds(&world, "theirs", ada).await;
    theirs.behave(Behaviour::Hangs);
    let ours = ours_beside(&world, &theirs).await;
    let mut client = ours.connect().await;
    client.send(1005, &json!({"uid": ada, "token": TOKEN})).await;
    assert_eq!(client.expect(1006).await["error"], 0);
    assert_eq!(world.state.presence(ada).await.unwrap().unwrap().server, "ours");
    ours.stop().await;
}
