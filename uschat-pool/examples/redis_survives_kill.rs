//! A program that goes on although its Redis is killed again and again, and says what it does meanwhile.
//!
//! ```text
//! cargo run -p uschat-pool --features redis --example redis_survives_kill
//! ```
//!
//! It starts a `redis-server` of its own and kills it with SIGKILL every three seconds; with `--redis URL` it uses one that you
//! kill and start yourself.

use std::{
    process::ExitCode,
    sync::{Arc, Mutex},
    time::Duration,
};

use clap::Parser;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
    task::JoinSet,
    time::{Instant, interval, sleep, timeout},
};
use uschat_pool::{
    BreakerState, CallError, Retry, Shared, SharedConfig,
    redis::{
        RedisConfig, RedisError, RedisManager,
        redis::{self, cmd},
    },
};

const WORKERS: usize = 8;
const DEADLINE: Duration = Duration::from_secs(5);

/// Writes and reads counters in Redis while Redis is killed and started again.
#[derive(Parser)]
pub(crate) struct Options {
    /// A Redis that runs already, such as redis://127.0.0.1:6379; kill and start it yourself. The keys `survivor:N` are written.
    #[arg(long, value_name = "URL")]
    redis: Option<String>,
    /// How often to kill the redis-server that this program starts.
    #[arg(long, default_value_t = 3, conflicts_with = "redis")]
    kills: usize,
    /// How long to run with --redis.
    #[arg(long, default_value_t = 60, requires = "redis")]
    seconds: u64,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Options::parse()).await {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(problem) => {
            eprintln!("redis_survives_kill: {problem}");
            ExitCode::from(2)
        }
    }
}

/// Returns how many calls failed.
pub(crate) async fn run(options: Options) -> Result<usize, String> {
    let teller = Teller(Instant::now());
    let mut own = match options.redis {
        Some(_) => None,
        None => Some(Server::start().await?),
    };
    let url = match (&own, &options.redis) {
        (Some(server), _) => server.url(),
        (None, url) => url.clone().unwrap_or_default(),
    };
    let manager = RedisManager::new(&url, &RedisConfig::default()).map_err(|error| format!("--redis: {error}"))?;
    let redis = Shared::new("survivor", manager, SharedConfig::pipelined()).map_err(|error| error.to_string())?;

    let tally = Arc::new(Mutex::new(Tally::default()));
    let mut workers = JoinSet::new();
    for number in 0..WORKERS {
        workers.spawn(work(number, redis.clone(), Arc::clone(&tally)));
    }
    let teller_of_progress = tokio::spawn(report(teller, redis.clone(), Arc::clone(&tally)));
    match &mut own {
        Some(server) => {
            teller.say(&format!("redis-server is process {} at {}", server.pid(), server.url()));
            for _ in 0..options.kills {
                sleep(Duration::from_secs(2)).await;
                teller.say(&format!("kill -9 {}", server.pid()));
                server.kill().await?;
                sleep(Duration::from_secs(1)).await;
                server.start_again().await?;
                teller.say(&format!("redis-server is process {} now", server.pid()));
                let back = Instant::now();
                redis
                    .call(Retry::within(DEADLINE).idempotent(), |mut connection| async move {
                        cmd("PING").exec_async(&mut connection).await
                    })
                    .await
                    .map_err(|error| format!("Redis is back, but not for us: {error}"))?;
                teller.say(&format!("answered {} ms after it was ready", back.elapsed().as_millis()));
            }
            sleep(Duration::from_secs(1)).await;
        }
        None => sleep(Duration::from_secs(options.seconds)).await,
    }
    workers.shutdown().await;
    teller_of_progress.abort();
    let Tally { calls, failed, longest, .. } = std::mem::take(&mut *tally.lock().expect("nobody panics with it"));
    teller.say(&format!("{calls} calls, {failed} failed; the longest took {} ms", longest.as_millis()));
    Ok(failed)
}

