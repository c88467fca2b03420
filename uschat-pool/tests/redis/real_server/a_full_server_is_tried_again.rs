//! The server takes no more clients (`maxclients`): it says so and hangs up.

use std::time::{Duration, Instant};

use tokio::{net::TcpStream, time::sleep};
use uschat_pool::{CallError, PoolError, Retry, redis::RedisError};

use crate::{
    redis_server::RedisServer,
    support::{
        PATIENT, call_by_pool, call_by_shared, command, eventually, pool_of, pool_with_defaults, run,
        shared_with_defaults,
    },
};

const MAX_CLIENTS: usize = 8;

#[tokio::test]
async fn calls_wait_until_there_is_room() {
    let server = RedisServer::start_with(&["--maxclients", "8", "--requirepass", "secret"]).await;
    let url = format!("redis://:secret@127.0.0.1:{}", server.port());
    let watcher = pool_of(&url, 1);
    let mut watcher = watcher.get().await.unwrap();
    let mut others = Vec::new();
    for _ in 1..MAX_CLIENTS {
        others.push(TcpStream::connect(("127.0.0.1", server.port())).await.unwrap());
    }
    eventually("the server is full", async || {
        let info: String = run(&mut watcher, "INFO clients").await.unwrap();
        info.contains(&format!("connected_clients:{MAX_CLIENTS}\r"))
    })
    .await;

    // What the server says first is not taken for its answer to the password.
    let (shared, pool) = (shared_with_defaults(&url), pool_with_defaults(&url));
    let once = Retry::within(Duration::ZERO);
    for outcome in [
        call_by_shared(shared.clone(), once, command("PING")).await,
        call_by_pool(pool.clone(), once, command("PING")).await,
    ] {
        let error = outcome.unwrap_err();
        let is_lost = matches!(error, CallError::Pool(PoolError::Connect(RedisError::Unreachable(_))));
        assert!(is_lost, "{error:?}");
    }
    let start = Instant::now();
    let retry = Retry::within(PATIENT);
    let leave = async {
        sleep(Duration::from_millis(300)).await;
        others.clear();
    };
    let (by_shared, by_pool, ()) = tokio::join!(
        call_by_shared(shared, retry, command("INCR a")),
        call_by_pool(pool, retry, command("INCR b")),
        leave,
    );
    by_shared.unwrap();
    by_pool.unwrap();
    assert!(start.elapsed() >= Duration::from_millis(300) && start.elapsed() < Duration::from_secs(3));
}
