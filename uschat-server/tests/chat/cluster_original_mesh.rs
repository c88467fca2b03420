//! The bus to original servers: an order kept, a queue with an end, losses counted by reason, a stop that does not wait for ever.
//!
//! Everything of a test runs on one thread, so that it sees its own metrics only.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use metrics::{
    Counter, CounterFn, Gauge, Histogram, Key, KeyName, LocalRecorderGuard, Metadata, Recorder, SharedString, Unit,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
};
use uschat_proto::chat::{MessageKey, Profile, ThreadId, UserId};
use uschat_server::{
    cluster::{BusError, LinkConfig, OriginalDialect, OriginalMesh, Outages, Peer, PeerBus, PeerEvent},
    store::StoredText,
};

use crate::original_server::{Behaviour, OriginalServer};

const ADA: UserId = UserId(1001);
const BEN: UserId = UserId(1002);

/// Counters by name and labels.
#[derive(Default)]
struct Counters(Mutex<HashMap<String, Arc<Count>>>);

#[derive(Default)]
struct Count(AtomicU64);

impl CounterFn for Count {
    fn increment(&self, by: u64) {
        self.0.fetch_add(by, Ordering::SeqCst);
    }

    fn absolute(&self, to: u64) {
        self.0.store(to, Ordering::SeqCst);
    }
}

impl Counters {
    /// For this thread, until the guard is dropped.
    fn install() -> (&'static Self, LocalRecorderGuard<'static>) {
        let counters: &Self = Box::leak(Box::default());
        (counters, metrics::set_default_local_recorder(counters))
    }

    /// Events lost for this reason.
    fn lost(&self, reason: &str) -> u64 {
        let counter = self.0.lock().unwrap().get(&format!("uschat_peer_events_lost_total reason={reason}")).cloned();
        counter.map_or(0, |count| count.0.load(Ordering::SeqCst))
    }

    async fn until_lost(&self, reason: &str, events: u64) {
        let lost = async {
            while self.lost(reason) < events {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), lost).await.expect("the loss should be counted");
        assert_eq!(self.lost(reason), events);
    }
}

impl Recorder for Counters {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        let labels = key.labels().map(|label| format!(" {}={}", label.key(), label.value()));
        let name = key.name().to_owned() + &labels.collect::<String>();
        Counter::from_arc(self.0.lock().unwrap().entry(name).or_default().clone())
    }

    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::noop()
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::noop()
    }
}

struct Link {
    original: OriginalServer,
    address: String,
    mesh: OriginalMesh,
}

impl Link {
    async fn new(config: LinkConfig) -> Self {
        let original = OriginalServer::start().await;
        let mesh = OriginalMesh::new(OriginalDialect::FirstSeason, config, Arc::new(Outages::default()));
        Self { address: original.address.to_string(), original, mesh }
    }

    fn say(&self, content: &str) -> Result<(), BusError> {
        self.send(PeerEvent::Texts { sender: ADA, thread: ThreadId(7), texts: vec![text(content)] })
    }

    fn send(&self, event: PeerEvent) -> Result<(), BusError> {
        self.mesh.send(Peer { name: "theirs", address: &self.address }, BEN, event)
    }

    /// The contents of the next call.
    async fn heard(&mut self) -> Vec<String> {
        let request = self.original.expect("NotifyTextChatMsg").await;
        request.messages(3).iter().map(|text| text.text(2)).collect()
    }

    /// How many texts the next call has; 0 if none comes.
    async fn heard_within(&mut self, time: Duration) -> u64 {
        let call = self.original.next_within(time).await;
        call.map_or(0, |call| call.request.messages(3).len() as u64)
    }
}

fn text(content: &str) -> StoredText {
    StoredText {
        key: MessageKey(1),
        thread: ThreadId(7),
        seq: 1,
        sender: ADA,
        client_id: Some(content.into()),
        content: content.into(),
        sent_at: 0,
    }
}

fn approved() -> PeerEvent {
    PeerEvent::FriendApproved { approver: Profile { uid: ADA, ..Profile::default() }, texts: vec![text("hello")] }
}

#[tokio::test]
async fn a_full_queue_refuses_and_what_waited_arrives_in_order() {
    let mut link = Link::new(LinkConfig { queue: 4, ..LinkConfig::default() }).await;
    link.original.behave(Behaviour::Hangs);
    link.say("1").unwrap();
    assert_eq!(link.heard().await, ["1"]);
    // That one is under way; these wait behind it.
    link.say("2").unwrap();
    link.say("3").unwrap();
    link.send(approved()).unwrap();
    link.say("4").unwrap();
    assert_eq!(link.say("5"), Err(BusError::Full));
    assert_eq!(link.send(PeerEvent::Kick { fence: 1 }), Err(BusError::NotSpoken), "a kick never waits");

    link.original.behave(Behaviour::Answers(0));
    assert_eq!(link.heard().await, ["2", "3"], "texts that wait behind each other go along");
    assert_eq!(link.original.expect("NotifyAuthFriend").await.int(1), ADA.0);
    assert_eq!(link.heard().await, ["4"]);
    link.mesh.stop().await;
    assert_eq!(link.say("6"), Err(BusError::Stopped));
}

