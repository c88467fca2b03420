//! Connections that hold a place without using it are closed in bounded time, and keep nobody out (PROTOCOL.md, "The chat
//! connection").

use std::{
    future::Future,
    time::{Duration, Instant},
};

use futures_util::{FutureExt, future::join_all};
use serde_json::json;
use tokio::time::{interval, sleep};

use crate::support::{Frame, RawClient, Topology};

const FIRST_BYTE: Duration = Duration::from_secs(5);
const LOGIN: Duration = Duration::from_secs(10);
const FRAME: Duration = Duration::from_secs(10);
const CROWD: usize = 200;

#[tokio::test]
async fn whoever_holds_a_place_in_vain_is_closed_and_nobody_else_waits() {
    let topology = Topology::start(&["--chats", "1"]).await;
    let honest = topology.sign_up("ada").await;
    let slow = topology.sign_up("bob").await;
    let slower = topology.sign_up("cleo").await;
    let address = topology.ready.chats[0].tcp.as_str();

    let crowd = async {
        let silent = async |client: &mut RawClient| client.expect_closed().await;
        let begin = Instant::now();
        join_all((0..CROWD).map(|_| closed_after(FIRST_BYTE, address, silent))).await;
        assert!(begin.elapsed() < LOGIN, "who says nothing is not given the time of those who log in");
    };
    let half_header = closed_after(LOGIN, address, async |client: &mut RawClient| {
        client.send_bytes(&[0x03, 0xed]).await;
        client.expect_closed().await;
    });
    let never_logs_in = closed_after(LOGIN, address, async |client: &mut RawClient| {
        // Frames do not move the deadline.
        let mut ticks = interval(Duration::from_secs(1));
        while until_closed(client, ticks.tick(), Frame::bytes(1023, b"{}")).await {}
    });
    let wrong_logins = closed_after(LOGIN, address, async |client: &mut RawClient| {
        let mut ticks = interval(Duration::from_secs(1));
        let wrong = json!({ "uid": honest.uid, "token": "guessed" }).to_string();
        while until_closed(client, ticks.tick(), Frame::bytes(1005, wrong.as_bytes())).await {}
    });
    let half_body = async {
        let (mut client, _) = RawClient::log_in(&slow).await;
        let begin = Instant::now();
        client.send_bytes(&Frame::bytes(1023, b"{}")[..5]).await;
        client.expect_closed().await;
        within(FRAME, begin.elapsed());
    };
    let one_byte_a_second = async {
        let (mut client, _) = RawClient::log_in(&slower).await;
        let begin = Instant::now();
        let mut ticks = interval(Duration::from_secs(1));
        let mut bytes = Frame::bytes(1007, &[b' '; 1_000]).into_iter();
        while until_closed(&mut client, ticks.tick(), vec![bytes.next().unwrap()]).await {}
        within(FRAME, begin.elapsed());
    };
    let honest_client = async {
        let mut took = Vec::new();
        // While the crowd is there.
        for _ in 0..4 {
            let begin = Instant::now();
            let mut client = RawClient::log_in_coalesced(&honest).await;
            client.assert_alive().await;
            took.push(begin.elapsed());
            // Samples spread over the time the crowd stays, no synchronisation.
            sleep(Duration::from_secs(1)).await;
        }
        took.sort_unstable();
        assert!(took[took.len() / 2] < Duration::from_secs(1), "{took:?}");
    };
    tokio::join!(crowd, half_header, never_logs_in, wrong_logins, half_body, one_byte_a_second, honest_client);
    topology.assert_no_panic();
}

#[tokio::test]
async fn a_session_that_never_sent_a_heartbeat_may_be_silent() {
    let topology = Topology::start(&["--chats", "1"]).await;
    let (mut client, _) = RawClient::log_in(&topology.sign_up("ada").await).await;
    // Longer than every deadline of those who have not logged in.
    let silence = LOGIN.max(FRAME) + Duration::from_secs(1);
    assert!(tokio::time::timeout(silence, client.recv()).await.is_err(), "nothing is said, and it stays open");
    client.assert_alive().await;
}

/// Connects, lets `live` go on until the server closes the connection, and asserts when that was.
async fn closed_after(deadline: Duration, address: &str, live: impl AsyncFnOnce(&mut RawClient)) {
    let mut client = RawClient::connect(address).await;
    let begin = Instant::now();
    live(&mut client).await;
    within(deadline, begin.elapsed());
}

/// Reads until `next`, then sends `bytes`. False when the server closed the connection.
async fn until_closed(client: &mut RawClient, next: impl Future, bytes: Vec<u8>) -> bool {
    let mut next = std::pin::pin!(next.fuse());
    loop {
        tokio::select! {
            frame = client.recv() => if frame.is_none() { return false },
            _ = &mut next => {
                client.send_bytes(&bytes).await;
                return true;
            }
        }
    }
}

#[track_caller]
fn within(deadline: Duration, took: Duration) {
    assert!(took >= deadline * 9 / 10 && took <= deadline * 3, "{took:?} for a deadline of {deadline:?}");
}
