//! S1: clients that stop reading.

use std::time::{Duration, Instant};

use serde_json::json;
use tokio::{sync::watch, time::interval};
use uschat_client::{Cursors, Gate, Incoming, Messenger, MessengerConfig};
use uschat_examples::oracle::Usage;
use uschat_proto::chat::{Fingerprint, MessageKey, UserId};

use super::{
    counted::{Counted, until_closed},
    pair::{Pair, Told},
};

use crate::support::{Frame, RawClient, Topology, User, in_time, numbers_of, rows_of, texts};

/// One write may be stuck so long.
const WRITE_DEADLINE: Duration = Duration::from_secs(20);
/// 16 MiB: more than the kernels on both sides take.
const TEXTS: i64 = 8_192;
const WINDOW: i64 = 32;

/// The last text that a member has of a conversation.
#[derive(Debug, Clone, Copy)]
struct Seen {
    thread: i64,
    number: i64,
    fingerprint: Fingerprint,
}

#[tokio::test]
async fn s1_who_stops_reading_is_closed_resumes_by_cursor_and_nobody_else_notices() {
    let topology = Topology::start(&[]).await;
    let chats = &topology.ready.chats;
    let (ada, bob) = topology.sign_up_friends("ada", "bob").await;
    let bystanders = topology.sign_up_friends("cat", "dan").await;
    let at_home = |user: User| {
        let (host, port) = chats[0].tcp.split_once(':').unwrap();
        User { host: host.to_owned(), port: port.to_owned(), ..user }
    };
    // All of them on the server whose client does not read.
    let mut bystanders = Pair::log_in((at_home(bystanders.0), at_home(bystanders.1))).await;
    let mut ada_session = RawClient::log_in_at(&chats[0].tcp, &ada, &["coalesced"]).await.0;
    let mut lazy = RawClient::connect_with_buffer(&chats[0].tcp, 16 * 1024).await;
    assert_eq!(lazy.log_in_declaring(&bob, &["coalesced", "sync"]).await["error"], 0);
    assert_eq!(lazy.ask(3003, &json!({})).await["error"], 0);
    let (memory, counted) = (Usage::of(topology.pid()).unwrap(), Counted::at(&topology.ready.metrics).await);

    let (done, is_done) = watch::channel(false);
    let begin = Instant::now();
    let flood = async {
        flood(&mut ada_session, &bob).await;
        let flooded = begin.elapsed();
        until_closed(&topology.ready.metrics, &counted, "write_deadline", 3 * WRITE_DEADLINE).await;
        done.send_replace(true);
        flooded
    };
    let (flooded, slowest) = tokio::join!(flood, talk_until(&mut bystanders, is_done));
    println!("all said after {flooded:?}, closed after {:?}; the others waited {slowest:?} at most", begin.elapsed());
    assert!(slowest.heard < Duration::from_secs(5), "{slowest:?}");
    assert!(topology.log().contains("did not read within the write deadline"), "{}", topology.log());
    let growth = Usage::of(topology.pid()).unwrap().memory_bytes.saturating_sub(memory.memory_bytes);
    println!("{} KiB more in memory", growth / 1024);
    assert!(growth < 64 * 1024 * 1024, "{growth} bytes for one who does not read");

    // What is still in its kernel it has seen; then it goes on behind that.
    let mut seen = None;
    while let Some(frame) = lazy.recv_or_cut().await {
        see(&frame, &mut seen);
    }
    let last = seen.unwrap();
    assert!(last.number < TEXTS, "all were delivered, so nothing is shown here: {last:?}");
    let mut again = RawClient::log_in_at(&chats[1].tcp, &bob, &["coalesced", "sync"]).await.0;
    let cursor = json!({ "thread_id": last.thread, "seq": last.number, "fingerprint": last.fingerprint });
    let synced = again.ask(3003, &json!({ "cursors": [cursor] })).await;
    assert_eq!(synced, json!({ "error": 0 }), "the cursor is good");
    let resumed = Instant::now();
    while seen.unwrap().number < TEXTS + 1 {
        see(&again.recv().await.unwrap(), &mut seen);
    }
    println!("{} texts after {:?} by cursor", TEXTS + 1 - last.number, resumed.elapsed());
    again.assert_alive().await;
    topology.assert_no_panic();
}

