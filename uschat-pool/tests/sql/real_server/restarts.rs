//! A server that is killed and started again under load: who repeats what is safe to repeat sees no error, and is served
//! again soon after the server is back. `USCHAT_KILLS` says how often (default 3), `USCHAT_AWAY_MS` how much longer than a
//! restart takes it stays away (default 0).

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use sqlx::Row;
use tokio::task::JoinSet;
use uschat_pool::{PoolConfig, Retry};

use crate::{
    mariadb::MariaDb,
    support::{Connections, PATIENCE, client, new_database_on, number, pool},
};

const READERS: usize = 24;
const WRITERS: usize = 8;
/// How long after its return the first call may take to succeed, on a machine that does other things as well.
const SOON: Duration = Duration::from_secs(5);

/// What the callers have seen.
#[derive(Default)]
struct Seen {
    ends: AtomicBool,
    calls: AtomicUsize,
    killed: Mutex<Option<Instant>>,
    /// The first success of each caller since the server was killed.
    successes: Mutex<Vec<(usize, Instant)>>,
}

impl Seen {
    fn kill(&self) {
        self.successes.lock().unwrap().clear();
        *self.killed.lock().unwrap() = Some(Instant::now());
    }

    fn success(&self, caller: usize, began: Instant) {
        self.calls.fetch_add(1, SeqCst);
        let mut successes = self.successes.lock().unwrap();
        if self.killed.lock().unwrap().is_some_and(|killed| began > killed)
            && !successes.iter().any(|&(other, _)| other == caller)
        {
            successes.push((caller, Instant::now()));
        }
    }

    /// Waits until everybody was served again. Returns the first and the last time.
    async fn all(&self) -> (Instant, Instant) {
        loop {
            let successes = self.successes.lock().unwrap().clone();
            if successes.len() == READERS + WRITERS {
                return (successes[0].1, successes[successes.len() - 1].1);
            }
            tokio::task::yield_now().await;
        }
    }
}

/// Looks up or writes, and again, until it is told to end. Returns the writes that were acknowledged.
async fn use_pool(pool: Connections, seen: Arc<Seen>, caller: usize) -> i64 {
    let retry = Retry::within(PATIENCE).idempotent();
    let mut acknowledged = 0;
    while !seen.ends.load(SeqCst) {
        let mut began = Instant::now();
        let outcome = pool
            .call(retry, |mut loan| {
                began = Instant::now();
                async move {
                    if caller < READERS {
                        let row = sqlx::query("SELECT ?").bind(7_i64).fetch_one(&mut *loan).await?;
                        return row.try_get::<i64, _>(0);
                    }
                    let again = "INSERT INTO word VALUES (?, 'kept') ON DUPLICATE KEY UPDATE text = 'kept'";
                    let id = i64::try_from(caller).unwrap_or_default() * 10_000_000 + acknowledged;
                    sqlx::query(again).bind(id).execute(&mut *loan).await.map(|_| 7)
                }
            })
            .await;
        assert_eq!(outcome.unwrap(), 7);
        seen.success(caller, began);
        if caller >= READERS {
            acknowledged += 1;
        }
    }
    acknowledged
}

async fn kills(config: PoolConfig) {
    let rounds = setting("USCHAT_KILLS", 3);
    let away = Duration::from_millis(setting("USCHAT_AWAY_MS", 0));
    let mut server = MariaDb::start(&[]).await;
    let url = new_database_on(&server).await;
    let pool = pool(&url, config);
    let seen = Arc::new(Seen::default());
    let mut callers = JoinSet::new();
    for caller in 0..READERS + WRITERS {
        callers.spawn(use_pool(pool.clone(), Arc::clone(&seen), caller));
    }
    seen.kill();
    seen.all().await;
    let (mut firsts, mut lasts) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        tokio::task::block_in_place(|| server.kill9());
        seen.kill();
        tokio::time::sleep(away).await;
        server = server.restart().await;
        let back = Instant::now();
        let (first, last) = tokio::time::timeout(PATIENCE, seen.all()).await.unwrap();
        firsts.push(first.saturating_duration_since(back));
        lasts.push(last.saturating_duration_since(back));
    }
    seen.ends.store(true, SeqCst);
    let mut acknowledged = 0;
    while let Some(ended) = callers.join_next().await {
        acknowledged += ended.unwrap();
    }
    let stored = number(&mut client(&url).await, "SELECT COUNT(*) FROM word WHERE text = 'kept'").await;
    assert_eq!(stored, acknowledged, "what was acknowledged is there, once");
    firsts.sort();
    lasts.sort();
    println!("{rounds} kills, {} calls without an error, {stored} writes", seen.calls.load(SeqCst));
    println!("| after the server's return | p50 | p99 | max |\n|---|---|---|---|");
    for (what, times) in [("first success", &firsts), ("everybody served", &lasts)] {
        let at = |percent: usize| times[(times.len() * percent).div_ceil(100) - 1];
        println!("| {what} | {:?} | {:?} | {:?} |", at(50), at(99), at(100));
    }
    assert!(firsts.iter().all(|&first| first < SOON), "{firsts:?}");
}

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |value| value.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_repeats_sees_no_error() {
    kills(PoolConfig::default()).await;
}
