use uschat_pool::{
    SharedConfig,
    redis::{
        RedisError, RedisManager,
        redis::{Cmd, ErrorKind, pipe},
    },
};

use crate::{
    redis_server::RedisServer,
    support::{command, patient, pool_of, run, shared},
};

/// What the server was asked, by name.
async fn stats(run: impl AsyncFnOnce(&Cmd) -> String) -> String {
    run(&command("INFO commandstats")).await
}

#[tokio::test]
async fn nothing_of_it_is_sent() {
    let server = RedisServer::start().await;
    let shared = shared(&server.url(), &patient(), SharedConfig::default());
    let mut handle = shared.handle().await.unwrap();
    for text in [
        "WATCH k",
        "MULTI",
        "SELECT 1",
        "BLPOP k secret 1",
        "client reply off",
        "SUBSCRIBE news",
        "XREAD BLOCK 1 STREAMS s $",
    ] {
        let error = command(text).exec_async(&mut *handle).await.unwrap_err();
        let (name, _) = text.split_once(' ').unwrap_or((text, ""));
        assert_eq!(error.kind(), ErrorKind::Client, "{text}: {error}");
        assert!(error.to_string().contains(name) && !error.to_string().contains("secret"), "{error}");
        let error = pipe().cmd("GET").arg("k").add_command(command(text)).exec_async(&mut *handle).await.unwrap_err();
        assert!(error.to_string().contains(name), "{error}");
    }
    let stats = stats(async |command| command.query_async(&mut *handle).await.unwrap()).await;
    for name in ["watch", "multi", "select", "blpop", "client|reply", "subscribe", "xread", "_get:"] {
        assert!(!stats.contains(name), "{name} reached the server: {stats}");
    }
}

#[tokio::test]
async fn what_ends_in_the_same_pipeline_passes() {
    let server = RedisServer::start().await;
    let shared = shared(&server.url(), &patient(), SharedConfig::default());
    let mut handle = shared.handle().await.unwrap();
    let (one,): (i64,) = pipe().atomic().cmd("INCR").arg("k").query_async(&mut *handle).await.unwrap();
    let (_, _, _, two): ((), (), (), (i64,)) = pipe()
        .cmd("WATCH")
        .arg("k")
        .cmd("MULTI")
        .cmd("INCR")
        .arg("k")
        .cmd("EXEC")
        .query_async(&mut *handle)
        .await
        .unwrap();
    assert_eq!((one, two), (1, (2,)));
}

#[tokio::test]
async fn a_dedicated_one_refuses_only_what_it_cannot_follow() {
    let server = RedisServer::start().await;
    let pool = pool_of(&server.url(), 1);
    let mut lease = pool.get().await.unwrap();
    for text in ["SUBSCRIBE news", "MONITOR", "CLIENT REPLY SKIP"] {
        let error = run::<()>(&mut lease, text).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Client, "{text}: {error}");
    }
    run::<()>(&mut lease, "WATCH k").await.unwrap();
    drop(lease);
    assert_eq!(run::<String>(&mut pool.get().await.unwrap(), "PING").await.unwrap(), "PONG");
}

#[test]
fn a_cluster_has_shared_connections_only() {
    let error = RedisManager::dedicated("redis://127.0.0.1/?cluster=true", &patient()).unwrap_err();
    assert!(matches!(&error, RedisError::Url { reason } if reason.contains("cluster")), "{error}");
}
