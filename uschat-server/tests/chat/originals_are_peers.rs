//! What an original first-season server tells us reaches our users; its texts are stored and numbered like anyone's.

use std::time::Duration;

use tonic::transport::Channel;
use uschat_proto::{
    chat::{MessageKey, UserId},
    grpc::s1::{AddFriendReq, AuthFriendReq, TextChatData, TextChatMsgReq, chat_service_client::ChatServiceClient},
};
use uschat_server::{
    chat::ChatConfig,
    store::{
        Accounts, Conversations,
        state::{Holder, Presence},
    },
};

use crate::original_server::{self, Message};
use crate::support::{Running, World, text};

async fn original(server: &Running) -> ChatServiceClient<Channel> {
    ChatServiceClient::connect(format!("http://{}", server.peers)).await.expect("the peer port should be served")
}

fn texts(from: UserId, to: UserId, texts: &[(&str, &str)]) -> TextChatMsgReq {
    let textmsgs =
        texts.iter().map(|(id, content)| TextChatData { msgid: (*id).into(), msgcontent: (*content).into() }).collect();
    TextChatMsgReq { fromuid: from.0, touid: to.0, textmsgs }
}

#[tokio::test]
async fn texts_are_stored_numbered_deduplicated_and_delivered() {
    let world = World::new();
    let (ada, ben) = (world.user("ada").await, world.user("ben").await);
    world.friends(ada, ben).await;
    let server = world.server("ours").await;
    let mut ben_client = server.log_in(ben).await;
    let mut peer = original(&server).await;

    let said = texts(ada, ben, &[("{1}", "one"), ("{2}", "two")]);
    let reply = peer.notify_text_chat_msg(said.clone()).await.unwrap().into_inner();
    assert_eq!((reply.error, reply.fromuid, reply.touid, reply.textmsgs), (0, ada.0, ben.0, said.textmsgs.clone()));
    let notice = ben_client.expect(1019).await;
    assert_eq!(
        notice["text_array"],
        serde_json::json!([{"content": "one", "msgid": "{1}"}, {"content": "two", "msgid": "{2}"}])
    );
    assert_eq!(notice["chat_datas"][1]["seq"], 3, "after the line that opened the conversation");

    assert_eq!(peer.notify_text_chat_msg(said).await.unwrap().into_inner().error, 0);
    ben_client.is_alive().await;
    let thread = world.store.private_thread(ada, ben).await.unwrap().unwrap();
    assert_eq!(world.store.history(thread, MessageKey(0), 10).await.unwrap().len(), 3);
    server.stop().await;
}

#[tokio::test]
async fn what_cannot_be_stored_is_never_a_success() {
    let world = World::new();
    let (ada, ben) = (world.user("ada").await, world.user("ben").await);
    let server = world.server("ours").await;
    let mut peer = original(&server).await;
    let mut error = async |request| peer.notify_text_chat_msg(request).await.unwrap().into_inner().error;
    assert_eq!(error(texts(ada, ben, &[("{1}", "we are strangers")])).await, 3003);
    assert_eq!(error(texts(ada, ben, &[])).await, 1001, "a later dialect's texts look like none");
    assert_eq!(error(texts(ada, ben, &[("{1}", &"x".repeat(20_000))])).await, 3005);
    server.stop().await;
}

#[tokio::test]
async fn applications_and_approvals_become_notices() {
    let world = World::new();
    let (ada, ben) = (world.user("ada").await, world.user("ben").await);
    let server = world.server("ours").await;
    let mut ada_client = server.log_in(ada).await;
    let mut peer = original(&server).await;

    let applied = AddFriendReq {
        applyuid: ben.0,
        name: "it is ben".into(),
        nick: "Ben".into(),
        icon: ":/res/head_2.jpg".into(),
        sex: 1,
        touid: ada.0,
        ..AddFriendReq::default()
    };
    assert_eq!(peer.notify_add_friend(applied).await.unwrap().into_inner().error, 0);
    let notice = ada_client.expect(1011).await;
    assert_eq!((&notice["applyuid"], &notice["name"], &notice["sex"]), (&ben.0.into(), &"it is ben".into(), &1.into()));

    // The original has made them friends in the database that both share.
    world.friends(ada, ben).await;
    for _ in 0..2 {
        let approved = AuthFriendReq { fromuid: ben.0, touid: ada.0 };
        assert_eq!(peer.notify_auth_friend(approved).await.unwrap().into_inner().error, 0);
        let notice = ada_client.expect(1015).await;
        assert_eq!((&notice["fromuid"], &notice["name"]), (&ben.0.into(), &"ben".into()));
        assert_eq!(notice["chat_datas"].as_array().map(Vec::len), Some(1));
        assert_eq!(notice["chat_datas"][0]["seq"], 2, "one line however often it is said");
    }
    let unknown = AuthFriendReq { fromuid: 7, touid: ada.0 };
    assert_eq!(peer.notify_auth_friend(unknown).await.unwrap().into_inner().error, 1011);
    server.stop().await;
}

