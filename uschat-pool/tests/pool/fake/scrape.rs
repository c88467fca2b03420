//! What a Prometheus scrape shows of a test.

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tokio::runtime::Builder;

pub struct Scraper(PrometheusHandle);

impl Scraper {
    /// What a metric shows with exactly these labels, `pool="fake"` first; none if it was never registered.
    pub fn value(&self, metric: &str, labels: &str) -> Option<u64> {
        let text = self.0.render();
        let labels = if labels.is_empty() { String::new() } else { format!(",{labels}") };
        let sample = format!("{metric}{{pool=\"fake\"{labels}}} ");
        text.lines().find_map(|line| line.strip_prefix(&sample)).map(|value| value.parse().unwrap())
    }

    /// How often a step ended so.
    pub fn steps(&self, step: &str, outcome: &str) -> u64 {
        let labels = format!("step=\"{step}\",outcome=\"{outcome}\"");
        self.value("uschat_pool_step_seconds_count", &labels).unwrap()
    }

    /// How often each of the steps in this order ended so: `ok`, `failed`, `timeout`.
    pub fn outcomes(&self, step: &str) -> [u64; 3] {
        ["ok", "failed", "timeout"].map(|outcome| self.steps(step, outcome))
    }

    pub fn closed(&self, reason: &str) -> u64 {
        self.value("uschat_pool_closed_total", &format!("reason=\"{reason}\"")).unwrap()
    }

    pub fn refused(&self, reason: &str) -> u64 {
        self.value("uschat_pool_refused_total", &format!("reason=\"{reason}\"")).unwrap()
    }

    pub fn connections(&self, state: &str) -> Option<u64> {
        self.value("uschat_pool_connections", &format!("state=\"{state}\""))
    }

    pub fn breaker(&self) -> u64 {
        self.value("uschat_pool_breaker", "").unwrap()
    }
}

/// Runs a test that is observed, with paused time.
pub fn observed<F: Future<Output = ()>>(test: impl FnOnce(Scraper) -> F) {
    let recorder = PrometheusBuilder::new().build_recorder();
    let scraper = Scraper(recorder.handle());
    let runtime = Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    metrics::with_local_recorder(&recorder, || runtime.block_on(test(scraper)));
}