#[tokio::test]
async fn s1_an_application_that_takes_nothing_for_a_while_is_given_everything_once() {
    let topology = Topology::start(&["--chats", "1"]).await;
    let (ada, bob) = topology.sign_up_friends("ada", "bob").await;
    let mut sender = RawClient::log_in_coalesced(&ada).await;
    let gate = Gate::new(&topology.ready.gate).unwrap();
    let (email, password) = (&*bob.email, &*bob.password);
    let starting = Messenger::start(gate, email, password, MessengerConfig::default(), Cursors::default());
    let (messenger, mut inbox) = in_time("a first login", starting).await.unwrap();
    let counted = Counted::at(&topology.ready.metrics).await;
    flood(&mut sender, &bob).await;
    // The SDK reads no further than its application, so the server cannot write.
    until_closed(&topology.ready.metrics, &counted, "write_deadline", 3 * WRITE_DEADLINE).await;

    let (mut last, mut connections) = (None, 0);
    while last != Some(TEXTS + 1) {
        match in_time("what comes next", inbox.next()).await.unwrap() {
            Incoming::Text(text) => {
                assert!(last.is_none_or(|last| text.seq == last + 1), "{} after {last:?}", text.seq);
                last = Some(text.seq);
            }
            Incoming::Connected { .. } => connections += 1,
            Incoming::Disconnected { reason } => println!("at {last:?}: {reason}"),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(connections, 2, "the first, and one after it was cut off");
    in_time("a good-bye", messenger.close()).await;
    topology.assert_no_panic();
}

/// Sends all texts, a window at a time; each must be acknowledged, in order.
async fn flood(sender: &mut RawClient, to: &User) {
    let content = "x".repeat(2_048);
    for start in (2..TEXTS + 2).step_by(usize::try_from(WINDOW).unwrap()) {
        let window = start..(start + WINDOW).min(TEXTS + 2);
        let frame = |number: i64| {
            let id = format!("c{number}");
            Frame::bytes(1017, texts(to.uid, &[(&id, &content)]).to_string().as_bytes())
        };
        let frames: Vec<u8> = window.clone().flat_map(frame).collect();
        sender.send_bytes(&frames).await;
        for number in window {
            assert_eq!(numbers_of(&sender.skip_to(1018).await), [number]);
        }
    }
}

/// Both text each other, ten times a second; the longest waits.
async fn talk_until(pair: &mut Pair, mut done: watch::Receiver<bool>) -> Told {
    let mut slowest = Told { acknowledged: Duration::ZERO, heard: Duration::ZERO };
    let mut ticks = interval(Duration::from_millis(100));
    while !*done.borrow_and_update() {
        ticks.tick().await;
        let told = pair.tell_each_other(1).await;
        slowest.acknowledged = slowest.acknowledged.max(told.acknowledged);
        slowest.heard = slowest.heard.max(told.heard);
    }
    slowest
}

/// Takes the texts of a frame, each with the number that follows.
fn see(frame: &Frame, seen: &mut Option<Seen>) {
    assert_eq!(frame.id, 1019, "{frame:?}");
    let from = UserId(i32::try_from(frame.body["fromuid"].as_i64().unwrap()).unwrap());
    for row in rows_of(&frame.body) {
        let (number, key) = (row["seq"].as_i64().unwrap(), MessageKey(row["message_id"].as_i64().unwrap()));
        // The first number is that of the line that they are friends.
        assert!(seen.is_none_or(|seen| number == seen.number + 1), "{number} after {seen:?}");
        let fingerprint = Fingerprint::of(key, from, row["content"].as_str().unwrap());
        *seen = Some(Seen { thread: frame.body["thread_id"].as_i64().unwrap(), number, fingerprint });
    }
}
