use std::{
    cell::RefCell,
    rc::Rc,
    time::{Duration, Instant},
};

use tokio::task::{JoinSet, LocalSet};
use uschat_pool::{CallError, PoolConfig, PoolError, Retry, SharedConfig};

use crate::{
    redis_server::RedisServer,
    support::{PATIENT, call_by_pool, call_by_shared, command, eventually, patient, pool, pool_of, run, shared},
};

const WAITERS: usize = 1_000;

#[tokio::test]
async fn a_thousand_on_four_connections() {
    let server = RedisServer::start().await;
    let pool = pool_of(&server.url(), 4);
    let mut held = Vec::new();
    for _ in 0..4 {
        held.push(pool.get().await.unwrap());
    }
    let order = Rc::new(RefCell::new(Vec::new()));
    let waiters = LocalSet::new();
    for number in 0..WAITERS {
        let (pool, order) = (pool.clone(), Rc::clone(&order));
        waiters.spawn_local(async move {
            let mut lease = pool.get().await.unwrap();
            order.borrow_mut().push(number);
            run::<()>(&mut lease, "WATCH k").await.unwrap();
            run::<()>(&mut lease, "INCR served").await.unwrap();
            run::<()>(&mut lease, "UNWATCH").await.unwrap();
        });
    }
    let release = async {
        eventually("all of them wait", async || pool.snapshot().waiting == WAITERS).await;
        drop(held);
    };
    waiters.run_until(release).await;
    tokio::time::timeout(PATIENT, waiters).await.expect("all are served");
    assert_eq!(*order.borrow(), (0..WAITERS).collect::<Vec<_>>());
    let snapshot = pool.snapshot();
    assert_eq!((snapshot.size, snapshot.idle, snapshot.waiting), (4, 4, 0));
    let mut lease = pool.get().await.unwrap();
    assert_eq!(run::<usize>(&mut lease, "GET served").await.unwrap(), WAITERS);
    assert!(run::<usize>(&mut lease, "CLIENT ID").await.unwrap() < 10, "no connection was made anew");
}

#[tokio::test]
async fn a_pool_full_of_blocking_commands_refuses_in_time_and_disturbs_no_other() {
    let server = RedisServer::start().await;
    let wait = Duration::from_millis(200);
    let workers = pool(&server.url(), &patient(), PoolConfig { size: 4, wait, ..PoolConfig::default() });
    let shared = shared(&server.url(), &patient(), SharedConfig::default());
    let retry = Retry::within(PATIENT);
    let mut blocked = JoinSet::new();
    for _ in 0..4 {
        let mut lease = workers.get().await.unwrap();
        blocked.spawn(async move { run::<(String, usize)>(&mut lease, "BLPOP queue 60").await });
    }
    let start = Instant::now();
    let error = workers.get().await.unwrap_err();
    assert!(matches!(error, PoolError::Wait { .. }), "{error:?}");
    assert!(start.elapsed() >= wait && start.elapsed() < 10 * wait, "{:?}", start.elapsed());
    for job in 0..4 {
        call_by_shared(shared.clone(), retry, command(&format!("RPUSH queue {job}"))).await.unwrap();
    }
    let mut jobs = Vec::new();
    while let Some(job) = tokio::time::timeout(PATIENT, blocked.join_next()).await.expect("each gets a job") {
        jobs.push(job.unwrap().unwrap().1);
    }
    jobs.sort_unstable();
    assert_eq!(jobs, [0, 1, 2, 3]);
    call_by_pool(workers, retry, command("PING")).await.unwrap();
}

#[tokio::test]
async fn a_shutdown_turns_waiters_away_and_waits_for_leases() {
    let server = RedisServer::start().await;
    let pool = pool_of(&server.url(), 2);
    let mut working = JoinSet::new();
    for _ in 0..2 {
        let mut lease = pool.get().await.unwrap();
        working.spawn(async move { run::<Option<(String, String)>>(&mut lease, "BLPOP queue 0.3").await });
    }
    let mut waiting = JoinSet::new();
    for _ in 0..100 {
        waiting.spawn(call_by_pool(pool.clone(), Retry::within(PATIENT).idempotent(), command("PING")));
    }
    eventually("all of them wait", async || pool.snapshot().waiting == 100).await;

    let start = Instant::now();
    assert_eq!(pool.drain(PATIENT).await, 0);
    assert!(start.elapsed() < PATIENT / 2, "{:?}", start.elapsed());
    for outcome in working.join_all().await {
        assert_eq!(outcome.unwrap(), None, "its command was answered");
    }
    for outcome in waiting.join_all().await {
        let error = outcome.unwrap_err();
        assert!(matches!(error, CallError::Pool(PoolError::Closed)), "{error:?}");
    }
    let watcher = pool_of(&server.url(), 1);
    let mut watcher = watcher.get().await.unwrap();
    eventually("the server has nobody else", async || {
        let clients: String = run(&mut watcher, "CLIENT LIST").await.unwrap();
        clients.lines().count() == 1
    })
    .await;
}
