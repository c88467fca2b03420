//! A call is made again exactly when that can do no harm, within its time, and over a connection that is in order.

use std::{cell::Cell, fmt, time::Duration};

use tokio::time::{Instant, sleep};
use uschat_pool::{CallError, CallFailure, PoolError, Repeat, Retry};

use crate::fake::{Fake, Peer, settle, shared_sized, sized};

const SECOND: Duration = Duration::from_secs(1);

#[derive(Debug, Clone, Copy, PartialEq)]
struct Failed {
    repeat: Repeat,
    lost: bool,
}

impl CallFailure for Failed {
    fn repeat(&self) -> Repeat {
        self.repeat
    }

    fn is_connection_lost(&self) -> bool {
        self.lost
    }
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("failed as the test wants")
    }
}

impl std::error::Error for Failed {}

/// Fails twice, then says over which connection it succeeded.
struct Twice {
    failed: Failed,
    made: Cell<usize>,
}

impl Twice {
    fn failing(repeat: Repeat, lost: bool) -> Self {
        Self { failed: Failed { repeat, lost }, made: Cell::new(0) }
    }

    fn make(&self, number: usize) -> Result<usize, Failed> {
        self.made.set(self.made.get() + 1);
        if self.made.get() > 2 { Ok(number) } else { Err(self.failed) }
    }
}

#[tokio::test(start_paused = true)]
async fn what_did_not_happen_is_repeated() {
    let pool = Fake::new().pool(sized(1));
    let twice = Twice::failing(Repeat::Safe, false);
    let number = pool.call(Retry::within(SECOND), async |loan| twice.make(loan.number)).await.unwrap();
    assert_eq!((number, twice.made.get()), (1, 3), "over the connection that is in order");
}

#[tokio::test(start_paused = true)]
async fn what_may_have_happened_is_repeated_only_if_that_is_said_to_be_safe() {
    let pool = Fake::new().pool(sized(1));
    let twice = Twice::failing(Repeat::IfIdempotent, false);
    let error = pool.call(Retry::within(SECOND), async |loan| twice.make(loan.number)).await.unwrap_err();
    assert!(matches!(error, CallError::Call(failed) if failed == twice.failed));
    assert_eq!(twice.made.get(), 1);

    let retry = Retry::within(SECOND).idempotent();
    assert_eq!(pool.call(retry, async |loan| twice.make(loan.number)).await.unwrap(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_would_fail_again_is_not_repeated() {
    let shared = Fake::new().shared(shared_sized(1));
    let twice = Twice::failing(Repeat::Never, false);
    let retry = Retry::within(SECOND).idempotent();
    assert!(shared.call(retry, async |connection| twice.make(connection.number)).await.is_err());
    assert_eq!(twice.made.get(), 1);
}

#[tokio::test(start_paused = true)]
async fn without_time_there_is_one_attempt() {
    let pool = Fake::new().pool(sized(1));
    let twice = Twice::failing(Repeat::Safe, false);
    let error = pool.call(Retry::within(Duration::ZERO), async |loan| twice.make(loan.number)).await.unwrap_err();
    assert!(matches!(error, CallError::Call(_)));
    assert_eq!(twice.made.get(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_lost_connection_is_not_used_again() {
    let fake = Fake::new();
    let retry = Retry::within(SECOND);
    let pool = fake.pool(sized(1));
    let twice = Twice::failing(Repeat::Safe, true);
    assert_eq!(pool.call(retry, async |loan| twice.make(loan.number)).await.unwrap(), 3);
    assert_eq!(fake.open(), 1);

    let fake = Fake::new();
    let shared = fake.shared(shared_sized(1));
    let twice = Twice::failing(Repeat::Safe, true);
    let number = shared.call(retry, async |connection| twice.make(connection.number)).await.unwrap();
    assert_eq!((number, fake.open()), (3, 1));
}

#[tokio::test(start_paused = true)]
async fn a_call_outlasts_an_absence_of_the_peer() {
    let fake = Fake::new();
    fake.on_connect(Peer::Refuses);
    let (pool, shared) = (fake.pool(sized(1)), fake.shared(shared_sized(1)));
    let retry = Retry::within(10 * SECOND);
    let back = async {
        sleep(3 * SECOND).await;
        fake.on_connect(Peer::Answers);
        Instant::now()
    };
    let by_pool = async {
        pool.call(retry, async |_| Ok::<_, Failed>(())).await.unwrap();
        Instant::now()
    };
    let by_shared = async {
        shared.call(retry, async |_| Ok::<_, Failed>(())).await.unwrap();
        Instant::now()
    };
    let (back, by_pool, by_shared) = tokio::join!(back, by_pool, by_shared);
    assert!(by_pool - back <= SECOND && by_shared - back <= SECOND, "{:?} {:?}", by_pool - back, by_shared - back);
}

#[tokio::test(start_paused = true)]
async fn a_call_fails_within_its_time() {
    let fake = Fake::new();
    fake.on_connect(Peer::Refuses);
    let pool = fake.pool(sized(1));
    let start = Instant::now();
    let error = pool.call(Retry::within(SECOND), async |_| Ok::<_, Failed>(())).await.unwrap_err();
    assert!(matches!(error, CallError::Pool(PoolError::Connect(_) | PoolError::BackingOff { .. })), "{error:?}");
    assert!(start.elapsed() <= SECOND);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_does_not_end_is_cut_off_with_its_connection() {
    let fake = Fake::new();
    let pool = fake.pool(sized(1));
    let hangs = async |_| std::future::pending::<Result<(), Failed>>().await;
    let error = pool.call(Retry::within(SECOND).idempotent(), hangs).await.unwrap_err();
    assert!(matches!(error, CallError::Deadline { within } if within == SECOND));
    assert_eq!((fake.open(), pool.snapshot().size), (0, 0));
}

#[tokio::test]
async fn a_cancelled_call_drops_its_connection() {
    let fake = Fake::new();
    let pool = fake.pool(sized(1));
    let calling = tokio::spawn({
        let pool = pool.clone();
        async move { pool.call(Retry::within(SECOND), async |_| std::future::pending::<Result<(), Failed>>().await).await }
    });
    settle().await;
    assert_eq!(pool.snapshot().in_use, 1);
    calling.abort();
    assert!(calling.await.unwrap_err().is_cancelled());
    assert_eq!((fake.open(), pool.snapshot().size), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_permanent_failure_to_connect_is_told_at_once() {
    let fake = Fake::new();
    fake.on_connect(Peer::Denies);
    let start = Instant::now();
    for error in [
        fake.pool(sized(1)).call(Retry::within(SECOND), async |_| Ok::<_, Failed>(())).await.unwrap_err(),
        fake.shared(shared_sized(1)).call(Retry::within(SECOND), async |_| Ok::<_, Failed>(())).await.unwrap_err(),
    ] {
        assert!(matches!(error, CallError::Pool(PoolError::Connect(_))), "{error:?}");
    }
    assert_eq!((fake.connects(), start.elapsed()), (2, Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn a_closed_pool_is_not_asked_again() {
    let fake = Fake::new();
    let pool = fake.pool(sized(1));
    pool.close();
    let error = pool.call(Retry::within(SECOND), async |_| Ok::<_, Failed>(())).await.unwrap_err();
    assert!(matches!(error, CallError::Pool(PoolError::Closed)));
}
