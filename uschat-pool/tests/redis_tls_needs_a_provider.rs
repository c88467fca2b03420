//! The library installs no cryptography; alone in its program, since what is installed stays.
#![cfg(feature = "redis")]
#![allow(clippy::unwrap_used, reason = "tests only")]

use uschat_pool::redis::{RedisConfig, RedisError, RedisManager};

#[test]
fn without_a_provider_it_says_so_and_with_one_it_works() {
    let manager = |url| RedisManager::new(url, &RedisConfig::default());
    for url in ["rediss://127.0.0.1", "rediss://127.0.0.1/?cluster=true"] {
        let error = manager(url).unwrap_err();
        assert!(matches!(error, RedisError::NoTlsProvider), "{error:?}");
        assert!(error.to_string().contains("install one first"), "{error}");
    }
    assert!(manager("redis://127.0.0.1").is_ok());

    rustls::crypto::ring::default_provider().install_default().unwrap();
    let error = manager("rediss://127.0.0.1/?ca=/no/such/file").unwrap_err();
    assert!(matches!(&error, RedisError::Tls(_)) && error.to_string().contains("/no/such/file"), "{error}");
    // By the system's authorities, if it has any.
    match manager("rediss://127.0.0.1") {
        Ok(_) => {}
        Err(error) => assert!(error.to_string().contains("?ca="), "{error}"),
    }
}
