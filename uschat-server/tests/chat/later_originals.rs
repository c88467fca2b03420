//! Original servers of the later main line beside ours: they store texts themselves, name conversations and keys in their calls,
//! and end sessions elsewhere.

use std::time::Duration;

use serde_json::json;
use uschat_proto::chat::{ThreadId, UserId};
use uschat_server::{
    chat::ChatConfig,
    store::{
        Accounts, Chain, Contacts, Conversations, NewText, NewTexts, StoredText,
        state::{Holder, Presence},
    },
};

use crate::original_server::{self, Message, OriginalServer};
use crate::support::{Running, World, text};

const NOT_A_MEMBER: i32 = 3009;

/// Ada's session is here, Ben's at the original.
struct Beside {
    world: World,
    theirs: OriginalServer,
    ours: Running,
    ada: UserId,
    ben: UserId,
    thread: ThreadId,
}

async fn beside() -> Beside {
    let (world, theirs) = (World::new(), OriginalServer::start().await);
    let (ada, ben) = (world.user("ada").await, world.user("ben").await);
    world.friends(ada, ben).await;
    let config = ChatConfig { originals: vec![theirs.as_later_peer("theirs")], ..ChatConfig::new("ours", "127.0.0.1") };
    let ours = world.server_with(world.stores(), config).await;
    let fence = world.store.next_fence(ben).await.unwrap();
    let holder = Holder { server: "theirs".into(), session: 1, fence };
    world.state.take_presence(ben, &holder, Duration::from_secs(60)).await.unwrap();
    let thread = world.store.private_thread(ada, ben).await.unwrap().unwrap();
    Beside { world, theirs, ours, ada, ben, thread }
}

impl Beside {
    /// What the original stores in the database that both share before it says anything.
    async fn stored_there(&self, content: &str) -> StoredText {
        let texts = vec![NewText { client_id: None, content: content.into() }];
        let request =
            NewTexts { sender: self.ben, receiver: self.ada, thread: None, texts, sent_at: 0, chain: Chain::default() };
        self.world.store.submit(request).await.unwrap().texts.remove(0)
    }

    async fn count(&self) -> usize {
        self.world.store.history(self.thread, Default::default(), 100).await.unwrap().len()
    }
}

fn short(number: i64) -> i32 {
    number.try_into().unwrap()
}

#[tokio::test]
async fn texts_stored_there_are_told_here_as_the_store_has_them() {
    let beside = beside().await;
    let (ada, ben, thread) = (beside.ada, beside.ben, beside.thread);
    let mut client = beside.ours.log_in(ada).await;
    let (first, second) = (beside.stored_there("one").await, beside.stored_there("two").await);

    let pairs = [("{1}", short(first.key.0), "not what was stored"), ("{2}", short(second.key.0), "two")];
    let said = original_server::later_texts(ben.0, ada.0, short(thread.0), &pairs);
    let response = original_server::call(beside.ours.peers, "NotifyTextChatMsg", said).await;
    assert_eq!((response.int(1), response.int(2), response.int(3)), (0, ben.0, ada.0));
    assert_eq!((response.int(4), response.messages(5).len()), (short(thread.0), 2));
    let told = client.expect(1019).await;
    let contents: Vec<_> = told["chat_datas"].as_array().unwrap().iter().map(|text| text["content"].clone()).collect();
    assert_eq!((contents, &told["thread_id"]), (vec![json!("one"), json!("two")], &json!(thread)));
    assert_eq!(
        (&told["chat_datas"][1]["seq"], &told["chat_datas"][1]["message_id"]),
        (&json!(second.seq), &json!(second.key))
    );
    assert_eq!(beside.count().await, 3, "nothing is stored twice");
    beside.ours.stop().await;
}

#[tokio::test]
async fn a_text_that_it_could_not_store_is_stored_here() {
    let beside = beside().await;
    let (ada, ben) = (beside.ada, beside.ben);
    let mut client = beside.ours.log_in(ada).await;
    for _ in 0..2 {
        let said = original_server::later_texts(ben.0, ada.0, short(beside.thread.0), &[("{lost}", 0, "rescued")]);
        assert_eq!(original_server::call(beside.ours.peers, "NotifyTextChatMsg", said).await.int(1), 0);
    }
    assert_eq!(client.expect(1019).await["chat_datas"][0]["content"], "rescued");
    client.is_alive().await;
    assert_eq!(beside.count().await, 2);
    beside.ours.stop().await;
}

#[tokio::test]
async fn a_conversation_of_others_is_not_read_out() {
    let beside = beside().await;
    let eve = beside.world.user("eve").await;
    let secret = beside.stored_there("for ada alone").await;
    let mut client = beside.ours.log_in(eve).await;
    for thread in [short(beside.thread.0), 0, 999_999] {
        let said = original_server::later_texts(beside.ben.0, eve.0, thread, &[("", short(secret.key.0), "x")]);
        let response = original_server::call(beside.ours.peers, "NotifyTextChatMsg", said).await;
        assert_eq!(response.int(1), NOT_A_MEMBER);
    }
    client.is_alive().await;
    beside.ours.stop().await;
}