#[tokio::test]
async fn an_answer_with_an_error_is_a_loss() {
    let (counters, _guard) = Counters::install();
    let mut link = Link::new(LinkConfig::default()).await;
    link.original.behave(Behaviour::Answers(1));
    for content in ["1", "2"] {
        link.say(content).unwrap();
        assert_eq!(link.heard().await, [content], "nothing is said twice");
    }
    counters.until_lost("refused", 2).await;
    link.original.behave(Behaviour::Answers(0));
    link.say("3").unwrap();
    assert_eq!(link.heard().await, ["3"]);
    link.mesh.stop().await;
    assert_eq!((counters.lost("refused"), counters.lost("no_answer"), counters.lost("unreachable")), (2, 0, 0));
}

#[tokio::test]
async fn silence_ends_with_the_deadline_and_is_a_loss() {
    let (counters, _guard) = Counters::install();
    let mut link = Link::new(LinkConfig { deadline: Duration::from_millis(100), ..LinkConfig::default() }).await;
    link.original.behave(Behaviour::Hangs);
    link.say("1").unwrap();
    assert_eq!(link.heard().await, ["1"]);
    counters.until_lost("no_answer", 1).await;
    // The connection is given up, and another one brings the next event.
    link.original.behave(Behaviour::Answers(0));
    link.say("2").unwrap();
    assert_eq!(link.heard().await, ["2"]);
    link.mesh.stop().await;
    assert_eq!(counters.lost("no_answer"), 1);
}

#[tokio::test]
async fn a_frozen_original_is_asked_for_a_sign_of_life_before_the_next_call() {
    let (counters, _guard) = Counters::install();
    let mut link = Link::new(LinkConfig { deadline: Duration::from_millis(300), ..LinkConfig::default() }).await;
    let frozen = watch::Sender::new(false);
    link.address = freezable(link.original.address, frozen.subscribe()).await.to_string();
    link.original.behave(Behaviour::Hangs);
    link.say("1").unwrap();
    assert_eq!(link.heard().await, ["1"]);

    frozen.send_replace(true);
    counters.until_lost("no_answer", 1).await;
    link.original.behave(Behaviour::Answers(0));
    for number in 1..=3 {
        link.say("in vain").unwrap();
        counters.until_lost("unreachable", number).await;
    }
    frozen.send_replace(false);
    let mut said = 0;
    while link.heard_within(Duration::from_millis(100)).await == 0 {
        assert!(said < 100, "the pause should end");
        said += 1;
        link.say("back").unwrap();
    }
    assert_eq!(counters.lost("no_answer"), 1, "one call took the deadline, no more");
    link.mesh.stop().await;
}

/// Passes connections on to a server until they freeze; they end when it thaws. New ones that come meanwhile freeze at once.
async fn freezable(server: SocketAddr, frozen: watch::Receiver<bool>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let mut connections = JoinSet::new();
        loop {
            let (mut near, _) = listener.accept().await.unwrap();
            let mut frozen = frozen.clone();
            connections.spawn(async move {
                let mut far = TcpStream::connect(server).await.unwrap();
                tokio::select! {
                    biased;
                    _ = frozen.wait_for(|frozen| *frozen) => {}
                    _ = tokio::io::copy_bidirectional(&mut near, &mut far) => return,
                }
                let _ = frozen.wait_for(|frozen| !frozen).await;
            });
        }
    });
    address
}

#[tokio::test]
async fn a_dead_original_is_no_success_and_is_found_again() {
    let (counters, _guard) = Counters::install();
    let mut link = Link::new(LinkConfig::default()).await;
    link.original.behave(Behaviour::Hangs);
    link.say("cut off").unwrap();
    assert_eq!(link.heard().await, ["cut off"]);
    link.original.die().await;
    counters.until_lost("no_answer", 1).await;
    link.say("refused").unwrap();
    counters.until_lost("unreachable", 1).await;

    link.original.behave(Behaviour::Answers(0));
    link.original.come_back().await;
    let (mut said, mut heard) = (0, 0);
    while heard == 0 {
        assert!(said < 100, "the pause should end");
        said += 1;
        link.say("back").unwrap();
        heard += link.heard_within(Duration::from_millis(100)).await;
    }
    link.mesh.stop().await;
    while let more @ 1.. = link.heard_within(Duration::ZERO).await {
        heard += more;
    }
    assert_eq!(counters.lost("unreachable") - 1 + heard, said, "every event was heard or counted");
}

#[tokio::test]
async fn a_stop_waits_no_longer_than_the_deadline_of_a_call() {
    let (counters, _guard) = Counters::install();
    let deadline = Duration::from_secs(1);
    let mut link = Link::new(LinkConfig { deadline, ..LinkConfig::default() }).await;
    link.original.behave(Behaviour::Hangs);
    link.say("1").unwrap();
    link.heard().await;
    // Each would take a call, and each call the deadline.
    for _ in 0..10 {
        link.send(approved()).unwrap();
    }
    let begun = Instant::now();
    link.mesh.stop().await;
    assert!(begun.elapsed() < 5 * deadline, "{:?}", begun.elapsed());
    let lost = ["no_answer", "unreachable", "stopping"].map(|reason| counters.lost(reason));
    assert_eq!(lost.iter().sum::<u64>(), 11, "{lost:?}");
}
