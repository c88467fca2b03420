//! T1 of the battery: the wall clock of our processes jumps an hour forward, two hours back and home again. Nobody is thrown
//! out, nothing expires in a crowd, what has a lifetime still ends, and numbers, never times, say what came first.
//!
//! The clock is libfaketime's (Debian's package `libfaketime`): it is loaded into our processes, never into Redis or MariaDB,
//! and leaves the monotonic clock alone.

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use chrono::NaiveDateTime;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::{interval, sleep, sleep_until};

use crate::network::counted::Counted;
use crate::support::{Backends, RawClient, Topology, User, ids_of, numbers_of, processes, rows_of, until};

/// Seconds by which the clock of our processes is off, one after another.
const JUMPS: [i64; 3] = [3_600, -3_600, 0];
/// Leases are renewed every 2 s: what a jump does to them shows within two of these.
const RENEWALS: Duration = Duration::from_secs(5);
const LEASE: Duration = Duration::from_secs(10);
/// Of codes and tokens, where their end is waited for.
const LIFETIME: Duration = Duration::from_secs(3);
const SHORT: [&str; 4] = ["--code-lifetime", "3", "--token-lifetime", "3"];

// Those without Redis and MariaDB need libfaketime all the same, which `scripts/test.sh --no-servers` does without.
mod real_server {
    use super::*;

    #[tokio::test]
    async fn t1_one_process_with_its_state_in_memory_outlives_jumps_of_its_clock() {
        let clock = Clock::new();
        let topology = clock.topology(&[]).await;
        outlives_jumps(&clock, &topology).await;
    }

    #[tokio::test]
    async fn t1_codes_and_tokens_in_memory_end_when_the_clock_was_set_back() {
        let clock = Clock::new();
        let topology = clock.topology(&SHORT).await;
        lifetimes_end(&clock, &topology).await;
    }

    #[tokio::test]
    async fn t1_processes_on_redis_and_mariadb_outlive_jumps_of_their_clock() {
        let clock = Clock::new();
        let backends = Backends::shared().await;
        let topology = clock.topology(&backends.processes()).await;
        outlives_jumps(&clock, &topology).await;
    }

    #[tokio::test]
    async fn t1_codes_and_tokens_in_redis_end_when_the_clock_was_set_back() {
        let clock = Clock::new();
        let backends = Backends::shared().await;
        let short = [&backends.processes()[..], &SHORT].concat();
        let topology = clock.topology(&short).await;
        lifetimes_end(&clock, &topology).await;
    }

    #[tokio::test]
    async fn t1_the_leases_of_a_server_that_is_gone_end_when_the_clock_was_set_back() {
        let clock = Clock::new();
        let backends = Backends::shared().await;
        let topology = clock.topology(&[&backends.processes()[..], &["--chats", "1"]].concat()).await;
        let ada = topology.sign_up("ada").await;
        let (mut client, _) = RawClient::log_in(&ada).await;
        clock.jump(-3_600);
        // Long enough that the lease was renewed by the clock that is wrong.
        sleep(RENEWALS).await;
        client.assert_alive().await;
        let lease = presence_key(&backends, &ada).await;
        // The process comes back within a second, and knows nothing of its predecessor's sessions.
        processes::signal(topology.ready_now().chats[0].pid, "KILL").await;
        let begin = Instant::now();
        until("the lease is over", async || backends.redis::<i64>(&["EXISTS", &lease]).await == 0).await;
        println!("the lease ended {} ms after its server", begin.elapsed().as_millis());
        assert!(begin.elapsed() < 3 * LEASE);
        topology.stop().await;
    }
}

async fn outlives_jumps(clock: &Clock, topology: &Topology) {
    let (ada, bob) = topology.sign_up_friends("ada", "bob").await;
    let [first, second] = &topology.ready.chats[..] else { panic!("two") };
    let (mut one, _) = RawClient::log_in_at(&first.tcp, &ada, &["coalesced"]).await;
    let (mut other, _) = RawClient::log_in_at(&second.tcp, &bob, &["coalesced"]).await;
    let newcomers = ["cat", "dan", "eve"];
    let mut codes = Vec::new();
    for name in newcomers {
        let email = format!("{name}@example.org");
        assert_eq!(topology.post("/get_varifycode", &json!({ "email": email })).await["error"], 0);
        codes.push(topology.newest_code(&email).await);
    }
    let (mut number, start) = talk(&mut one, &mut other, &bob, 1).await;
    let before = Counted::at(&topology.ready.metrics).await;

    for ((jump, name), code) in JUMPS.into_iter().zip(newcomers).zip(codes) {
        clock.jump(jump);
        // Texts flow all the time, numbered one after another, while all leases are renewed.
        let begin = Instant::now();
        let mut ticks = interval(Duration::from_millis(50));
        let mut time = start;
        while begin.elapsed() < RENEWALS {
            ticks.tick().await;
            (number, time) = talk(&mut one, &mut other, &bob, number).await;
            one.assert_alive().await;
        }
        let jumped = (time - start).num_seconds();
        assert!((jumped - jump).abs() < 120, "the clock did not jump: {jumped} s in place of {jump} s");
        // Tokens and codes of before are good still: nothing expired in a crowd.
        one = RawClient::log_in_at(&first.tcp, &ada, &["coalesced"]).await.0;
        other = RawClient::log_in_at(&second.tcp, &bob, &["coalesced"]).await.0;
        let newcomer = topology.gate().sign_up_with_code(name, &code).await;
        RawClient::log_in(&newcomer).await.0.assert_alive().await;
        topology.sign_up(&format!("{name}2")).await;
        (number, _) = talk(&mut one, &mut other, &bob, number).await;
    }

    // The history is in the order of its numbers, though the times in it go back.
    let history = whole_history(&mut one, &ada).await;
    let numbers: Vec<_> = history.iter().map(|row| row["seq"].as_i64().unwrap()).collect();
    assert_eq!(numbers, (1..=number).collect::<Vec<_>>());
    let times: Vec<_> = history.iter().map(|row| time_of(&row["chat_time"])).collect();
    assert!(!times.is_sorted(), "the clock went back");
    let after = Counted::at(&topology.ready.metrics).await;
    let closed = after.since(&before, "uschat_sessions_closed_total", "");
    let expected = after.closed_since(&before, "peer_closed") + after.closed_since(&before, "replaced");
    assert_eq!(closed, expected, "nobody was thrown out: {after:?}");
    topology.assert_no_panic();
}

