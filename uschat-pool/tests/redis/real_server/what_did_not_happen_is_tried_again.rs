//! The server is there and does nothing for now: calls are made again, and happen once, whether or not they are idempotent.

use std::time::Duration;

use tokio::time::sleep;
use uschat_pool::{
    CallFailure, Repeat, Retry,
    redis::redis::{RedisError, pipe},
};

use crate::{
    redis_server::RedisServer,
    support::{PATIENT, call_by_pool, call_by_shared, command, pool_of, pool_with_defaults, run, shared_with_defaults},
};

/// Long enough for some attempts.
const A_WHILE: Duration = Duration::from_millis(400);
fn retry() -> Retry {
    Retry::within(PATIENT)
}

/// Two calls while the server refuses, for as long as `meanwhile` takes.
async fn once_each(server: &RedisServer, meanwhile: impl Future<Output = ()>) {
    let (shared, pool) = (shared_with_defaults(&server.url()), pool_with_defaults(&server.url()));
    let (by_shared, by_pool, ()) = tokio::join!(
        call_by_shared(shared, retry(), command("INCR by-shared")),
        call_by_pool(pool, retry(), command("INCR by-pool")),
        meanwhile,
    );
    by_shared.unwrap();
    by_pool.unwrap();
    let counts: (i64, i64) =
        run(&mut pool_of(&server.url(), 1).get().await.unwrap(), "MGET by-shared by-pool").await.unwrap();
    assert_eq!(counts, (1, 1));
}

#[tokio::test]
async fn while_a_script_keeps_it_busy() {
    let server = RedisServer::start_with(&["--busy-reply-threshold", "20"]).await;
    let pool = pool_of(&server.url(), 2);
    let (mut endless, mut watcher) = (pool.get().await.unwrap(), pool.get().await.unwrap());
    let script = tokio::spawn(async move {
        let mut script = command("EVAL");
        script.arg("while true do end").arg(0).exec_async(&mut *endless).await.unwrap_err();
    });
    while !is_busy(run::<()>(&mut watcher, "PING").await) {
        sleep(Duration::from_millis(5)).await;
    }
    once_each(&server, async {
        sleep(A_WHILE).await;
        run::<()>(&mut watcher, "SCRIPT KILL").await.unwrap();
    })
    .await;
    script.await.unwrap();
}

fn is_busy(answer: Result<(), RedisError>) -> bool {
    answer.is_err_and(|error| error.code() == Some("BUSY"))
}

#[tokio::test]
async fn while_it_is_a_replica() {
    let server = RedisServer::start().await;
    let pool = pool_of(&server.url(), 1);
    let mut watcher = pool.get().await.unwrap();
    // Of nobody who is there.
    run::<()>(&mut watcher, "REPLICAOF 127.0.0.1 1").await.unwrap();
    once_each(&server, async {
        sleep(A_WHILE).await;
        run::<()>(&mut watcher, "REPLICAOF NO ONE").await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn while_it_loads_its_data() {
    // Each key takes 40 ms.
    let mut server =
        RedisServer::start_with(&["--key-load-delay", "40000", "--loading-process-events-interval-bytes", "1024"])
            .await;
    let pool = pool_of(&server.url(), 1);
    let mut lease = pool.get().await.unwrap();
    for key in 0..20 {
        run::<()>(&mut lease, &format!("SET filler:{key} {}", "x".repeat(2_000))).await.unwrap();
    }
    run::<()>(&mut lease, "SAVE").await.unwrap();
    server.kill();
    let url = server.url();
    let (shared, pool) = (shared_with_defaults(&url), pool_with_defaults(&url));
    let ((), by_shared, by_pool) = tokio::join!(
        server.restart(),
        call_by_shared(shared, retry(), command("INCR by-shared")),
        call_by_pool(pool, retry(), command("INCR by-pool")),
    );
    by_shared.unwrap();
    by_pool.unwrap();
    let mut watcher = pool_of(&url, 1).get().await.unwrap();
    assert_eq!(run::<(i64, i64)>(&mut watcher, "MGET by-shared by-pool").await.unwrap(), (1, 1));
    assert_eq!(run::<usize>(&mut watcher, "DBSIZE").await.unwrap(), 22, "the data was loaded");
}

#[tokio::test]
async fn a_part_of_a_pipeline_may_have_happened_and_a_part_of_a_transaction_has_not() {
    let server = RedisServer::start().await;
    let pool = pool_of(&server.url(), 1);
    let mut lease = pool.get().await.unwrap();
    run::<()>(&mut lease, "REPLICAOF 127.0.0.1 1").await.unwrap();
    let write = command("SET k 1");
    let alone = write.exec_async(&mut *lease).await.unwrap_err();
    let mixed = pipe().cmd("PING").add_command(write.clone()).exec_async(&mut *lease).await.unwrap_err();
    let hopeless = pipe().add_command(write.clone()).cmd("LPOP").exec_async(&mut *lease).await.unwrap_err();
    let transaction = pipe().atomic().cmd("PING").add_command(write).exec_async(&mut *lease).await.unwrap_err();
    let judged = [&alone, &mixed, &hopeless, &transaction].map(CallFailure::repeat);
    assert_eq!(judged, [Repeat::Safe, Repeat::IfIdempotent, Repeat::Never, Repeat::Safe]);
}

/// Behind the same name there may be another server by now.
#[tokio::test]
async fn a_replica_is_asked_over_a_new_connection() {
    let server = RedisServer::start().await;
    let shared = shared_with_defaults(&server.url());
    let mut handle = shared.handle().await.unwrap();
    let id = command("CLIENT ID").query_async::<i64>(&mut *handle).await.unwrap();
    command("REPLICAOF 127.0.0.1 1").exec_async(&mut *handle).await.unwrap();
    assert!(pipe().atomic().add_command(command("SET k 1")).exec_async(&mut *handle).await.is_err());
    drop(handle);
    let mut handle = shared.handle().await.unwrap();
    assert_ne!(command("CLIENT ID").query_async::<i64>(&mut *handle).await.unwrap(), id);
}
