//! Waits are recorded in batches, and none is lost: what is left of a batch is recorded with a snapshot, in time by
//! itself, and at the end of the pool.

use std::time::Duration;

use tokio::{
    task::JoinSet,
    time::{advance, sleep},
};
use uschat_pool::{Pool, PoolConfig};

use crate::{
    fake::{Fake, settle, sized},
    scrape::{Scraper, observed},
};

const WAIT: Duration = Duration::from_secs(3_600);

fn pool() -> Pool<Fake> {
    Fake::new().pool(PoolConfig { wait: WAIT, ..sized(1) })
}

/// So many callers wait for one connection, and each holds it for a second.
async fn crowd(pool: &Pool<Fake>, callers: usize) {
    let lease = pool.get().await.unwrap();
    let mut crowd = JoinSet::new();
    for _ in 0..callers {
        let pool = pool.clone();
        crowd.spawn(async move {
            let _lease = pool.get().await.unwrap();
            sleep(Duration::from_secs(1)).await;
        });
    }
    settle().await;
    drop(lease);
    crowd.join_all().await;
}

fn recorded(scraper: &Scraper) -> u64 {
    scraper.steps("wait", "ok")
}

#[test]
fn a_snapshot_shows_every_wait_and_its_time() {
    observed(async |scraper| {
        let pool = pool();
        crowd(&pool, 100).await;
        assert!((1..100).contains(&recorded(&scraper)), "some, in batches: {}", recorded(&scraper));
        let _ = pool.snapshot();
        assert_eq!(recorded(&scraper), 100);
        let seconds = scraper.value("uschat_pool_step_seconds_sum", r#"step="wait",outcome="ok""#);
        assert_eq!(seconds, Some((0..100).sum()), "the first waited for none, the last for 99 others");
    });
}

#[test]
fn nobody_need_take_a_snapshot() {
    observed(async |scraper| {
        let pool = pool();
        crowd(&pool, 7).await;
        assert_eq!(recorded(&scraper), 0);
        advance(WAIT).await;
        settle().await;
        assert_eq!(recorded(&scraper), 7);
    });
}

#[test]
fn the_end_of_the_pool_records_the_rest() {
    observed(async |scraper| {
        let pool = pool();
        crowd(&pool, 7).await;
        assert_eq!(recorded(&scraper), 0);
        drop(pool);
        assert_eq!(recorded(&scraper), 7);
    });
}

#[test]
fn callers_that_gave_up_do_not_count() {
    observed(async |scraper| {
        let pool = pool();
        let lease = pool.get().await.unwrap();
        let gave_up = tokio::spawn({
            let pool = pool.clone();
            async move { pool.get().await.map(drop) }
        });
        settle().await;
        gave_up.abort();
        settle().await;
        drop(lease);
        let _ = pool.snapshot();
        assert_eq!(scraper.outcomes("wait"), [0, 0, 0]);
    });
}
