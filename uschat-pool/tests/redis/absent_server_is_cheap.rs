//! While Redis is away, ten thousand callers cost no more than one connection attempt for each pause, and each of them hears
//! of it within its deadline.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::{net::TcpListener, sync::Mutex, task::JoinSet};
use uschat_pool::{
    CallError, Manager, Pool, PoolConfig, PoolError, Retry, Shared, SharedConfig,
    redis::{
        RedisConfig, RedisConnection, RedisError, RedisManager,
        redis::{self, cmd},
    },
};

const CALLERS: usize = 10_000;
const DEADLINE: Duration = Duration::from_secs(2);
/// Ten thousand tasks of a debug build on a busy machine.
const SLACK: Duration = Duration::from_secs(2);
const BACKOFF: Duration = Duration::from_millis(100);
const MAX_BACKOFF: Duration = Duration::from_millis(500);

static ONE_CROWD_AT_A_TIME: Mutex<()> = Mutex::const_new(());

/// Counts the attempts.
struct Counting {
    manager: RedisManager,
    attempts: Arc<AtomicUsize>,
}

impl Counting {
    fn new(url: &str) -> (Self, Arc<AtomicUsize>) {
        let attempts = Arc::new(AtomicUsize::new(0));
        let manager = RedisManager::new(url, &RedisConfig::default()).unwrap();
        (Self { manager, attempts: Arc::clone(&attempts) }, attempts)
    }
}

impl Manager for Counting {
    type Connection = RedisConnection;
    type Error = RedisError;

    async fn connect(&self) -> Result<RedisConnection, RedisError> {
        self.attempts.fetch_add(1, Ordering::Relaxed);
        self.manager.connect().await
    }

    async fn verify(&self, connection: &mut RedisConnection) -> Result<(), RedisError> {
        self.manager.verify(connection).await
    }

    fn is_broken(&self, connection: &RedisConnection) -> bool {
        self.manager.is_broken(connection)
    }
}

type Outcome = Result<(), CallError<RedisError, redis::RedisError>>;

fn shared(url: &str) -> (Shared<Counting>, Arc<AtomicUsize>) {
    let (manager, attempts) = Counting::new(url);
    let config = SharedConfig { backoff: BACKOFF, max_backoff: MAX_BACKOFF, ..SharedConfig::default() };
    (Shared::new("absent", manager, config).unwrap(), attempts)
}

async fn by_shared(shared: Shared<Counting>, retry: Retry) -> Outcome {
    shared.call(retry, |mut connection| async move { cmd("PING").exec_async(&mut connection).await }).await
}

fn pool(url: &str) -> (Pool<Counting>, Arc<AtomicUsize>) {
    let (manager, attempts) = Counting::new(url);
    let config = PoolConfig { backoff: BACKOFF, max_backoff: MAX_BACKOFF, ..PoolConfig::default() };
    (Pool::new("absent", manager, config).unwrap(), attempts)
}

async fn by_pool(pool: Pool<Counting>, retry: Retry) -> Outcome {
    pool.call(retry, |mut loan| async move { cmd("PING").exec_async(&mut *loan).await }).await
}

/// Nobody listens.
async fn refusing() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    format!("redis://{}", listener.local_addr().unwrap())
}

/// Somebody hangs up at once, and counts how often.
async fn hanging_up() -> (String, Arc<AtomicUsize>, JoinSet<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("redis://{}", listener.local_addr().unwrap());
    let accepted = Arc::new(AtomicUsize::new(0));
    let (count, mut task) = (Arc::clone(&accepted), JoinSet::new());
    task.spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            count.fetch_add(1, Ordering::Relaxed);
            drop(stream);
        }
    });
    (url, accepted, task)
}

/// Has everybody call until the deadline, and counts the attempts that they cost.
async fn crowd<F>(attempts: &AtomicUsize, call: impl Fn(Retry) -> F)
where
    F: Future<Output = Outcome> + Send + 'static,
{
    let _alone = ONE_CROWD_AT_A_TIME.lock().await;
    let start = Instant::now();
    let mut callers = JoinSet::new();
    for _ in 0..CALLERS {
        let call = call(Retry::within(DEADLINE).idempotent());
        callers.spawn(async move {
            let start = Instant::now();
            (call.await, start.elapsed())
        });
    }
    let mut slowest = Duration::ZERO;
    while let Some(ended) = callers.join_next().await {
        let (outcome, took) = ended.unwrap();
        let error = outcome.unwrap_err();
        let is_in_time = matches!(error, CallError::Pool(_) | CallError::Deadline { .. });
        assert!(is_in_time && !matches!(error, CallError::Pool(PoolError::Closed)), "{error:?}");
        slowest = slowest.max(took);
    }
    let (attempts, all) = (attempts.load(Ordering::Relaxed), start.elapsed());
    println!("{CALLERS} callers: {attempts} attempts in {all:?}, the slowest ended after {slowest:?}");
    assert!(slowest < DEADLINE + SLACK, "{slowest:?}");
    assert!((2..=most_attempts(all)).contains(&attempts), "{attempts} attempts in {all:?}");
}

/// One, and one after each pause, which is at least half of what it may be.
fn most_attempts(within: Duration) -> usize {
    let pauses = (0..).map(|n| (BACKOFF * 2_u32.saturating_pow(n)).min(MAX_BACKOFF) / 2);
    let ends = pauses.scan(Duration::ZERO, |end, pause| {
        *end += pause;
        Some(*end)
    });
    1 + ends.take_while(|end| *end <= within).count()
}

#[tokio::test]
async fn a_shared_connection_to_nobody() {
    let (shared, attempts) = shared(&refusing().await);
    crowd(&attempts, |retry| by_shared(shared.clone(), retry)).await;
}

#[tokio::test]
async fn a_pool_of_connections_to_nobody() {
    let (pool, attempts) = pool(&refusing().await);
    crowd(&attempts, |retry| by_pool(pool.clone(), retry)).await;
}

#[tokio::test]
async fn a_shared_connection_to_somebody_who_hangs_up() {
    let (url, accepted, _task) = hanging_up().await;
    let (shared, attempts) = shared(&url);
    crowd(&attempts, |retry| by_shared(shared.clone(), retry)).await;
    assert!(accepted.load(Ordering::Relaxed) <= attempts.load(Ordering::Relaxed));
}

#[tokio::test]
async fn a_pool_of_connections_to_somebody_who_hangs_up() {
    let (url, accepted, _task) = hanging_up().await;
    let (pool, attempts) = pool(&url);
    crowd(&attempts, |retry| by_pool(pool.clone(), retry)).await;
    assert!(accepted.load(Ordering::Relaxed) <= attempts.load(Ordering::Relaxed));
}

/// Who may not wait is told in microseconds.
#[tokio::test]
async fn a_refusal_costs_next_to_nothing() {
    let (shared, attempts) = shared(&refusing().await);
    let once = Retry::within(Duration::ZERO);
    assert!(by_shared(shared.clone(), once).await.is_err());
    let start = Instant::now();
    for _ in 0..CALLERS {
        assert!(by_shared(shared.clone(), once).await.is_err());
    }
    let took = start.elapsed();
    println!("{CALLERS} refusals in {took:?}");
    assert!(attempts.load(Ordering::Relaxed) <= most_attempts(took), "{took:?}");
    assert!(took < Duration::from_secs(2), "{took:?}");
}
