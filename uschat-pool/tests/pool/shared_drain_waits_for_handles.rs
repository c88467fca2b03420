//! Draining a set waits for the handles in use, those of connections that were replaced included, and not for longer than
//! it may.

use std::time::Duration;

use tokio::time::{Instant, sleep};
use uschat_pool::PoolError;

use crate::fake::{Fake, grow, settle, shared_sized};

const LONG: Duration = Duration::from_secs(60);

#[tokio::test(start_paused = true)]
async fn until_the_last_one_is_dropped() {
    let fake = Fake::new();
    let shared = fake.shared(shared_sized(2));
    grow(&shared, 2).await;
    let (first, report) = (shared.handle().await.unwrap(), shared.handle().await.unwrap());
    let (same, replaced) = (shared.handle().await.unwrap(), shared.handle().await.unwrap());
    assert_eq!((report.number, replaced.number), (2, 2));
    report.broken();
    settle().await;
    let start = Instant::now();
    let users = tokio::spawn(async move {
        sleep(Duration::from_millis(50)).await;
        drop((first, same));
        sleep(Duration::from_millis(50)).await;
        drop(replaced);
    });
    assert_eq!(shared.drain(LONG).await, 0);
    assert_eq!(start.elapsed().as_millis(), 100);
    users.await.unwrap();
    assert_eq!((fake.open(), shared.snapshot().live), (0, 0));
    assert!(matches!(shared.handle().await, Err(PoolError::Closed)));
}

#[tokio::test(start_paused = true)]
async fn at_once_if_none_is_out() {
    let fake = Fake::new();
    let shared = fake.shared(shared_sized(2));
    grow(&shared, 2).await;
    let start = Instant::now();
    assert_eq!(shared.drain(LONG).await, 0);
    assert_eq!((start.elapsed(), fake.open()), (Duration::ZERO, 0));
}

#[tokio::test(start_paused = true)]
async fn no_longer_than_allowed() {
    let fake = Fake::new();
    let shared = fake.shared(shared_sized(2));
    let (kept, other) = (shared.handle().await.unwrap(), shared.handle().await.unwrap());
    let start = Instant::now();
    assert_eq!(shared.drain(Duration::from_millis(30)).await, 2);
    assert!((30..=31).contains(&start.elapsed().as_millis()), "{:?}", start.elapsed());
    drop(other);
    assert_eq!((kept.number, fake.open()), (1, 1), "it stays usable");
    drop(kept);
    assert_eq!((fake.open(), shared.drain(Duration::ZERO).await), (0, 0));
}
