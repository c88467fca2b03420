use uschat_pool::{
    Pool, PoolConfig,
    redis::{
        RedisManager,
        redis::{Value, pipe},
    },
};

use crate::{
    redis_server::RedisServer,
    support::{PATIENT, eventually, patient, pool, pool_of, run},
};

/// The client's number, and how many resets the server has seen.
async fn id_and_resets(pool: &Pool<RedisManager>) -> (i64, usize) {
    let mut lease = pool.get().await.unwrap();
    let id = run(&mut lease, "CLIENT ID").await.unwrap();
    let stats: String = run(&mut lease, "INFO commandstats").await.unwrap();
    let resets = stats.lines().find_map(|line| line.strip_prefix("cmdstat_reset:calls="));
    (id, resets.map_or(0, |rest| rest.split(',').next().unwrap().parse().unwrap()))
}

#[tokio::test]
async fn whatever_a_user_leaves_is_reset() {
    let server = RedisServer::start_with(&["--requirepass", "secret"]).await;
    let pool = pool_of(&format!("redis://:secret@127.0.0.1:{}/3", server.port()), 1);
    let (id, _) = id_and_resets(&pool).await;
    for (round, left) in [
        "WATCH k",
        "MULTI",
        "SELECT 7",
        "CLIENT SETNAME somebody",
        "HELLO 3 AUTH default secret",
        "AUTH default wrong",
        "RESET",
        "select 5",
    ]
    .into_iter()
    .enumerate()
    {
        let mut lease = pool.get().await.unwrap();
        let _: Result<Value, _> = run(&mut lease, left).await;
        drop(lease);

        // The only connection: whoever gets it has waited until it was clean.
        let mut lease = pool.get().await.unwrap();
        let info: String = run(&mut lease, "CLIENT INFO").await.unwrap_or_else(|error| panic!("{left}: {error}"));
        for part in [" db=3 ", " multi=-1 ", " name= ", " resp=2", " flags=N ", " user=default "] {
            assert!(info.contains(part), "after {left}, {part} is missing in {info}");
        }
        run::<()>(&mut lease, "SET k 1").await.unwrap();
        drop(lease);
        assert_eq!(id_and_resets(&pool).await, (id, round + 1 + usize::from(round >= 6)), "after {left}");
    }
}

#[tokio::test]
async fn a_transaction_that_ended_costs_nothing() {
    let server = RedisServer::start().await;
    let pool = pool_of(&server.url(), 1);
    let (id, _) = id_and_resets(&pool).await;
    for end in ["EXEC", "DISCARD", "unwatch"] {
        let mut lease = pool.get().await.unwrap();
        run::<()>(&mut lease, "WATCH k").await.unwrap();
        if end != "unwatch" {
            run::<()>(&mut lease, "MULTI").await.unwrap();
            run::<()>(&mut lease, "INCR k").await.unwrap();
        }
        run::<Value>(&mut lease, end).await.unwrap();
    }
    let mut lease = pool.get().await.unwrap();
    run::<()>(&mut lease, "WATCH k").await.unwrap();
    let (count,): (i64,) = pipe().atomic().cmd("INCR").arg("k").query_async(&mut *lease).await.unwrap();
    assert_eq!(count, 2);
    drop(lease);
    assert_eq!(id_and_resets(&pool).await, (id, 0));
}

#[tokio::test]
async fn a_watch_fails_the_transaction_it_was_for_and_no_other() {
    let server = RedisServer::start().await;
    let pool = pool_of(&server.url(), 2);
    let mut lease = pool.get().await.unwrap();
    let mut other = pool.get().await.unwrap();
    let transaction = async |lease: &mut _| -> Option<(i64,)> {
        pipe().atomic().cmd("INCR").arg("other").query_async(lease).await.unwrap()
    };
    run::<()>(&mut lease, "WATCH k").await.unwrap();
    run::<()>(&mut other, "SET k 1").await.unwrap();
    assert_eq!(transaction(&mut *lease).await, None, "somebody changed the key");
    assert_eq!(transaction(&mut *lease).await, Some((1,)));

    run::<()>(&mut lease, "WATCH k").await.unwrap();
    run::<()>(&mut other, "SET k 2").await.unwrap();
    drop(lease);
    let mut lease = pool.get().await.unwrap();
    assert_eq!(transaction(&mut *lease).await, Some((2,)), "a watch of the last user is in force");
}

