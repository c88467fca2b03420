//! Frames however TCP cuts them, of every id and length (PROTOCOL.md, "Frames").

use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::{Frame, RawClient, Topology, User, ids_of, numbers_of, texts};

const LARGEST_BODY: usize = 32_767;
const REQUESTS: [u16; 6] = [1005, 1007, 1009, 1013, 1017, 1023];

#[tokio::test]
async fn fifty_frames_in_one_segment() {
    let topology = Topology::start(&[]).await;
    let (ada, bob) = topology.sign_up_friends("ada", "bob").await;
    let (mut one, mut other) = (RawClient::log_in_coalesced(&ada).await, RawClient::log_in_coalesced(&bob).await);
    let segment: Vec<u8> = (0..50).flat_map(|number| text_frame(&bob, &format!("c{number}"))).collect();
    assert!(segment.len() < 65_536, "one segment on loopback");
    one.send_bytes(&segment).await;
    for number in 0..50 {
        let (stored, told) = (one.expect(1018).await, other.expect(1019).await);
        assert_eq!(ids_of(&stored), [format!("c{number}")]);
        assert_eq!(numbers_of(&stored), [number + 2]);
        assert_eq!(told, stored);
    }
    one.assert_alive().await;
    other.assert_alive().await;
}

#[tokio::test]
async fn a_session_in_single_bytes() {
    let topology = Topology::start(&["--chats", "1"]).await;
    let (ada, bob) = topology.sign_up_friends("ada", "bob").await;
    let mut client = RawClient::connect(&ada.chat_address()).await;
    let login = json!({ "uid": ada.uid, "token": ada.token, "features": ["coalesced"] }).to_string();
    for byte in Frame::bytes(1005, login.as_bytes()) {
        client.send_bytes(&[byte]).await;
    }
    assert_eq!(client.expect(1006).await["error"], 0);
    for byte in [text_frame(&bob, "c1"), text_frame(&bob, "c2")].concat() {
        client.send_bytes(&[byte]).await;
    }
    assert_eq!(ids_of(&client.expect(1018).await), ["c1"]);
    assert_eq!(ids_of(&client.expect(1018).await), ["c2"]);
    client.assert_alive().await;
}

#[tokio::test]
async fn whole_frames_are_answered_before_the_rest_of_the_next_arrives() {
    let topology = Topology::start(&["--chats", "1"]).await;
    let (ada, bob) = topology.sign_up_friends("ada", "bob").await;
    let mut client = RawClient::log_in_coalesced(&ada).await;
    let frame = text_frame(&bob, "c");
    for cut in 1..frame.len() {
        let (begin, end) = frame.split_at(cut);
        client.send_bytes(&[&frame, &frame, begin].concat()).await;
        let first = client.expect(1018).await;
        assert_eq!(client.expect(1018).await, first, "the same id and content, so the same result");
        client.send_bytes(end).await;
        assert_eq!(client.expect(1018).await, first, "cut at {cut}");
    }
    client.assert_alive().await;
}

#[tokio::test]
async fn unknown_ids_are_ignored_in_every_session() {
    let topology = Topology::start(&["--chats", "1"]).await;
    let ada = topology.sign_up("ada").await;
    let mut client = RawClient::connect(&ada.chat_address()).await;
    let ids =
        [0, 1, 1004, 1006, 1008, 1015, 1019, 1021, 1024, 1031, 1035, 1101, 2001, 3001, 3002, 0x7fff, 0x8000, 0x83ed];
    let ids: Vec<u16> = ids.into_iter().chain([0xf3ff, 0xffff]).collect();
    let bodies: [&[u8]; 4] = [b"", b"{}", b"\xff\x00 no JSON", &[b'x'; LARGEST_BODY]];
    for logged_in in [false, true] {
        for id in &ids {
            for body in bodies {
                client.send_bytes(&Frame::bytes(*id, body)).await;
            }
        }
        // The next answer is to this, so there was none before.
        if logged_in {
            client.assert_alive().await;
        } else {
            assert_eq!(client.log_in_declaring(&ada, &["coalesced"]).await["error"], 0);
        }
    }
}

#[tokio::test]
async fn an_empty_body_is_a_frame_like_others() {
    let topology = Topology::start(&["--chats", "1"]).await;
    let ada = topology.sign_up("ada").await;
    let mut client = RawClient::log_in_coalesced(&ada).await;
    let frames: Vec<u8> = REQUESTS.iter().flat_map(|id| Frame::bytes(*id, b"")).collect();
    client.send_bytes(&frames).await;
    let mut answered = Vec::new();
    for _ in REQUESTS {
        let frame = client.recv().await.unwrap();
        assert_eq!(frame.body, json!({ "error": 1001 }), "{}", frame.id);
        answered.push(frame.id);
    }
    answered.sort_unstable();
    assert_eq!(answered, REQUESTS.map(|id| id + 1));
    client.assert_alive().await;
}

#[tokio::test]
async fn the_largest_body_is_read_and_a_longer_one_ends_its_connection_only() {
    let topology = Topology::start(&["--chats", "1"]).await;
    let ada = topology.sign_up("ada").await;
    let mut witness = RawClient::log_in_coalesced(&topology.sign_up("bob").await).await;
    let mut client = RawClient::log_in_coalesced(&ada).await;
    let padded = |bytes: usize| format!("{{}}{}", " ".repeat(bytes - 2)).into_bytes();
    for _ in 0..3 {
        client.send_bytes(&Frame::bytes(1023, &padded(LARGEST_BODY))).await;
        assert_eq!(client.expect(1024).await, json!({ "error": 0 }));
    }
    for announced in [0x8000, 0x8001, 0xffff] {
        for id in [1023, 0, 0xffff] {
            let (mut client, _) = RawClient::log_in_at(&ada.chat_address(), &ada, &["coalesced"]).await;
            // What came before it is still answered, it is not, and nobody waits for the body.
            let header = [Frame::bytes(1023, b"{}"), [id, announced].map(u16::to_be_bytes).concat()].concat();
            let begin = Instant::now();
            client.send_bytes(&header).await;
            assert_eq!(client.expect(1024).await, json!({ "error": 0 }));
            client.expect_closed().await;
            assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
            witness.assert_alive().await;
        }
    }
    let mut stranger = RawClient::connect(&ada.chat_address()).await;
    stranger.send_bytes(&[0xff; 4]).await;
    stranger.expect_closed().await;
    witness.assert_alive().await;
    topology.assert_no_panic();
}

fn text_frame(to: &User, id: &str) -> Vec<u8> {
    Frame::bytes(1017, texts(to.uid, &[(id, "hello")]).to_string().as_bytes())
}
