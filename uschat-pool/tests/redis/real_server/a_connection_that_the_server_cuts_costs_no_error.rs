//! `CLIENT KILL` of every connection, under load.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{task::JoinSet, time::sleep};
use uschat_pool::{Retry, redis::redis::Cmd};

use crate::{
    redis_server::RedisServer,
    support::{
        Outcome, PATIENT, call_by_pool, call_by_shared, command, pool_of, pool_with_defaults, run, shared_with_defaults,
    },
};

const USERS: usize = 16;
const CUTS: usize = 40;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_that_may_be_repeated_do_not_notice() {
    let server = RedisServer::start().await;
    let (shared, pool) = (shared_with_defaults(&server.url()), pool_with_defaults(&server.url()));
    let done = Arc::new(AtomicBool::new(false));
    let mut users = JoinSet::new();
    let retry = Retry::within(PATIENT).idempotent();
    for _ in 0..USERS {
        users.spawn(keep_calling(Arc::clone(&done), {
            let shared = shared.clone();
            move |command| call_by_shared(shared.clone(), retry, command)
        }));
        users.spawn(keep_calling(Arc::clone(&done), {
            let pool = pool.clone();
            move |command| call_by_pool(pool.clone(), retry, command)
        }));
    }
    let watcher = pool_of(&server.url(), 1);
    let mut watcher = watcher.get().await.unwrap();
    let mut cut = 0;
    for _ in 0..CUTS {
        sleep(Duration::from_millis(10)).await;
        cut += run::<usize>(&mut watcher, "CLIENT KILL TYPE normal").await.unwrap();
    }
    done.store(true, Ordering::Relaxed);
    let outcomes = users.join_all().await;
    let calls: usize = outcomes.iter().sum();
    println!("{calls} calls, {cut} connections cut");
    assert!(cut >= CUTS && calls >= cut, "{calls} calls, {cut} cut");
}

/// Ends the test with the first error.
async fn keep_calling<F: Future<Output = Outcome>>(done: Arc<AtomicBool>, call: impl Fn(Cmd) -> F) -> usize {
    let mut calls = 0;
    while !done.load(Ordering::Relaxed) {
        call(command("SET k 1")).await.unwrap();
        calls += 1;
    }
    calls
}

#[tokio::test]
async fn without_a_retry_a_cut_connection_costs_one_error_at_most() {
    let server = RedisServer::start().await;
    let shared = shared_with_defaults(&server.url());
    let pool = pool_with_defaults(&server.url());
    let watcher = pool_of(&server.url(), 1);
    let mut watcher = watcher.get().await.unwrap();
    let once = Retry::within(Duration::ZERO);
    let (mut by_shared, mut by_pool) = (Vec::new(), Vec::new());
    for _ in 0..4 {
        by_shared.push(shared.handle().await.unwrap());
        by_pool.push(pool.get().await.unwrap());
    }
    drop((by_shared, by_pool));
    let connections = run::<usize>(&mut watcher, "CLIENT KILL TYPE normal").await.unwrap();
    assert!(connections > 4 && connections <= 8, "{connections}");
    let mut failures = 0;
    for _ in 0..20 {
        failures += usize::from(call_by_shared(shared.clone(), once, command("PING")).await.is_err());
        failures += usize::from(call_by_pool(pool.clone(), once, command("PING")).await.is_err());
    }
    println!("{failures} failures after {connections} cuts");
    assert!(failures <= connections, "{failures} failures after {connections} cuts");
    call_by_shared(shared, once, command("PING")).await.unwrap();
    call_by_pool(pool, once, command("PING")).await.unwrap();
}
