//! What can be wrong with a URL or a server, each in one sentence with a remedy and without a secret.

use std::time::Duration;

use uschat_proto::chat::UserId;
use uschat_server::store::{
    redis::{OpenError, RedisOptions, RedisState},
    state::Tokens,
};

use crate::redis::support::{Plain, RedisServer, cluster, patient};

async fn refusal(url: &str) -> OpenError {
    let error = RedisState::open(url, patient()).await.unwrap_err();
    let (text, debug) = (error.to_string(), format!("{error:?}"));
    assert!(!text.contains("secret") && !debug.contains("secret"), "{text} {debug}");
    assert!(!text.contains('\n'), "{text}");
    error
}

#[tokio::test]
async fn a_password_opens_and_is_never_shown() {
    let server = RedisServer::start_with(&["--requirepass", "pass@secret"]).await;
    let url = format!("redis://:pass%40secret@127.0.0.1:{}/3", server.port());
    let state = RedisState::open(&url, patient()).await.unwrap();
    state.ping().await.unwrap();
    state.put_token(UserId(7), "token-secret", Duration::from_secs(9)).await.unwrap();
    assert_eq!(Plain::url(&url).await.get("utoken_7").await.as_deref(), Some("token-secret"));
    let debug = format!("{state:?}");
    assert!(!debug.contains("secret"), "{debug}");
    assert!(debug.contains("live: 1"), "{debug}");

    for wrong in ["redis://127.0.0.1", "redis://:secret@127.0.0.1", "redis://ada:secret@127.0.0.1"] {
        let error = refusal(&format!("{wrong}:{}", server.port())).await;
        assert!(matches!(error, OpenError::Refused { .. }), "{wrong}: {error:?}");
        assert!(error.to_string().contains(&server.port().to_string()), "{error}");
    }
}

#[tokio::test]
async fn a_server_that_wants_no_password_refuses_one() {
    let server = RedisServer::start().await;
    let error = refusal(&format!("redis://ada:secret@127.0.0.1:{}", server.port())).await;
    assert!(matches!(error, OpenError::Refused { .. }), "{error:?}");
}

#[tokio::test]
async fn a_database_has_its_own_keys_and_must_exist() {
    let server = RedisServer::start().await;
    let third = RedisState::open(&format!("{}/3", server.url()), patient()).await.unwrap();
    third.put_token(UserId(7), "token", Duration::from_secs(9)).await.unwrap();
    let first = RedisState::open(&server.url(), patient()).await.unwrap();
    assert_eq!(first.token(UserId(7)).await.unwrap(), None);
    let error = refusal(&format!("{}/16", server.url())).await;
    assert!(matches!(error, OpenError::NoDatabase { .. }), "{error:?}");
}

#[tokio::test]
async fn nobody_there() {
    let mut server = RedisServer::start().await;
    server.kill();
    let error = refusal(&format!("redis://:secret@127.0.0.1:{}", server.port())).await;
    assert!(matches!(error, OpenError::Unreachable { .. }), "{error:?}");
    assert!(error.to_string().contains("check that it runs"), "{error}");
}

#[tokio::test]
async fn a_server_that_accepts_and_says_nothing() {
    let server = RedisServer::start().await;
    server.freeze();
    let options = RedisOptions { connect_deadline: Duration::from_millis(300), ..patient() };
    let error = RedisState::open(&server.url(), options).await.unwrap_err();
    assert!(matches!(error, OpenError::Unreachable { .. }), "{error:?}");
    assert!(error.to_string().contains("300ms"), "{error}");
}

#[tokio::test]
async fn a_server_where_a_cluster_is_expected_and_the_other_way_round() {
    let server = RedisServer::start().await;
    let error = refusal(&format!("{}/?cluster=true", server.url())).await;
    assert!(matches!(error, OpenError::NoCluster { .. }), "{error:?}");
    let nodes = cluster().await;
    let error = refusal(&nodes[1].url()).await;
    assert!(matches!(error, OpenError::IsCluster { .. }), "{error:?}");
    // One living node is enough to find the others.
    let url = format!("redis://127.0.0.1:1/?cluster=true&node=127.0.0.1:{}", nodes[1].port());
    let state = RedisState::open(&url, patient()).await.unwrap();
    for uid in 0..20 {
        state.put_token(UserId(uid), "token", Duration::from_secs(9)).await.unwrap();
    }
}

#[tokio::test]
async fn options_and_urls_that_cannot_be() {
    let options = RedisOptions { connections: 0, ..RedisOptions::default() };
    let error = RedisState::open("redis://127.0.0.1", options).await.unwrap_err();
    assert!(matches!(error, OpenError::Options(_)), "{error:?}");
    for url in
        ["secret", "http://:secret@127.0.0.1", "redis://:secret@127.0.0.1/x", "redis://:secret@127.0.0.1?secret=1"]
    {
        assert!(matches!(refusal(url).await, OpenError::Url { .. }), "{url}");
    }
}
