//! What servers have counted, read from their page of metrics.

use std::{collections::BTreeMap, time::Duration};

use tokio::time::{interval, timeout};

use crate::support::in_time;

/// The samples of a page at one moment.
#[derive(Debug, Clone)]
pub struct Counted(BTreeMap<String, f64>);

impl Counted {
    /// Of the server, or the topology, with this URL of metrics.
    pub async fn at(url: &str) -> Self {
        let page = in_time("metrics", async { reqwest::get(url).await.unwrap().text().await.unwrap() }).await;
        let sample = |line: &str| {
            let (name, value) = line.rsplit_once(' ')?;
            Some((name.to_owned(), value.parse().ok()?))
        };
        Self(page.lines().filter(|line| !line.starts_with('#')).filter_map(sample).collect())
    }

    /// The sum of the samples of a metric with this label, of all processes; of all labels if it is empty.
    pub fn sum(&self, metric: &str, label: &str) -> f64 {
        let of_metric =
            |name: &str| name.strip_prefix(metric).is_some_and(|rest| rest.is_empty() || rest.starts_with('{'));
        self.0.iter().filter(|(name, _)| of_metric(name) && name.contains(label)).map(|(_, value)| value).sum()
    }

    /// How much larger that sum is than `before`.
    pub fn since(&self, before: &Self, metric: &str, label: &str) -> u64 {
        // Counters are whole numbers far below 2^53.
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "counters only grow")]
        let growth = (self.sum(metric, label) - before.sum(metric, label)) as u64;
        growth
    }

    /// How many requests were refused with this code since `before`.
    pub fn refused_since(&self, before: &Self, code: i64) -> u64 {
        self.since(before, "uschat_requests_refused_total", &format!("error=\"{code}\""))
    }

    /// How many sessions were closed for this reason since `before`.
    pub fn closed_since(&self, before: &Self, reason: &str) -> u64 {
        self.since(before, "uschat_sessions_closed_total", &format!("reason=\"{reason}\""))
    }
}

/// Waits until a session was closed for this reason.
///
/// # Panics
/// When none was within `bound`.
pub async fn until_closed(url: &str, before: &Counted, reason: &str, bound: Duration) {
    let mut ticks = interval(Duration::from_millis(100));
    let asking = async {
        while Counted::at(url).await.closed_since(before, reason) == 0 {
            ticks.tick().await;
        }
    };
    timeout(bound, asking).await.unwrap_or_else(|_| panic!("no session closed within {bound:?}: {reason}"));
}
