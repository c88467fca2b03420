//! A friendship that an original server approved is two rows in the database that both share, and no conversation yet: the
//! first line or text, from either side, opens it.

use std::{sync::Arc, time::Duration};

use sqlx::{Connection, SqliteConnection, sqlite::SqliteConnectOptions};
use tempfile::TempDir;
use uschat_proto::chat::UserId;
use uschat_server::{
    chat::{ChatConfig, ChatStores},
    store::{
        Accounts, Conversations, NewAccount, PasswordHash,
        sqlite::{SqliteOptions, SqliteStore},
        state::{Holder, Presence, Tokens},
    },
};

use crate::original_server::{self, Message, OriginalServer};
use crate::support::{Client, Running, TOKEN, World, text};

struct Mixed {
    store: Arc<SqliteStore>,
    theirs: OriginalServer,
    ours: Running,
    /// Logged in here.
    ada: UserId,
    client: Client,
    /// Whose session the original holds.
    ben: UserId,
    _folder: TempDir,
}

/// Ben applied, and Ada's approval was dealt with by the original, or the other way round: the rows are the same.
async fn friends_of_the_original() -> Mixed {
    let (world, theirs) = (World::new(), OriginalServer::start().await);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("uschat.db");
    let store = Arc::new(SqliteStore::open(&path, SqliteOptions::default()).await.unwrap());
    let (ada, ben) = (user(&store, "ada").await, user(&store, "ben").await);
    let options = SqliteConnectOptions::new().filename(&path);
    let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
    for (one, other) in [(ada, ben), (ben, ada)] {
        let insert = sqlx::query("INSERT INTO friend (self_id, friend_id, back) VALUES (?, ?, '')");
        insert.bind(one.0).bind(other.0).execute(&mut connection).await.unwrap();
    }
    connection.close().await.unwrap();

    world.state.put_token(ada, TOKEN, Duration::from_secs(600)).await.unwrap();
    let holder = Holder { server: "theirs".into(), session: 1, fence: 1 };
    world.state.take_presence(ben, &holder, Duration::from_secs(60)).await.unwrap();
    let stores = ChatStores {
        accounts: store.clone(),
        contacts: store.clone(),
        conversations: store.clone(),
        state: world.state.clone(),
    };
    let config = ChatConfig { originals: vec![theirs.as_peer("theirs")], ..ChatConfig::new("ours", "127.0.0.1") };
    let ours = world.server_with(stores, config).await;
    let client = ours.log_in(ada).await;
    assert_eq!(store.private_thread(ada, ben).await.unwrap(), None);
    Mixed { store, theirs, ours, ada, client, ben, _folder: folder }
}

async fn user(store: &SqliteStore, name: &str) -> UserId {
    let (email, password) = (format!("{name}@example.org"), PasswordHash::new("not used here"));
    store.create(NewAccount { name: name.into(), email, password, icon: String::new() }).await.unwrap()
}

#[tokio::test]
async fn the_notice_of_an_approval_opens_the_conversation() {
    let mut mixed = friends_of_the_original().await;
    let (ada, ben) = (mixed.ada, mixed.ben);
    let approved = Message::default().int(1, ben.0).int(2, ada.0);
    assert_eq!(original_server::call(mixed.ours.peers, "NotifyAuthFriend", approved).await.int(1), 0);
    let notice = mixed.client.expect(1015).await;
    assert_eq!((&notice["fromuid"], &notice["name"]), (&ben.0.into(), &"ben".into()));
    assert_eq!((&notice["chat_datas"][0]["seq"], &notice["chat_datas"][0]["sender"]), (&1.into(), &ben.0.into()));

    mixed.client.send(1017, &text(ben, "hello", "{1}")).await;
    assert_eq!(mixed.client.expect(1018).await["chat_datas"][0]["seq"], 2);
    assert_eq!(mixed.theirs.expect("NotifyTextChatMsg").await.messages(3)[0].text(2), "hello");
    mixed.ours.stop().await;
}

#[tokio::test]
async fn a_first_text_to_a_friend_there_opens_the_conversation() {
    let mut mixed = friends_of_the_original().await;
    mixed.client.send(1017, &text(mixed.ben, "hello", "{1}")).await;
    let stored = mixed.client.expect(1018).await;
    assert_eq!((&stored["error"], &stored["chat_datas"][0]["seq"]), (&0.into(), &1.into()));
    assert_eq!(mixed.theirs.expect("NotifyTextChatMsg").await.messages(3)[0].text(2), "hello");
    assert!(mixed.store.private_thread(mixed.ada, mixed.ben).await.unwrap().is_some());
    mixed.ours.stop().await;
}

#[tokio::test]
async fn a_first_text_from_a_friend_there_opens_the_conversation() {
    let mut mixed = friends_of_the_original().await;
    let (ada, ben) = (mixed.ada, mixed.ben);
    let said = original_server::texts(ben.0, ada.0, &[("{1}", "hello")]);
    assert_eq!(original_server::call(mixed.ours.peers, "NotifyTextChatMsg", said).await.int(1), 0);
    let notice = mixed.client.expect(1019).await;
    assert_eq!((&notice["fromuid"], &notice["chat_datas"][0]["seq"]), (&ben.0.into(), &1.into()));

    mixed.client.send(1017, &text(ben, "hello yourself", "{1}")).await;
    assert_eq!(mixed.client.expect(1018).await["chat_datas"][0]["seq"], 2, "client ids belong to their sender");
    assert_eq!(mixed.theirs.expect("NotifyTextChatMsg").await.messages(3)[0].text(2), "hello yourself");
    mixed.ours.stop().await;
}
