//! TLS with a private authority.

use std::time::Duration;

use uschat_proto::chat::UserId;
use uschat_server::store::{
    redis::{OpenError, RedisState},
    state::Tokens,
};

use crate::redis::{
    authority::Authority,
    support::{RedisServer, cluster_with, patient},
};

const TTL: Duration = Duration::from_secs(60);

fn install_provider() {
    // Another test may have been first.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

fn as_text(arguments: &[String]) -> Vec<&str> {
    arguments.iter().map(String::as_str).collect()
}

#[tokio::test]
async fn the_named_authority_is_trusted_and_no_other() {
    install_provider();
    let (authority, other) = (Authority::new(), Authority::new());
    let server = RedisServer::start_with(&as_text(&authority.redis_arguments())).await;
    let host = format!("127.0.0.1:{}", server.tls_port());
    let state = RedisState::open(&format!("rediss://{host}?ca={}", authority.ca().display()), patient()).await.unwrap();
    state.put_token(UserId(7), "token", TTL).await.unwrap();
    assert_eq!(state.token(UserId(7)).await.unwrap().as_deref(), Some("token"));

    let empty = other.file("no certificate");
    let urls = [
        format!("rediss://:secret@{host}?ca={}", other.ca().display()),
        format!("rediss://:secret@{host}?ca={}", empty.display()),
        format!("rediss://:secret@{host}?ca=/no/such/file"),
        // The certificate is the address's, not the name's.
        format!("rediss://:secret@localhost:{}?ca={}", server.tls_port(), authority.ca().display()),
    ];
    for url in urls {
        let error = RedisState::open(&url, patient()).await.unwrap_err();
        assert!(matches!(error, OpenError::Tls { .. }), "{error:?}");
        assert!(!format!("{error} {error:?}").contains("secret"), "{error:?}");
    }
}

#[tokio::test]
async fn a_cluster_over_tls() {
    install_provider();
    let authority = Authority::new();
    let mut arguments = authority.redis_arguments();
    arguments.extend(["--tls-cluster".to_owned(), "yes".to_owned()]);
    let nodes = cluster_with(&as_text(&arguments)).await;
    let url = format!("rediss://127.0.0.1:{}/?cluster=true&ca={}", nodes[0].tls_port(), authority.ca().display());
    let state = RedisState::open(&url, patient()).await.unwrap();
    for uid in 0..30 {
        state.put_token(UserId(uid), "token", TTL).await.unwrap();
    }
}
