//! Much that waits for a client is read from the store no faster than the client reads: it costs little memory, no session,
//! and nobody else.

use std::time::Duration;

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use uschat_server::{
    chat::ChatConfig,
    session::SessionConfig,
    store::{Chain, Conversations, NewText, NewTexts},
};

use crate::support::{World, text};

const TEXTS: i64 = 20_000;
const PER_REQUEST: i64 = 50;

fn pushed(scraper: &PrometheusHandle) -> i64 {
    let figures = scraper.render();
    let line = figures.lines().find_map(|line| line.strip_prefix("uschat_texts_pushed_total{way=\"store\"} "));
    line.unwrap().parse().unwrap()
}

#[tokio::test]
async fn twenty_thousand_texts_wait_for_a_client_that_does_not_read_at_first() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let scraper = recorder.handle();
    let _guard = metrics::set_default_local_recorder(&recorder);
    let world = World::new();
    let (ada, ben) = (world.user("ada").await, world.user("ben").await);
    let thread = world.friends(ada, ben).await;
    // More than the system takes in for a client that does not read.
    let new_text = NewText { client_id: None, content: "x".repeat(1_000) };
    for _ in 0..TEXTS / PER_REQUEST {
        let texts = vec![new_text.clone(); PER_REQUEST as usize];
        let (thread, sent_at, chain) = (None, 0, Chain::default());
        world.store.submit(NewTexts { sender: ada, receiver: ben, thread, texts, sent_at, chain }).await.unwrap();
    }
    // A push beyond these bounds would end the session.
    let defaults = ChatConfig::new("ours", "127.0.0.1");
    let session = SessionConfig { outbound_frames: 4, outbound_bytes: 256 * 1024, ..defaults.session.clone() };
    let server = world.server_with(world.stores(), ChatConfig { session, ..defaults }).await;

    let ben_client = server.connect_with_a_small_buffer().await;
    let mut ben_client = ben_client.logged_in(ben, &["coalesced", "chat_datas"]).await;
    let mut ada_client = server.log_in(ada).await;
    // Longer than the server waits until it begins to tell, and then until it tells no more.
    ada_client.hears_nothing().await;
    let mut told = (0, pushed(&scraper));
    while told.0 < told.1 {
        tokio::time::sleep(Duration::from_millis(300)).await;
        told = (told.1, pushed(&scraper));
    }
    println!("{} of {TEXTS} were read from the store for a client that does not read", told.1);
    assert!(told.1 > 0 && told.1 < TEXTS / 2, "{}", told.1);

    for number in 0..100 {
        ada_client.send(1017, &text(ben, "live", &format!("{{{number}}}"))).await;
        assert_eq!(ada_client.expect(1018).await["error"], 0);
    }
    let told = ben_client.told(thread, TEXTS as usize + 100).await;
    assert!(told.into_iter().eq(2..=TEXTS + 101));
    ben_client.is_alive().await;
    server.stop().await;
}