/// Writes a number, reads it back, and so on. Both may be done twice, so both are repeated while Redis is away.
async fn work(worker: usize, redis: Shared<RedisManager>, tally: Arc<Mutex<Tally>>) {
    let retry = Retry::within(DEADLINE).idempotent();
    let key = &format!("survivor:{worker}");
    for number in 0u64.. {
        let start = Instant::now();
        let outcome = redis
            .call(retry, |mut connection| async move {
                cmd("SET").arg(key).arg(number).exec_async(&mut connection).await?;
                cmd("GET").arg(key).query_async::<u64>(&mut connection).await
            })
            .await;
        tally.lock().expect("nobody panics with it").add(start.elapsed(), number, outcome);
        sleep(Duration::from_millis(1)).await;
    }
}

type Outcome = Result<u64, CallError<RedisError, redis::RedisError>>;

#[derive(Default)]
struct Tally {
    calls: usize,
    failed: usize,
    longest: Duration,
    last_failure: Option<String>,
}

impl Tally {
    fn add(&mut self, took: Duration, written: u64, outcome: Outcome) {
        self.calls += 1;
        self.longest = self.longest.max(took);
        let failure = match outcome {
            Ok(read) if read == written => return,
            Ok(read) => format!("wrote {written} and read {read}"),
            Err(error) => error.to_string(),
        };
        self.failed += 1;
        self.last_failure = Some(failure);
    }
}

/// Says every half second how it goes.
async fn report(teller: Teller, redis: Shared<RedisManager>, tally: Arc<Mutex<Tally>>) {
    let mut ticks = interval(Duration::from_millis(500));
    loop {
        ticks.tick().await;
        let state = match redis.snapshot().breaker {
            BreakerState::Closed => "connected".to_owned(),
            BreakerState::Open { retry_in, .. } => {
                format!("Redis is away, calls wait, next attempt in {} ms", retry_in.as_millis())
            }
            _ => "asking whether Redis is back".to_owned(),
        };
        let tally = tally.lock().expect("nobody panics with it");
        let failure = tally.last_failure.as_ref().map(|failure| format!(", the last one: {failure}"));
        teller.say(&format!("{} calls, {} failed{}; {state}", tally.calls, tally.failed, failure.unwrap_or_default(),));
    }
}

#[derive(Clone, Copy)]
struct Teller(Instant);

impl Teller {
    fn say(self, what: &str) {
        println!("{:>6.2} s  {what}", self.0.elapsed().as_secs_f64());
    }
}

/// A redis-server of our own, which keeps what it acknowledged. Ends with this value.
struct Server {
    child: Child,
    port: u16,
    folder: tempfile::TempDir,
}

impl Server {
    async fn start() -> Result<Self, String> {
        let folder = tempfile::tempdir().map_err(|error| format!("a temporary folder cannot be made: {error}"))?;
        let listener = std::net::TcpListener::bind("127.0.0.1:0").map_err(|error| format!("no free port: {error}"))?;
        let port = listener.local_addr().map_err(|error| error.to_string())?.port();
        drop(listener);
        Ok(Self { child: launch(port, folder.path()).await?, port, folder })
    }

    async fn start_again(&mut self) -> Result<(), String> {
        self.child = launch(self.port, self.folder.path()).await?;
        Ok(())
    }

    async fn kill(&mut self) -> Result<(), String> {
        self.child.kill().await.map_err(|error| format!("redis-server cannot be killed: {error}"))
    }

    fn pid(&self) -> u32 {
        self.child.id().unwrap_or_default()
    }

    fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }
}

async fn launch(port: u16, folder: &std::path::Path) -> Result<Child, String> {
    let mut child = Command::new("redis-server")
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--appendonly", "yes", "--appendfsync", "always"])
        .arg("--dir")
        .arg(folder)
        .stdout(std::process::Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| {
            format!("redis-server cannot be started: {error}; install it, or name one that runs with --redis")
        })?;
    let mut lines = BufReader::new(child.stdout.take().ok_or("redis-server says nothing")?).lines();
    let ready = async {
        while let Ok(Some(line)) = lines.next_line().await {
            if line.contains("Ready to accept connections") {
                return true;
            }
        }
        false
    };
    if !timeout(Duration::from_secs(30), ready).await.unwrap_or(false) {
        return Err(format!("redis-server did not become ready on port {port}"));
    }
    // Somebody must read on, or it would wait for that one day.
    tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
    Ok(child)
}
