//! The later login has the user: on this server, on another, and after a lease was lost.
#![cfg(feature = "chat")]

mod chat_support;

use std::time::Duration;

use chat_support::{TOKEN, World};
use serde_json::json;
use uschat_server::{
    chat::ChatConfig,
    store::{
        Accounts,
        state::{Holder, Presence},
    },
};

#[tokio::test]
async fn a_session_whose_lease_a_later_login_took_is_replaced_when_it_renews() {
    let world = World::new();
    let ada = world.user("ada").await;
    let config = ChatConfig { heartbeat: Duration::from_millis(50), ..ChatConfig::new("ours", "127.0.0.1") };
    let server = world.server_with(world.stores(), config).await;
    let mut client = server.log_in(ada).await;

    // As if the kick of a later login on another server had been lost.
    let fence = world.store.next_fence(ada).await.unwrap();
    let holder = Holder { server: "theirs".into(), session: 1, fence };
    world.state.take_presence(ada, &holder, Duration::from_secs(60)).await.unwrap();

    assert_eq!(client.expect(1021).await["uid"], ada.0);
    assert_eq!(world.state.presence(ada).await.unwrap(), Some(holder), "its end must not take the other's lease");
    drop(client);
    server.stop().await;
}

#[tokio::test]
async fn a_user_is_offline_once_their_session_has_ended() {
    let world = World::new();
    let ada = world.user("ada").await;
    let server = world.server("ours").await;
    let client = server.log_in(ada).await;
    assert_eq!(world.state.presence(ada).await.unwrap().map(|holder| holder.server).as_deref(), Some("ours"));
    drop(client);
    let gone = async {
        while world.state.presence(ada).await.unwrap().is_some() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(chat_support::PATIENCE, gone).await.expect("the lease should be given up");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_logins_at_once_on_two_servers_one_stays() {
    let world = World::new();
    let ada = world.user("ada").await;
    let servers = [world.server("one").await, world.server("two").await];
    let mut clients = Vec::new();
    for server in servers.iter().cycle().take(20) {
        let mut client = server.connect().await;
        client.send(1005, &json!({"uid": ada, "token": TOKEN, "features": ["coalesced"]})).await;
        clients.push(client);
    }
    let mut living = Vec::new();
    for mut client in clients {
        client.send(1023, &json!({})).await;
        let mut last = None;
        let alive = loop {
            match client.receive().await {
                Some((1024, body)) if body["error"] == 0 => {
                    // It was alive when it answered; a kick that is under way still comes before the end of the file.
                    last = Some(1024);
                    match tokio::time::timeout(Duration::from_millis(500), client.receive()).await {
                        Err(_) => break true,
                        Ok(Some((1021, _)) | None) => break false,
                        Ok(Some(_)) => {}
                    }
                }
                Some((1021, _)) | None => break false,
                Some((id, _)) => last = Some(id),
            }
        };
        assert!(last.is_some(), "every login is answered");
        if alive {
            living.push(client);
        }
    }
    assert_eq!(living.len(), 1);
    drop(living);
    for server in servers {
        server.stop().await;
    }
}
