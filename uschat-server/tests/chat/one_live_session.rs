//! The later login has the user: on this server, on another, and after a lease was lost.

use std::time::Duration;

use serde_json::json;
use uschat_server::{
    chat::ChatConfig,
    store::{
        Accounts,
        state::{Holder, Presence},
    },
};

use crate::support::{self, TOKEN, World, text};

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
    tokio::time::timeout(support::PATIENCE, gone).await.expect("the lease should be given up");
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

#[tokio::test]
async fn a_session_on_another_server_goes_on_behind_what_the_first_one_had_confirmed() {
    let world = World::new();
    let (ada, ben) = (world.user("ada").await, world.user("ben").await);
    let thread = world.friends(ada, ben).await;
    let config = |name: &str| ChatConfig { heartbeat: Duration::from_millis(50), ..ChatConfig::new(name, "127.0.0.1") };
    let one = world.server_with(world.stores(), config("one")).await;
    let two = world.server_with(world.stores(), config("two")).await;
    let mut ada_client = one.log_in(ada).await;
    let mut first = one.log_in(ben).await;
    let sending = async {
        for number in 0..300 {
            ada_client.send(1017, &text(ben, "hello", &format!("{{{number}}}"))).await;
            assert_eq!(ada_client.expect(1018).await["error"], 0);
            if number % 3 == 0 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
    };
    let reading = async {
        let told_there = first.told(thread, 50).await;
        world.until_delivered(ben, thread, 20).await;
        let mut second = two.log_in(ben).await;
        let mut told_here = second.told(thread, 1).await;
        while told_here.last() != Some(&301) {
            told_here.extend(second.told(thread, 1).await);
        }
        (told_there, told_here)
    };
    let ((), (told_there, told_here)) = tokio::join!(sending, reading);
    let mut told_there = told_there;
    while let Some((1019, body)) = first.receive().await {
        told_there.extend(body["chat_datas"].as_array().unwrap().iter().map(|text| text["seq"].as_i64().unwrap()));
    }
    drop(first);
    // Each in order, some perhaps by both, and none by neither.
    assert!(told_there.iter().copied().eq(2..2 + told_there.len() as i64), "{told_there:?}");
    assert!(told_here.iter().copied().eq(told_here[0]..=301), "{told_here:?}");
    assert!(told_here[0] > 20 && told_here[0] <= told_there.len() as i64 + 2, "{}", told_here[0]);
    one.stop().await;
    two.stop().await;
}

#[tokio::test]
async fn what_a_session_has_got_is_written_before_its_server_ends() {
    let world = World::new();
    let (ada, ben) = (world.user("ada").await, world.user("ben").await);
    let thread = world.friends(ada, ben).await;
    world.said(ada, ben, "hello").await;
    let config = ChatConfig { heartbeat: Duration::from_secs(60), ..ChatConfig::new("ours", "127.0.0.1") };
    let server = world.server_with(world.stores(), config.clone()).await;
    let mut client = server.log_in(ben).await;
    assert_eq!(client.told(thread, 1).await, [2]);
    server.stop().await;
    assert_eq!(world.delivered(ben, thread).await, 2);

    // But not what a session says that is not its user's last.
    world.said(ada, ben, "again").await;
    let server = world.server_with(world.stores(), config).await;
    let mut client = server.log_in(ben).await;
    assert_eq!(client.told(thread, 1).await, [3]);
    world.store.next_fence(ben).await.unwrap();
    server.stop().await;
    assert_eq!(world.delivered(ben, thread).await, 2);
}

#[tokio::test]
async fn a_login_on_the_same_server_goes_on_where_the_last_one_was() {
    let world = World::new();
    let (ada, ben) = (world.user("ada").await, world.user("ben").await);
    let thread = world.friends(ada, ben).await;
    world.said(ada, ben, "hello").await;
    let config = ChatConfig { heartbeat: Duration::from_secs(60), ..ChatConfig::new("ours", "127.0.0.1") };
    let server = world.server_with(world.stores(), config).await;
    let mut first = server.log_in(ben).await;
    assert_eq!(first.told(thread, 1).await, [2]);
    // Longer than it takes to see that the client's system has acknowledged it.
    first.hears_nothing().await;
    let mut second = server.log_in(ben).await;
    world.said(ada, ben, "again").await;
    assert_eq!(second.told(thread, 1).await, [3]);
    assert_eq!(first.expect(1021).await["uid"], ben.0);
    drop(first);
    server.stop().await;
}
