//! No error and no debug output of a Redis manager shows a URL, a user or a password.

use std::time::Duration;

use uschat_pool::{
    Manager, Shared, SharedConfig,
    redis::{RedisConfig, RedisError, RedisManager},
};

#[test]
fn a_bad_url_is_explained_without_it() {
    for url in [
        "secret",
        "http://secret:secret@127.0.0.1",
        "redis://:secret@127.0.0.1/secret",
        "redis://:secret@127.0.0.1/?secret=secret",
        "redis://:secret@127.0.0.1:secret/",
        "redis://:secret@127.0.0.1/?cluster=true&node=secret@x",
        "redis://:sec#ret@127.0.0.1",
    ] {
        let error = RedisManager::new(url, &RedisConfig::default()).unwrap_err();
        assert!(matches!(error, RedisError::Url { .. }), "{url}: {error:?}");
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains("secret") && !shown.contains("ret@"), "{url}: {shown}");
    }
}

#[tokio::test]
async fn a_manager_shows_its_servers_only() {
    let url = "redis://secret:secret@127.0.0.1:1/?cluster=true&node=127.0.0.1:2";
    let manager = RedisManager::new(url, &RedisConfig::default()).unwrap();
    assert_eq!(manager.servers(), "127.0.0.1:1, 127.0.0.1:2");
    let error = manager.connect().await.unwrap_err();
    assert!(matches!(error, RedisError::Unreachable(_)), "{error:?}");
    let shared = Shared::new("redis", manager.clone(), SharedConfig::default()).unwrap();
    let shown = format!("{manager:?} {error} {error:?} {shared:?}");
    assert!(!shown.contains("secret"), "{shown}");
}

#[test]
fn times_are_milliseconds_and_have_a_range() {
    let config: RedisConfig = serde_json::from_str(r#"{ "command_deadline_ms": 250 }"#).unwrap();
    assert_eq!(config.command_deadline, Duration::from_millis(250));
    assert_eq!(config.connect_timeout, RedisConfig::default().connect_timeout);
    assert!(serde_json::from_str::<RedisConfig>(r#"{ "command_deadline": 250 }"#).is_err());
    let config = RedisConfig { command_deadline: Duration::ZERO, ..config };
    let error = RedisManager::new("redis://127.0.0.1", &config).unwrap_err();
    assert!(error.to_string().contains("command_deadline_ms"), "{error}");
}
