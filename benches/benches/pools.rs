//! What it costs to get a connection out of a pool, and to share one.
//!
//! `cargo bench -p uschat-benches --bench pools -- --noplot --quick`
//!
//! | group | one iteration | ids |
//! |---|---|---|
//! | `pool_uncontended` | get and return, one task | `uschat`, `deadpool`, `bb8`, `semaphore` |
//! | `pool_contended/64on8`, `…/1000on32` | get, one yield, return: that many tasks on that many connections | the same |
//! | `grpc/<concurrency>` | a call of 64 bytes, that many callers | `one_channel`, `deadpool_checkout`, `uschat_shared`, `uschat_checkout` |
//! | `redis_get/64` | GET of 64 bytes, 64 tasks | `uschat`, `connection_manager`, `deadpool_redis` |
//! | `sql_ping/64` | get and `SELECT 1` (SQLite), 64 tasks on 8 connections | `uschat`, `sqlx`, `deadpool` |
//!
//! The connections of the first two groups do nothing. Ours have their defaults, three time-outs and verification by age,
//! and a Prometheus recorder; the others have theirs. `semaphore` is tokio's with a queue, a pool that can do nothing else.
//! The gRPC server is a process of its own; lent channels are four. `redis-server` must be installed, or its group is left
//! out.
//!
//! Clients run on two threads. Criterion runs the contenders one after another, so compare them only on a quiet machine;
//! the target `ratios` lets them take turns.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a contender that fails stops the run")]

#[path = "contenders/pools/mod.rs"]
mod contenders;

use std::hint::black_box;
use std::time::Duration;

use contenders::load::{HeldOverYield, Work, so_often};
use contenders::no_op::{Bare, Bb8, Deadpool, Lend, UsChat};
use contenders::{grpc, grpc_server, recorder, redis, runtime, sql};
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput};
use tokio::runtime::{Builder, Runtime};
use tokio::task::unconstrained;

// By hand instead of `criterion_main!`, whose public items have no docs.
fn main() {
    grpc_server::serve_if_asked();
    recorder::install();
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .configure_from_args();
    let runtime = runtime();
    let _current = runtime.enter();
    uncontended_group(&mut criterion);
    contended_group(&mut criterion, &runtime, 64, 8);
    contended_group(&mut criterion, &runtime, 1_000, 32);
    for callers in [64, 512] {
        grpc_group(&mut criterion, &runtime, callers);
    }
    redis_group(&mut criterion, &runtime);
    sql_group(&mut criterion, &runtime);
    criterion.final_summary();
}

fn uncontended_group(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("pool_uncontended");
    alone(&mut group, "uschat", UsChat::new(8));
    alone(&mut group, "deadpool", Deadpool::new(8));
    alone(&mut group, "bb8", Bb8::new(8));
    alone(&mut group, "semaphore", Bare::new(8));
    group.finish();
}

fn alone(group: &mut BenchmarkGroup<'_, WallTime>, id: &str, pool: impl Lend) {
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
    group.bench_function(id, |bencher| {
        bencher.iter_custom(|iterations| {
            runtime.block_on(unconstrained(async {
                let start = std::time::Instant::now();
                for _ in 0..iterations {
                    drop(black_box(pool.get().await));
                }
                start.elapsed()
            }))
        });
    });
}

fn contended_group(criterion: &mut Criterion, runtime: &Runtime, tasks: usize, size: usize) {
    let mut group = criterion.benchmark_group(format!("pool_contended/{tasks}on{size}"));
    crowd(&mut group, "uschat", runtime, tasks, &HeldOverYield(UsChat::new(size)));
    crowd(&mut group, "deadpool", runtime, tasks, &HeldOverYield(Deadpool::new(size)));
    crowd(&mut group, "bb8", runtime, tasks, &HeldOverYield(Bb8::new(size)));
    crowd(&mut group, "semaphore", runtime, tasks, &HeldOverYield(Bare::new(size)));
    group.finish();
}

fn grpc_group(criterion: &mut Criterion, runtime: &Runtime, callers: usize) {
    const LENT: usize = 4;
    let server = grpc_server::EchoServer::start();
    let mut group = criterion.benchmark_group(format!("grpc/{callers}"));
    crowd(&mut group, "one_channel", runtime, callers, &runtime.block_on(grpc::one_channel(&server)));
    crowd(&mut group, "deadpool_checkout", runtime, callers, &grpc::deadpool_checkout(&server, LENT));
    crowd(&mut group, "uschat_shared", runtime, callers, &grpc::uschat_shared(&server));
    crowd(&mut group, "uschat_checkout", runtime, callers, &grpc::uschat_checkout(&server, LENT));
    group.finish();
}

fn redis_group(criterion: &mut Criterion, runtime: &Runtime) {
    let Some(server) = runtime.block_on(redis::start()) else {
        return;
    };
    let mut group = criterion.benchmark_group("redis_get/64");
    crowd(&mut group, "uschat", runtime, 64, &redis::uschat_shared(&server));
    crowd(&mut group, "connection_manager", runtime, 64, &runtime.block_on(redis::connection_manager(&server)));
    crowd(&mut group, "deadpool_redis", runtime, 64, &redis::deadpool_redis(&server));
    group.finish();
}

fn sql_group(criterion: &mut Criterion, runtime: &Runtime) {
    let mut group = criterion.benchmark_group("sql_ping/64");
    crowd(&mut group, "uschat", runtime, 64, &sql::uschat());
    crowd(&mut group, "sqlx", runtime, 64, &sql::sqlx(true));
    crowd(&mut group, "deadpool", runtime, 64, &sql::deadpool(true));
    group.finish();
}

fn crowd(group: &mut BenchmarkGroup<'_, WallTime>, id: &str, runtime: &Runtime, tasks: usize, work: &impl Work) {
    group.throughput(Throughput::Elements(1));
    group.bench_function(id, |bencher| bencher.iter_custom(|units| so_often(runtime, work, tasks, units)));
}
