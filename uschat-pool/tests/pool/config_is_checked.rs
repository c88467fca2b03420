//! A configuration that cannot work is refused by the name of its key.

use std::time::Duration;

use uschat_pool::{ConfigError, Pool, PoolConfig, SharedConfig};

use crate::fake::Fake;

#[test]
fn the_defaults_pass_and_survive_a_file() {
    let config = PoolConfig::default();
    config.validate().unwrap();
    let text = serde_json::to_string(&config).unwrap();
    assert!(text.contains(r#""verify_after_ms":30000"#), "{text}");
    assert_eq!(serde_json::from_str::<PoolConfig>(&text).unwrap(), config);

    let config = SharedConfig::default();
    config.validate().unwrap();
    let text = serde_json::to_string(&config).unwrap();
    assert_eq!(serde_json::from_str::<SharedConfig>(&text).unwrap(), config);
    assert_eq!(serde_json::from_str::<SharedConfig>(r#"{ "size": 1 }"#).unwrap(), SharedConfig::pipelined());
}

#[test]
fn an_unknown_key_is_refused() {
    let error = serde_json::from_str::<PoolConfig>(r#"{ "wait": 5 }"#).unwrap_err();
    assert!(error.to_string().contains("unknown field `wait`"), "{error}");
}

#[test]
fn a_value_out_of_range_is_named() {
    let day = Duration::from_secs(24 * 60 * 60);
    let base = PoolConfig::default();
    let wrong = [
        ("size", PoolConfig { size: 0, ..base.clone() }),
        ("size", PoolConfig { size: 4_097, ..base.clone() }),
        ("wait_ms", PoolConfig { wait: 2 * day, ..base.clone() }),
        ("create_ms", PoolConfig { create: Duration::ZERO, ..base.clone() }),
        ("recycle_ms", PoolConfig { recycle: Duration::ZERO, ..base.clone() }),
        ("verify_after_ms", PoolConfig { verify_after: 2 * day, ..base.clone() }),
        ("max_lifetime_ms", PoolConfig { max_lifetime: Duration::ZERO, ..base.clone() }),
        ("min_idle", PoolConfig { size: 3, min_idle: 4, ..base.clone() }),
        ("max_idle_ms", PoolConfig { max_idle: 31 * day, ..base.clone() }),
        ("backoff_ms", PoolConfig { backoff: Duration::ZERO, ..base.clone() }),
        ("max_backoff_ms", PoolConfig { max_backoff: 2 * day, ..base.clone() }),
        ("max_waiters", PoolConfig { max_waiters: usize::MAX, ..base }),
    ];
    for (key, config) in wrong {
        let error = Pool::new("wrong", Fake::new(), config).unwrap_err();
        assert!(matches!(error, ConfigError::OutOfRange { field, .. } if field == key), "{key}: {error}");
        assert!(error.to_string().starts_with(key), "{error}");
    }
    for (key, config) in [
        ("recycle_ms", SharedConfig { recycle: Duration::ZERO, ..SharedConfig::default() }),
        ("stall_after_ms", SharedConfig { stall_after: 2 * day, ..SharedConfig::default() }),
    ] {
        let error = config.validate().unwrap_err();
        assert!(matches!(error, ConfigError::OutOfRange { field, .. } if field == key), "{key}: {error}");
    }
    let shared = SharedConfig { max_backoff: Duration::ZERO, ..SharedConfig::default() };
    let error = shared.validate().unwrap_err();
    assert_eq!(error.to_string(), "max_backoff_ms is 0, allowed is 1 to 86400000");
}

#[cfg(feature = "grpc")]
#[test]
fn so_is_one_of_a_grpc_connection() {
    use uschat_pool::grpc::{GrpcConfig, GrpcError, GrpcManager};
    let config: GrpcConfig = serde_json::from_str(r#"{ "call_deadline_ms": 0 }"#).unwrap();
    let error = GrpcManager::new("http://127.0.0.1:1", &config).unwrap_err();
    assert!(matches!(error, GrpcError::Config(ConfigError::OutOfRange { field: "call_deadline_ms", .. })));
}