#[tokio::test]
async fn an_approval_there_brings_its_texts() {
    let beside = beside().await;
    let (ada, ben, thread) = (beside.ada, beside.ben, beside.thread);
    let mut client = beside.ours.log_in(ada).await;
    let greeting = beside.stored_there("hello, it is Ben").await;
    let text = Message::default().int(1, ben.0).int(3, short(greeting.key.0)).int(4, short(thread.0)).text(5, "x");
    let approved = Message::default().int(1, ben.0).int(2, ada.0).message(3, text);
    assert_eq!(original_server::call(beside.ours.peers, "NotifyAuthFriend", approved).await.int(1), 0);
    let told = client.expect(1015).await;
    assert_eq!((&told["fromuid"], &told["chat_datas"][0]["msg_content"]), (&json!(ben), &"hello, it is Ben".into()));
    assert_eq!(told["chat_datas"].as_array().map(Vec::len), Some(1));
    assert_eq!(beside.count().await, 2, "no line of ours");
    beside.ours.stop().await;
}

#[tokio::test]
async fn an_approval_whose_texts_it_could_not_store_opens_with_our_line() {
    let beside = beside().await;
    let (ada, ben) = (beside.ada, beside.ben);
    let mut client = beside.ours.log_in(ada).await;
    let text = Message::default().int(1, ben.0).text(5, "lost");
    let approved = Message::default().int(1, ben.0).int(2, ada.0).message(3, text);
    assert_eq!(original_server::call(beside.ours.peers, "NotifyAuthFriend", approved).await.int(1), 0);
    assert_eq!(client.expect(1015).await["chat_datas"].as_array().map(Vec::len), Some(1));
    assert_eq!(beside.count().await, 2);
    beside.ours.stop().await;
}

#[tokio::test]
async fn an_application_there_tells_name_and_introduction_apart() {
    let beside = beside().await;
    let mut client = beside.ours.log_in(beside.ada).await;
    let applied =
        Message::default().int(1, beside.ben.0).text(2, "ben").text(3, "it is me").text(5, "Ben").int(7, beside.ada.0);
    assert_eq!(original_server::call(beside.ours.peers, "NotifyAddFriend", applied).await.int(1), 0);
    let told = client.expect(1011).await;
    assert_eq!((&told["name"], &told["desc"]), (&"it is me".into(), &"it is me".into()));
    beside.ours.stop().await;
}

#[tokio::test]
async fn a_login_there_ends_the_session_here() {
    let beside = beside().await;
    let mut client = beside.ours.log_in(beside.ada).await;
    for _ in 0..2 {
        let kick = Message::default().int(1, beside.ada.0);
        let response = original_server::call(beside.ours.peers, "NotifyKickUser", kick).await;
        assert_eq!((response.int(1), response.int(2)), (0, beside.ada.0), "also for somebody who is not here");
    }
    assert_eq!(client.expect(1021).await["uid"], beside.ada.0);
    beside.ours.stop().await;
}

#[tokio::test]
async fn what_happens_here_is_told_there_in_its_dialect() {
    let mut beside = beside().await;
    let (ada, ben, thread) = (beside.ada, beside.ben, beside.thread);
    let mut client = beside.ours.log_in(ada).await;
    client.send(1017, &text(ben, "hello", "{1}")).await;
    let stored = client.expect(1018).await;
    let said = beside.theirs.expect("NotifyTextChatMsg").await;
    assert_eq!((said.int(1), said.int(2), said.int(3)), (ada.0, ben.0, short(thread.0)));
    let one = &said.messages(4)[0];
    let stored = &stored["chat_datas"][0];
    assert_eq!(
        (one.text(1), json!(one.int(2)), one.text(3)),
        ("{1}".into(), stored["message_id"].clone(), "hello".into())
    );
    assert_eq!(json!(one.text(4)), stored["chat_time"]);

    let cleo = beside.world.user("cleo").await;
    let fence = beside.world.store.next_fence(cleo).await.unwrap();
    let holder = Holder { server: "theirs".into(), session: 2, fence };
    beside.world.state.take_presence(cleo, &holder, Duration::from_secs(60)).await.unwrap();
    client.send(1009, &json!({"touid": cleo, "applyname": "it is ada", "bakname": ""})).await;
    assert_eq!(client.expect(1010).await["error"], 0);
    let applied = beside.theirs.expect("NotifyAddFriend").await;
    assert_eq!((applied.text(2), applied.text(3)), ("ada".into(), "it is ada".into()));

    let mut ben_client = beside.ours.log_in(ben).await;
    assert_eq!(beside.theirs.expect("NotifyKickUser").await.int(1), ben.0, "a login here ends the session there");
    ben_client.is_alive().await;
    beside.ours.stop().await;
}

#[tokio::test]
async fn an_approval_here_is_told_there_with_its_texts() {
    let mut beside = beside().await;
    let cleo = beside.world.user("cleo").await;
    let mut client = beside.ours.log_in(cleo).await;
    beside.world.store.apply(beside.ben, cleo, "it is ben", "").await.unwrap();
    client.send(1013, &json!({"touid": beside.ben, "back": ""})).await;
    let approved = client.expect(1014).await;
    let told = beside.theirs.expect("NotifyAuthFriend").await;
    assert_eq!((told.int(1), told.int(2)), (cleo.0, beside.ben.0));
    let texts = told.messages(3);
    assert_eq!(texts.len(), approved["chat_datas"].as_array().unwrap().len());
    let first = &approved["chat_datas"][0];
    assert_eq!((json!(texts[0].int(1)), json!(texts[0].int(3))), (first["sender"].clone(), first["msg_id"].clone()));
    assert_eq!((json!(texts[0].int(4)), texts[0].text(5)), (first["thread_id"].clone(), "it is ben".into()));
    beside.ours.stop().await;
}
