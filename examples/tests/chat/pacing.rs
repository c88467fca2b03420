//! A client that has not said otherwise never finds two frames in one read (PROTOCOL.md, "Pacing").

use std::{
    io::{Read, Write},
    net::TcpStream,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::support::{self, DEADLINE, Frame, RawClient, Topology, User, ids_of, numbers_of, rows_of, texts};

const GAP: Duration = Duration::from_millis(20);

#[tokio::test]
async fn never_two_frames_in_one_read_whatever_happens_around() {
    let topology = Topology::start(&[]).await;
    let (ada, bob) = topology.sign_up_friends("ada", "bob").await;
    let cleo = topology.sign_up("cleo").await;
    topology.befriend(&cleo, &bob).await;
    let mut strangers = Vec::new();
    for name in ["dora", "emil", "fay"] {
        strangers.push(RawClient::log_in_coalesced(&topology.sign_up(name).await).await);
    }
    // The friends on different servers, so that what they say comes both ways.
    let chats = &topology.ready.chats;
    let (mut near, _) = RawClient::log_in_at(&chats[0].tcp, &ada, &["coalesced"]).await;
    let (mut far, _) = RawClient::log_in_at(&chats[1].tcp, &cleo, &["coalesced"]).await;
    let mut client = SegmentClient::log_in(&chats[0].tcp, &bob);

    let _busy = BusyCores::new();
    let begin = Instant::now();
    client.send(&burst(&ada, 50));
    near.send_bytes(&burst(&bob, 100)).await;
    far.send_bytes(&burst(&bob, 100)).await;
    for stranger in &mut strangers {
        stranger.send(1009, &json!({ "touid": bob.uid })).await;
    }

    let mut seen = Seen::default();
    while !seen.has(50, 100, strangers.len()) {
        for frame in client.segment().await.frames() {
            seen.note(frame, &ada, &cleo);
        }
    }
    // 1006 left before the clock was started; the first frame after a pause leaves at once.
    let least = GAP * u32::try_from(seen.frames - 1).unwrap();
    assert!(begin.elapsed() >= least, "{} frames in {:?}", seen.frames, begin.elapsed());
    assert!(seen.acknowledged.is_sorted(), "{:?}", seen.acknowledged);
    // One conversation with each friend: complete, ascending, and merged while they waited.
    let expected: Vec<_> = (0..100).map(|number| format!("c{number}")).collect();
    assert_eq!(seen.from_near, expected);
    assert_eq!(seen.from_far, expected);
    assert!(seen.notices < 100, "200 texts in {} frames", seen.notices);
    let mut all: Vec<i64> = seen.acknowledged.iter().chain(&seen.near_numbers).copied().collect();
    all.sort_unstable();
    assert_eq!(all, (2..=151).collect::<Vec<_>>(), "one conversation, both directions, no gap");
}

#[tokio::test]
async fn a_client_that_reads_several_frames_gets_them_together() {
    let topology = Topology::start(&["--chats", "1"]).await;
    let ada = topology.sign_up("ada").await;
    let mut client = RawClient::log_in_coalesced(&ada).await;
    client.take_read_sizes();
    let begin = Instant::now();
    client.send_bytes(&Frame::bytes(1023, b"{}").repeat(500)).await;
    for _ in 0..500 {
        client.expect(1024).await;
    }
    assert!(begin.elapsed() < GAP * 500 / 3, "{:?}", begin.elapsed());
    let reads = client.take_read_sizes().len();
    assert!(reads < 250, "{reads} reads for 500 frames");
}

#[tokio::test]
async fn an_operator_may_switch_pacing_off() {
    let topology = Topology::start(&["--chats", "1", "--pacing-gap", "0"]).await;
    let (mut client, _) = RawClient::log_in(&topology.sign_up("ada").await).await;
    let begin = Instant::now();
    client.send_bytes(&Frame::bytes(1023, b"{}").repeat(500)).await;
    for _ in 0..500 {
        client.expect(1024).await;
    }
    assert!(begin.elapsed() < GAP * 500 / 3, "{:?}", begin.elapsed());
}

/// So many texts for one user in one segment.
fn burst(to: &User, count: usize) -> Vec<u8> {
    let frame = |number| {
        let id = format!("c{number}");
        Frame::bytes(1017, texts(to.uid, &[(&id, "hello")]).to_string().as_bytes())
    };
    (0..count).flat_map(frame).collect()
}

/// What one read returned, and how long the system had kept the reading thread waiting for a core before.
struct Segment {
    bytes: Vec<u8>,
    kept_waiting: Duration,
}

impl Segment {
    /// The one frame it is; more only if the reader was kept from its core for as long as the server keeps them apart.
    #[track_caller]
    fn frames(&self) -> Vec<(u16, Value)> {
        let mut frames = Vec::new();
        let mut rest = self.bytes.as_slice();
        while !rest.is_empty() {
            let id = u16::from_be_bytes([rest[0], rest[1]]);
            let end = 4 + usize::from(u16::from_be_bytes([rest[2], rest[3]]));
            assert!(rest.len() >= end, "whole frames: {id}");
            frames.push((id, serde_json::from_slice(&rest[4..end]).unwrap()));
            rest = &rest[end..];
        }
        let gaps = GAP * u32::try_from(frames.len() - 1).unwrap();
        assert!(self.kept_waiting >= gaps * 9 / 10, "{} frames in one read: {frames:?}", frames.len());
        frames
    }
}

/// What the paced client was told.
#[derive(Default)]
struct Seen {
    frames: usize,
    notices: usize,
    applications: usize,
    acknowledged: Vec<i64>,
    near_numbers: Vec<i64>,
    from_near: Vec<String>,
    from_far: Vec<String>,
}

impl Seen {
    fn has(&self, acknowledged: usize, from_each: usize, applications: usize) -> bool {
        self.acknowledged.len() >= acknowledged
            && self.from_near.len() >= from_each
            && self.from_far.len() >= from_each
            && self.applications >= applications
    }

    fn note(&mut self, (id, body): (u16, Value), near: &User, far: &User) {
        self.frames += 1;
        match id {
            1011 => self.applications += 1,
            1018 => self.acknowledged.extend(numbers_of(&body)),
            1019 => {
                self.notices += 1;
                assert!(rows_of(&body).len() <= 64, "{body}");
                let ids = ids_of(&body).into_iter().map(str::to_owned);
                if body["fromuid"] == near.uid {
                    self.from_near.extend(ids);
                    self.near_numbers.extend(numbers_of(&body));
                } else {
                    assert_eq!(body["fromuid"], far.uid, "{body}");
                    self.from_far.extend(ids);
                }
            }
            other => panic!("{other}: {body}"),
        }
    }
}

/// A client that reads in a thread of its own and keeps reads apart: a runtime that is late would find more than was sent.
struct SegmentClient {
    stream: TcpStream,
    segments: mpsc::Receiver<Segment>,
}

impl SegmentClient {
    /// Logs in declaring nothing.
    fn log_in(address: &str, user: &User) -> Self {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        let login = json!({ "uid": user.uid, "token": user.token }).to_string();
        stream.write_all(&Frame::bytes(1005, login.as_bytes())).unwrap();
        let mut buffer = vec![0; 65_536];
        let size = stream.read(&mut buffer).unwrap();
        let login = Segment { bytes: buffer[..size].to_vec(), kept_waiting: Duration::ZERO }.frames();
        assert_eq!((login[0].0, &login[0].1["error"]), (1006, &json!(0)), "{login:?}");
        let (sender, segments) = mpsc::channel(1_024);
        let mut reading = stream.try_clone().unwrap();
        thread::spawn(move || {
            let mut waited = waited_for_a_core();
            while let Ok(size @ 1..) = reading.read(&mut buffer) {
                let now = waited_for_a_core();
                let segment = Segment { bytes: buffer[..size].to_vec(), kept_waiting: now - waited };
                waited = now;
                if sender.blocking_send(segment).is_err() {
                    break;
                }
            }
        });
        Self { stream, segments }
    }

    fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    /// What one read returned.
    async fn segment(&mut self) -> Segment {
        support::in_time("a segment", self.segments.recv()).await.expect("the connection lives")
    }
}

/// How long this thread, ready to run, has waited for a core so far; nothing where the system does not tell.
fn waited_for_a_core() -> Duration {
    let schedstat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    Duration::from_nanos(schedstat.split(' ').nth(1).map_or(0, |nanoseconds| nanoseconds.parse().unwrap()))
}

/// Keeps two cores busy until it is dropped.
struct BusyCores(Arc<AtomicBool>);

impl BusyCores {
    fn new() -> Self {
        let over = Arc::new(AtomicBool::new(false));
        for _ in 0..2 {
            let over = over.clone();
            thread::spawn(move || {
                while !over.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            });
        }
        Self(over)
    }
}

impl Drop for BusyCores {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
