//! A dead, silent or unknown peer costs its users the live notice, and nobody else anything.

use std::time::{Duration, Instant};

use tokio::net::TcpListener;
use uschat_proto::chat::UserId;
use uschat_server::store::state::{Holder, Presence, ServerRecord, Servers};

use crate::support::{World, text};

const MINUTE: Duration = Duration::from_secs(60);

async fn held_by(world: &World, uid: UserId, server: &str) {
    let holder = Holder { server: server.into(), session: 1, fence: 1 };
    world.state.take_presence(uid, &holder, MINUTE).await.expect("memory has no failures");
}

async fn announce(world: &World, name: &str, peer_address: String) {
    let record = ServerRecord {
        name: name.into(),
        boot_id: 1,
        client_host: "127.0.0.1".into(),
        client_port: 1,
        peer_address,
        sessions: 0,
        draining: false,
    };
    world.state.announce_server(&record, MINUTE).await.expect("memory has no failures");
}

#[tokio::test]
async fn texts_are_acknowledged_whatever_became_of_the_peer() {
    let world = World::new();
    let ada = world.user("ada").await;
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    announce(&world, "silent", silent.local_addr().unwrap().to_string()).await;
    announce(&world, "closed", closed.to_string()).await;
    announce(&world, "nonsense", "not an address".into()).await;

    let server = world.server("ours").await;
    let mut client = server.log_in_with(ada, &["coalesced"]).await;
    let begun = Instant::now();
    for (number, peer) in ["silent", "closed", "nonsense", "never heard of"].into_iter().enumerate() {
        let friend = world.user(&format!("friend {number}")).await;
        world.friends(ada, friend).await;
        held_by(&world, friend, peer).await;
        for text_number in 0..50 {
            client.send(1017, &text(friend, "hello", &format!("{number}-{text_number}"))).await;
            assert_eq!(client.expect(1018).await["error"], 0, "{peer}");
        }
    }
    let local = world.user("local").await;
    world.friends(ada, local).await;
    let mut local_client = server.log_in_with(local, &["coalesced"]).await;
    client.send(1017, &text(local, "still here", "x")).await;
    assert_eq!(client.expect(1018).await["error"], 0);
    assert_eq!(local_client.expect(1019).await["text_array"][0]["content"], "still here");
    // A handler that waited for the silent peer even once would have taken its deadline.
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
    server.stop().await;
}

#[tokio::test]
async fn a_peer_that_comes_back_elsewhere_is_found() {
    let world = World::new();
    let (ada, ben) = (world.user("ada").await, world.user("ben").await);
    world.friends(ada, ben).await;
    let ours = world.server("ours").await;
    let mut ada_client = ours.log_in_with(ada, &["coalesced"]).await;
    for round in 0..2 {
        let theirs = world.server("theirs").await;
        let mut ben_client = theirs.log_in_with(ben, &["coalesced"]).await;
        // The list of servers is believed for a second, so the first texts after a restart may be lost live.
        let mut attempt = 0;
        let heard = loop {
            attempt += 1;
            ada_client.send(1017, &text(ben, "hello", &format!("{round}-{attempt}"))).await;
            assert_eq!(ada_client.expect(1018).await["error"], 0);
            match tokio::time::timeout(Duration::from_millis(200), ben_client.receive()).await {
                Ok(frame) => break frame.unwrap(),
                Err(_) => assert!(attempt < 50, "the peer should be found again"),
            }
        };
        assert_eq!(heard.0, 1019);
        theirs.stop().await;
    }
    ours.stop().await;
}