async fn lifetimes_end(clock: &Clock, topology: &Topology) {
    let ada = topology.sign_up("ada").await;
    let email = "bob@example.org";
    assert_eq!(topology.post("/get_varifycode", &json!({ "email": email })).await["error"], 0);
    let code = topology.newest_code(email).await;
    clock.jump(-3_600);
    let begin = Instant::now();
    until("the token is void", async || {
        RawClient::connect(&ada.chat_address()).await.log_in_as(&ada).await == json!({ "error": 1011 })
    })
    .await;
    assert!(begin.elapsed() < 3 * LIFETIME, "{:?}", begin.elapsed());
    // The code is younger, and must not be spent by asking whether it is good.
    sleep_until((begin + LIFETIME + Duration::from_secs(1)).into()).await;
    let registering = json!({
        "user": "bob", "email": email, "passwd": "x".repeat(8), "confirm": "x".repeat(8), "varifycode": code, "icon": "",
    });
    assert_eq!(topology.post("/user_register", &registering).await["error"], 1003, "no code waits any more");
    topology.assert_no_panic();
}

/// A text that the other hears at once, with the number behind `number`; returns it, and the text's time.
async fn talk(one: &mut RawClient, other: &mut RawClient, to: &User, number: i64) -> (i64, NaiveDateTime) {
    let id = format!("text-{}", number + 1);
    let said = one.say(to, &id, "what time is it?").await;
    assert_eq!((numbers_of(&said), ids_of(&said)), (vec![number + 1], vec![id.as_str()]));
    // One frame may bring several texts, and what was told before may be told again to a new session.
    let row = loop {
        let heard = other.skip_to(1019).await;
        if let Some(row) = rows_of(&heard).iter().find(|row| row["unique_id"] == id) {
            break row.clone();
        }
    };
    assert_eq!(row["seq"], number + 1);
    (number + 1, time_of(&row["chat_time"]))
}

fn time_of(time: &Value) -> NaiveDateTime {
    NaiveDateTime::parse_from_str(time.as_str().unwrap(), "%Y-%m-%d %H:%M:%S").unwrap()
}

/// All pages, in the order in which they come.
async fn whole_history(client: &mut RawClient, user: &User) -> Vec<Value> {
    let threads = client.ask(1025, &json!({ "uid": user.uid, "thread_id": 0 })).await;
    let (thread, mut after, mut rows) = (threads["threads"][0]["thread_id"].clone(), json!(0), Vec::new());
    loop {
        let page = client.ask(1029, &json!({ "thread_id": thread, "message_id": after })).await;
        rows.extend(page["chat_datas"].as_array().unwrap().iter().cloned());
        if page["load_more"] != true {
            return rows;
        }
        after = page["last_message_id"].clone();
    }
}

/// The lease of a user who is online.
async fn presence_key(backends: &Backends, user: &User) -> String {
    let keys = backends.redis::<Vec<String>>(&["KEYS", &format!("*lease:{}", user.uid)]).await;
    let [lease] = &keys[..] else { panic!("one lease: {keys:?}") };
    lease.clone()
}

/// A wall clock of our own.
struct Clock {
    folder: TempDir,
    library: PathBuf,
}

impl Clock {
    fn new() -> Self {
        let folders = std::fs::read_dir("/usr/lib").unwrap().flatten().map(|entry| entry.path());
        let library = folders
            .chain(["/usr/lib64".into()])
            .map(|folder| folder.join("faketime/libfaketimeMT.so.1"))
            .find(|file| file.exists());
        let library = library.expect("libfaketime is missing: Debian has it in the package libfaketime");
        let clock = Self { folder: tempfile::tempdir().unwrap(), library };
        clock.jump(0);
        clock
    }

    /// From now on, or a second later, the clock of the processes is off by so many seconds.
    fn jump(&self, seconds: i64) {
        // Whoever reads half of it would jump elsewhere.
        let new = self.folder.path().join("new");
        std::fs::write(&new, format!("{seconds:+}\n")).unwrap();
        std::fs::rename(new, self.file()).unwrap();
    }

    async fn topology(&self, arguments: &[&str]) -> Topology {
        let (library, file) = (self.library.to_str().unwrap(), self.file());
        let environment = [
            ("LD_PRELOAD", library),
            ("FAKETIME_TIMESTAMP_FILE", file.to_str().unwrap()),
            // How many seconds the file is believed.
            ("FAKETIME_CACHE_DURATION", "1"),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
        ];
        Topology::start_in(Arc::new(tempfile::tempdir().unwrap()), arguments, &environment).await
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("clock")
    }
}
