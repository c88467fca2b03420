//! With the feature `metrics`, times are recorded for what took time and for nothing else, and snapshots set the gauges.
#![cfg(feature = "metrics")]

use std::time::Duration;

use metrics_exporter_prometheus::PrometheusBuilder;
use tokio::{runtime::Builder, time::advance};
use uschat_pool::PoolConfig;

use crate::fake::{Fake, Peer, settle, shared_sized, sized};

mod fake;

/// What a scrape shows after `test` has run.
fn after<F: Future<Output = ()>>(test: impl FnOnce() -> F) -> String {
    let recorder = PrometheusBuilder::new().build_recorder();
    let runtime = Builder::new_current_thread().enable_all().start_paused(true).build().expect("a runtime of its own");
    metrics::with_local_recorder(&recorder, || runtime.block_on(test()));
    recorder.handle().render()
}

fn count(text: &str, step: &str, outcome: &str) -> u64 {
    let labels = [format!("step=\"{step}\""), format!("outcome=\"{outcome}\"")];
    let line = text.lines().find(|line| {
        line.starts_with("uschat_pool_step_seconds_count") && labels.iter().all(|label| line.contains(label.as_str()))
    });
    line.and_then(|line| line.rsplit(' ').next()?.parse().ok()).unwrap_or(0)
}

#[test]
fn steady_use_records_one_connect() {
    let text = after(|| async {
        let pool = Fake::new().pool(sized(1));
        for _ in 0..100 {
            drop(pool.get().await.unwrap());
        }
        assert_eq!(pool.snapshot().idle, 1);
    });
    assert_eq!(count(&text, "connect", "ok"), 1, "{text}");
    assert_eq!((count(&text, "wait", "ok"), count(&text, "verify", "ok")), (0, 0), "{text}");
    for gauge in [r#"state="idle"} 1"#, r#"state="in_use"} 0"#, r#"state="waiting"} 0"#] {
        assert!(text.contains(&format!("uschat_pool_connections{{pool=\"fake\",{gauge}")), "{text}");
    }
}

#[test]
fn waits_verifications_and_failures_are_told_apart() {
    let text = after(|| async {
        let fake = Fake::new();
        let pool = fake.pool(PoolConfig { wait: Duration::from_secs(1), ..sized(1) });
        let lease = pool.get().await.unwrap();
        let _ = pool.get().await.unwrap_err();
        let waiter = tokio::spawn({
            let pool = pool.clone();
            async move { pool.get().await.map(drop) }
        });
        settle().await;
        drop(lease);
        waiter.await.unwrap().unwrap();

        advance(Duration::from_secs(60)).await;
        drop(pool.get().await.unwrap());
        advance(Duration::from_secs(60)).await;
        fake.on_verify(Peer::Refuses);
        fake.on_connect(Peer::Refuses);
        let _ = pool.get().await.unwrap_err();
    });
    for step in ["wait", "verify", "connect"] {
        assert_eq!((count(&text, step, "ok"), count(&text, step, "failed")), (1, 1), "{step}: {text}");
    }
}

#[test]
fn shared_connections_report_as_well() {
    let text = after(|| async {
        let shared = Fake::new().shared(shared_sized(2));
        let _handle = shared.handle().await.unwrap();
        assert_eq!(shared.snapshot().live, 1);
    });
    assert_eq!(count(&text, "connect", "ok"), 1, "{text}");
    assert!(text.contains(r#"uschat_pool_connections{pool="fake",state="live"} 1"#), "{text}");
}