#[tokio::test]
async fn requests_and_responses_have_the_numbers_of_the_originals() {
    let world = World::new();
    let (ada, ben) = (world.user("ada").await, world.user("ben").await);
    world.friends(ada, ben).await;
    let server = world.server("ours").await;
    let mut ben_client = server.log_in(ben).await;

    let said = original_server::texts(ada.0, ben.0, &[("{1}", "one"), ("", "zwei, 二")]);
    let response = original_server::call(server.peers, "NotifyTextChatMsg", said).await;
    assert_eq!((response.int(1), response.int(2), response.int(3)), (0, ada.0, ben.0));
    let echoed: Vec<_> = response.messages(4).iter().map(|text| (text.text(1), text.text(2))).collect();
    assert_eq!(echoed, [("{1}".into(), "one".into()), (String::new(), "zwei, 二".into())]);
    assert_eq!(ben_client.expect(1019).await["text_array"][1]["content"], "zwei, 二");

    let applied = Message::default().int(1, ada.0).text(2, "it is ada").text(5, "Ada").int(6, 1).int(7, ben.0);
    let response = original_server::call(server.peers, "NotifyAddFriend", applied).await;
    assert_eq!((response.int(1), response.int(2), response.int(3)), (0, ada.0, ben.0));
    let notice = ben_client.expect(1011).await;
    assert_eq!(
        (&notice["applyuid"], &notice["name"], &notice["nick"]),
        (&ada.0.into(), &"it is ada".into(), &"Ada".into())
    );

    let approved = Message::default().int(1, ada.0).int(2, ben.0);
    let response = original_server::call(server.peers, "NotifyAuthFriend", approved).await;
    assert_eq!((response.int(1), response.int(2), response.int(3)), (0, ada.0, ben.0));
    assert_eq!(ben_client.expect(1015).await["fromuid"], ada.0);
    server.stop().await;
}

#[tokio::test]
async fn a_user_who_moved_to_another_server_of_ours_is_told_there() {
    let world = World::new();
    let (ada, ben) = (world.user("ada").await, world.user("ben").await);
    world.friends(ada, ben).await;
    let (one, two) = (world.server("one").await, world.server("two").await);
    let mut ben_client = two.log_in(ben).await;

    // The original read `uip_` before Ben moved.
    let said = original_server::texts(ada.0, ben.0, &[("{1}", "where are you?")]);
    assert_eq!(original_server::call(one.peers, "NotifyTextChatMsg", said).await.int(1), 0);
    assert_eq!(ben_client.expect(1019).await["text_array"][0]["content"], "where are you?");
    let applied = Message::default().int(1, ada.0).text(2, "it is ada").int(7, ben.0);
    assert_eq!(original_server::call(one.peers, "NotifyAddFriend", applied).await.int(1), 0);
    assert_eq!(ben_client.expect(1011).await["applyuid"], ada.0);
    let approved = Message::default().int(1, ada.0).int(2, ben.0);
    assert_eq!(original_server::call(one.peers, "NotifyAuthFriend", approved).await.int(1), 0);
    assert_eq!(ben_client.expect(1015).await["fromuid"], ada.0);
    one.stop().await;
    two.stop().await;
}

#[tokio::test]
async fn what_an_original_says_is_not_passed_on_to_another() {
    let (world, mut other) = (World::new(), original_server::OriginalServer::start().await);
    let (ada, ben) = (world.user("ada").await, world.user("ben").await);
    world.friends(ada, ben).await;
    let originals = vec![other.as_peer("other")];
    let config = ChatConfig { originals, ..ChatConfig::new("ours", "127.0.0.1") };
    let server = world.server_with(world.stores(), config).await;
    let mut client = server.log_in(ada).await;
    let holder = Holder { server: "other".into(), session: 1, fence: world.store.next_fence(ben).await.unwrap() };
    world.state.take_presence(ben, &holder, Duration::from_secs(60)).await.unwrap();

    let said = original_server::texts(ada.0, ben.0, &[("{1}", "in circles?")]);
    assert_eq!(original_server::call(server.peers, "NotifyTextChatMsg", said).await.int(1), 0, "stored is enough");
    client.send(1017, &text(ben, "from us", "{2}")).await;
    let heard = other.expect("NotifyTextChatMsg").await.messages(3);
    assert_eq!((heard.len(), heard[0].text(2)), (1, "from us".into()));
    let thread = world.store.private_thread(ada, ben).await.unwrap().unwrap();
    assert_eq!(world.store.history(thread, MessageKey(0), 10).await.unwrap().len(), 3);
    server.stop().await;
}

#[tokio::test]
async fn notices_for_users_who_are_nowhere_are_no_error() {
    let world = World::new();
    let (ada, ben) = (world.user("ada").await, world.user("ben").await);
    world.friends(ada, ben).await;
    let server = world.server("ours").await;
    let applied = Message::default().int(1, ada.0).text(2, "it is ada").int(7, ben.0);
    assert_eq!(original_server::call(server.peers, "NotifyAddFriend", applied).await.int(1), 0);
    let approved = Message::default().int(1, ada.0).int(2, ben.0);
    assert_eq!(original_server::call(server.peers, "NotifyAuthFriend", approved).await.int(1), 0);
    let said = original_server::texts(ada.0, ben.0, &[("{1}", "for later")]);
    assert_eq!(original_server::call(server.peers, "NotifyTextChatMsg", said).await.int(1), 0);
    let thread = world.store.private_thread(ada, ben).await.unwrap().unwrap();
    let last = world.store.history(thread, MessageKey(0), 10).await.unwrap().pop();
    assert_eq!(last.map(|text| text.content).as_deref(), Some("for later"));
    server.stop().await;
}