#[tokio::test]
async fn a_transaction_that_was_refused_is_not_taken_for_one_that_ended() {
    let server = RedisServer::start().await;
    let pool = pool_of(&server.url(), 1);
    let mut lease = pool.get().await.unwrap();
    run::<()>(&mut lease, "WATCH k").await.unwrap();
    // The key stays watched.
    assert!(run::<Value>(&mut lease, "EXEC").await.is_err());
    drop(lease);
    assert_eq!(id_and_resets(&pool).await.1, 1);
}

#[tokio::test]
async fn a_command_that_was_given_up_is_over_before_the_next_user_comes() {
    let server = RedisServer::start().await;
    let pool = pool_of(&server.url(), 1);
    let (id, _) = id_and_resets(&pool).await;
    let mut lease = pool.get().await.unwrap();
    server.freeze();
    let gave_up = tokio::time::timeout(std::time::Duration::from_millis(20), run::<()>(&mut lease, "PING")).await;
    assert!(gave_up.is_err());
    drop(lease);
    assert_eq!(pool.snapshot().idle, 0, "it is lent although an answer is missing");
    server.thaw();
    assert_eq!(id_and_resets(&pool).await, (id, 1));
}

#[tokio::test]
async fn a_blocking_command_that_was_given_up_ends_its_connection_and_takes_nothing() {
    let server = RedisServer::start().await;
    let (pool, watcher) = (pool_of(&server.url(), 1), pool_of(&server.url(), 1));
    let (id, _) = id_and_resets(&pool).await;
    let mut lease = pool.get().await.unwrap();
    let blocked = tokio::spawn(async move { run::<()>(&mut lease, "BLPOP queue 0").await });
    let mut watcher = watcher.get().await.unwrap();
    let mut blocked_clients = async || {
        let info: String = run(&mut watcher, "INFO clients").await.unwrap();
        info.lines().find_map(|line| line.strip_prefix("blocked_clients:")).unwrap().to_owned()
    };
    eventually("the server waits", async || blocked_clients().await == "1").await;
    blocked.abort();
    eventually("the server waits no more", async || blocked_clients().await == "0").await;
    run::<()>(&mut watcher, "RPUSH queue job").await.unwrap();
    let (next, _) = id_and_resets(&pool).await;
    assert_ne!(next, id);
    let job: Option<String> = run(&mut pool.get().await.unwrap(), "LPOP queue").await.unwrap();
    assert_eq!(job.as_deref(), Some("job"), "nobody's BLPOP took it");
}

#[tokio::test]
async fn what_a_reset_does_not_end_ends_with_the_connection() {
    let server = RedisServer::start().await;
    let pool = pool_of(&server.url(), 1);
    let (id, _) = id_and_resets(&pool).await;
    run::<()>(&mut pool.get().await.unwrap(), "CLIENT NO-EVICT on").await.unwrap();
    let (next, resets) = id_and_resets(&pool).await;
    assert!(next != id && resets == 0, "{next}, {resets} resets");
}

#[tokio::test]
async fn a_server_that_cannot_reset_costs_a_connection() {
    let server = RedisServer::start_with(&["--rename-command", "RESET", ""]).await;
    let config = PoolConfig { size: 1, wait: PATIENT, create: PATIENT, ..PoolConfig::default() };
    let pool = pool(&server.url(), &patient(), config);
    let (id, _) = id_and_resets(&pool).await;
    run::<()>(&mut pool.get().await.unwrap(), "SELECT 2").await.unwrap();
    let mut lease = pool.get().await.unwrap();
    let info: String = run(&mut lease, "CLIENT INFO").await.unwrap();
    assert!(info.contains(" db=0 ") && !info.contains(&format!("id={id} ")), "{info}");
}
