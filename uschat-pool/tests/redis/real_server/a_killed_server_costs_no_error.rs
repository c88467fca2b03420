//! The server is killed under load and comes back, again and again. The environment variable `USCHAT_KILLS` says how often,
//! 5 by default.

use std::{
    env,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::{
    sync::watch,
    task::JoinSet,
    time::{sleep, timeout},
};
use uschat_pool::{Retry, redis::redis::Cmd};

use crate::{
    redis_server::RedisServer,
    support::{Outcome, PATIENT, call_by_pool, call_by_shared, command, pool_with_defaults, shared_with_defaults},
};

/// How long it is away, one after the other.
const OUTAGES: [u64; 6] = [0, 30, 100, 300, 700, 1_500];
const USERS: usize = 8;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn and_calls_succeed_again_within_a_second() {
    let kills = env::var("USCHAT_KILLS").map_or(5, |kills| kills.parse().expect("USCHAT_KILLS is a number"));
    let mut server = RedisServer::start().await;
    let (shared, pool) = (shared_with_defaults(&server.url()), pool_with_defaults(&server.url()));
    let mut users = Users::default();
    let retry = Retry::within(PATIENT).idempotent();
    let mut loads = [
        users.load("Shared", move |command| call_by_shared(shared.clone(), retry, command)),
        users.load("Pool", move |command| call_by_pool(pool.clone(), retry, command)),
    ];
    for outage in OUTAGES.into_iter().cycle().take(kills) {
        for load in &mut loads {
            load.successes(50).await;
        }
        server.kill();
        // What was answered before has been counted then.
        sleep(Duration::from_millis(5 + outage)).await;
        let (shared, pool) = (loads[0].next_success(), loads[1].next_success());
        server.restart().await;
        let ready = Instant::now();
        for (load, success) in loads.iter_mut().zip([shared, pool]) {
            let success = success.await.unwrap();
            load.recoveries.push(success.saturating_duration_since(ready));
        }
    }
    users.end().await;
    println!("recovery after {kills} kills, from the server's readiness to the first success:");
    for mut load in loads {
        load.recoveries.sort_unstable();
        let of = |percent: usize| load.recoveries[(kills * percent).div_ceil(100) - 1];
        println!("{:6}: p50 {:?}, p99 {:?}, max {:?}", load.name, of(50), of(99), of(100));
        assert!(of(99) <= Duration::from_secs(1), "{}: {:?}", load.name, load.recoveries);
    }
}

/// Tasks that make one call after the other.
#[derive(Default)]
struct Users {
    tasks: JoinSet<()>,
    done: Arc<AtomicBool>,
}

impl Users {
    /// Calls that may be repeated: an error from one fails the test.
    fn load<F>(&mut self, name: &'static str, call: impl Fn(Cmd) -> F + Clone + Send + 'static) -> Load
    where
        F: Future<Output = Outcome> + Send,
    {
        let (count, successes) = watch::channel(0);
        for user in 0..USERS {
            let (call, count, done) = (call.clone(), count.clone(), Arc::clone(&self.done));
            self.tasks.spawn(async move {
                let commands = [command(&format!("SET key:{user} 1")), command(&format!("GET key:{user}"))];
                let mut commands = commands.iter().cycle();
                while !done.load(Ordering::Relaxed)
                    && let Some(command) = commands.next()
                {
                    call(command.clone()).await.unwrap_or_else(|error| panic!("{name}: {error:?}"));
                    count.send_modify(|count| *count += 1);
                }
            });
        }
        Load { name, successes, recoveries: Vec::new() }
    }

    async fn end(mut self) {
        self.done.store(true, Ordering::Relaxed);
        while let Some(ended) = self.tasks.join_next().await {
            ended.expect("no call fails");
        }
    }
}

struct Load {
    name: &'static str,
    successes: watch::Receiver<u64>,
    recoveries: Vec<Duration>,
}

impl Load {
    /// Waits for so many more.
    async fn successes(&mut self, more: u64) {
        let before = *self.successes.borrow();
        let waiting = self.successes.wait_for(|count| *count >= before + more);
        timeout(PATIENT, waiting).await.expect("calls succeed").expect("no call fails");
    }

    /// When the next one was.
    fn next_success(&self) -> tokio::task::JoinHandle<Instant> {
        let mut successes = self.successes.clone();
        let before = *successes.borrow();
        tokio::spawn(async move {
            let waiting = successes.wait_for(|count| *count > before);
            timeout(2 * PATIENT, waiting).await.expect("calls succeed again").expect("no call fails");
            Instant::now()
        })
    }
}
