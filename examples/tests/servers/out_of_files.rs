//! When the process has no file descriptor left (battery F1): who is in stays in, who waits gets in later.

use serde_json::json;

use crate::support::{RawClient, Topology};

/// Enough for the servers, their database and a few clients.
const OPEN_FILES: u32 = 96;

#[tokio::test]
async fn accepting_pauses_and_goes_on() {
    let topology = Topology::start_with_open_files(OPEN_FILES, &["--chats", "1"]).await;
    let (ada, bob) = (topology.sign_up("ada").await, topology.sign_up("bob").await);
    let (mut client, _) = RawClient::log_in(&ada).await;

    let mut crowd = Vec::new();
    for _ in 0..2 * OPEN_FILES {
        // The kernel completes the handshake, whether or not the server can accept.
        crowd.push(RawClient::connect(&topology.ready.chats[0].tcp).await);
    }
    for _ in 0..10 {
        client.send(1023, &json!({ "fromuid": ada.uid })).await;
        client.expect(1024).await;
    }

    drop(crowd);
    RawClient::log_in(&bob).await;
    let mut topology = topology;
    topology.signal("TERM").await;
    assert_eq!(topology.wait().await, Some(0), "{}", topology.log());
    assert!(topology.log().contains("cannot accept"), "it says so: {}", topology.log());
}
