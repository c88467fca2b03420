//! What servers tell each other may be lost, doubled or late: users are told everything all the same, once and in order.

use std::time::{Duration, Instant};

use metrics_exporter_prometheus::PrometheusBuilder;
use uschat_proto::{
    chat::{ThreadId, UserId},
    grpc::peer::{self, DeliverRequest, Event, event::Kind, peer_client::PeerClient},
};
use uschat_server::{chat::ChatConfig, store::StoredText};

use crate::support::{Client, Friends, Running, World, text};

/// Heads are not read by themselves within a test.
const NEVER: Duration = Duration::from_secs(60);

/// Ben on a server that is told of texts by the test alone.
async fn friends() -> (Friends, Client) {
    let friends = Friends::new(NEVER).await;
    let mut client = friends.server.log_in(friends.ben).await;
    // Once this is told the session is told everything at once.
    friends.world.said(friends.ada, friends.ben, "first").await;
    assert_eq!(client.told(friends.thread, 1).await, [2]);
    (friends, client)
}

/// Says this as a peer would.
async fn deliver(server: &Running, to: UserId, link_number: u64, texts: &[&StoredText]) {
    let channel = tonic::transport::Endpoint::from_shared(format!("http://{}", server.peers)).unwrap();
    let texts = texts.iter().map(|text| peer::StoredText {
        thread_id: text.thread.0,
        message_id: text.key.0,
        seq: text.seq,
        sender_uid: text.sender.0,
        client_id: String::new(),
        content: text.content.clone(),
        sent_at_ms: 0,
        status: 2,
    });
    let texts: Vec<_> = texts.collect();
    let events = texts.first().map(|first| first.sender_uid).map(|from_uid| {
        let kind = Kind::Texts(peer::Texts { from_uid, texts });
        Event { to_uid: to.0, kind: Some(kind) }
    });
    let (from_server, events) = ("theirs".to_owned(), events.into_iter().collect());
    let request = DeliverRequest { from_server, boot_id: 1, link_number, events };
    PeerClient::new(channel.connect().await.unwrap()).deliver(request).await.unwrap();
}

#[tokio::test]
async fn a_text_of_which_no_hint_arrived_is_told_within_an_interval() {
    let world = World::new();
    let (ada, ben) = (world.user("ada").await, world.user("ben").await);
    let thread = world.friends(ada, ben).await;
    let interval = Duration::from_secs(1);
    let config = |name: &str, peer_host: &str| ChatConfig {
        heartbeat: interval,
        peer_host: peer_host.into(),
        ..ChatConfig::new(name, "127.0.0.1")
    };
    // Nobody listens where it says that it does.
    let deaf = world.server_with(world.stores(), config("deaf", "127.0.0.2")).await;
    let ours = world.server_with(world.stores(), config("ours", "127.0.0.1")).await;
    let (mut ben_client, mut ada_client) = (deaf.log_in(ben).await, ours.log_in(ada).await);
    for round in 0..3 {
        ada_client.send(1017, &text(ben, "hello", &format!("{{{round}}}"))).await;
        assert_eq!(ada_client.expect(1018).await["error"], 0);
        let begun = Instant::now();
        assert_eq!(ben_client.told(thread, 1).await, [2 + round]);
        println!("told after {:?}", begun.elapsed());
        assert!(begun.elapsed() < 3 * interval, "{:?}", begun.elapsed());
    }
    deaf.stop().await;
    ours.stop().await;
}

#[tokio::test]
async fn doubled_and_late_hints_are_told_once_and_in_order() {
    let (Friends { world, server, ada, ben, thread }, mut client) = friends().await;
    let mut said = Vec::new();
    for _ in 0..4 {
        said.push(world.said(ada, ben, "hello").await);
    }
    // The third before the others: they are read from the store.
    deliver(&server, ben, 1, &[&said[2]]).await;
    assert_eq!(client.told(thread, 4).await, [3, 4, 5, 6]);
    for late in [&said[0], &said[2], &said[3], &said[3]] {
        deliver(&server, ben, 2, &[late]).await;
    }
    client.is_alive().await;
    let next = world.said(ada, ben, "next").await;
    deliver(&server, ben, 3, &[&said[3], &next]).await;
    assert_eq!(client.told(thread, 1).await, [7]);
    client.hears_nothing().await;
    server.stop().await;
}

#[tokio::test]
async fn the_store_decides_what_there_is() {
    let (Friends { world, server, ada, ben, thread }, mut client) = friends().await;
    let mut forged = world.said(ada, ben, "real").await;
    (forged.seq, forged.content) = (1_000, "forged".into());
    deliver(&server, ben, 1, &[&forged]).await;
    assert_eq!(client.told(thread, 1).await, [3]);
    (forged.thread, forged.seq) = (ThreadId(999), 1);
    deliver(&server, ben, 2, &[&forged]).await;
    client.hears_nothing().await;
    let next = world.said(ada, ben, "next").await;
    deliver(&server, ben, 3, &[&next]).await;
    assert_eq!(client.told(thread, 1).await, [4]);
    server.stop().await;
}

#[tokio::test]
async fn a_gap_in_what_a_peer_says_is_looked_into_at_once() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let scraper = recorder.handle();
    let _guard = metrics::set_default_local_recorder(&recorder);
    let (Friends { world, server, ada, ben, thread }, mut client) = friends().await;
    deliver(&server, ben, 1, &[]).await;
    world.said(ada, ben, "not told").await;
    deliver(&server, ben, 2, &[]).await;
    client.hears_nothing().await;
    deliver(&server, ben, 4, &[]).await;
    assert_eq!(client.told(thread, 1).await, [3]);
    let next = world.said(ada, ben, "told").await;
    deliver(&server, ben, 5, &[&next]).await;
    assert_eq!(client.told(thread, 1).await, [4]);
    server.stop().await;

    let figures = scraper.render();
    for figure in [
        "uschat_heads_repaired_total 1",
        "uschat_gaps_filled_total 2",
        "uschat_texts_pushed_total{way=\"store\"} 2",
        "uschat_texts_pushed_total{way=\"hint\"} 1",
        "uschat_progress_written_total 1",
    ] {
        assert!(figures.lines().any(|line| line == figure), "{figure}: {figures}");
    }
}
