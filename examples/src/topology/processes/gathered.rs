//! Metrics and readiness of all processes, on one port.

use std::{collections::BTreeMap, time::Duration};

use futures_util::future::join_all;
use metrics_exporter_prometheus::PrometheusHandle;
use serde_json::{Map, Value, json};

use crate::server::Monitored;

/// A process that takes longer is as good as gone.
const DEADLINE: Duration = Duration::from_secs(3);

/// What the children and this process have to tell.
pub(super) struct Gathered {
    recorder: PrometheusHandle,
    http: reqwest::Client,
    /// The metrics' URL of each server; they stay when a server comes back.
    children: Vec<(String, String)>,
}

impl Gathered {
    pub(super) fn new(recorder: PrometheusHandle, children: Vec<(String, String)>) -> reqwest::Result<Self> {
        let http = reqwest::Client::builder().timeout(DEADLINE).no_proxy().build()?;
        Ok(Self { recorder, http, children })
    }
}

impl Monitored for Gathered {
    async fn metrics(&self) -> String {
        let pages = self.children.iter().map(|(_, url)| async move { self.http.get(url).send().await?.text().await });
        // A process that is being started again has nothing to tell.
        let mut pages: Vec<_> = join_all(pages).await.into_iter().flatten().collect();
        pages.push(self.recorder.render());
        merge(&pages)
    }

    async fn readiness(&self) -> (bool, String) {
        let answers = self.children.iter().map(|(name, url)| async move {
            let url = url.replace("/metrics", "/readyz");
            let answer: reqwest::Result<Value> = async { self.http.get(url).send().await?.json().await }.await;
            (name.clone(), answer.unwrap_or_else(|_| json!({ "ready": false })))
        });
        let processes: Map<_, _> = join_all(answers).await.into_iter().collect();
        let ready = processes.values().all(|answer| answer["ready"] == true);
        (ready, json!({ "ready": ready, "processes": processes }).to_string())
    }

    fn upkeep(&self) {
        self.recorder.run_upkeep();
    }
}

/// Pages as one: what belongs to one metric must stand together, below one line with its type.
fn merge(pages: &[String]) -> String {
    let mut metrics: BTreeMap<&str, (Vec<&str>, Vec<&str>)> = BTreeMap::new();
    for page in pages {
        let mut name = "";
        for line in page.lines().filter(|line| !line.is_empty()) {
            if let Some(comment) = line.strip_prefix("# ") {
                name = comment.split(' ').nth(1).unwrap_or_default();
                let comments = &mut metrics.entry(name).or_default().0;
                if !comments.contains(&line) {
                    comments.push(line);
                }
            } else {
                metrics.entry(name).or_default().1.push(line);
            }
        }
    }
    let mut page = String::new();
    for line in metrics.into_values().flat_map(|(comments, samples)| comments.into_iter().chain(samples)) {
        page.push_str(line);
        page.push('\n');
    }
    page
}

#[cfg(test)]
mod tests {
    use super::merge;

    #[test]
    fn each_metric_is_told_once_with_the_samples_of_all() {
        let gate = "# HELP a Help.\n# TYPE a counter\na{process=\"gate\"} 1\n\n# TYPE b gauge\nb{process=\"gate\"} 2\n";
        let chat = "# TYPE b gauge\nb{process=\"chat\"} 3\n\n# HELP a Help.\n# TYPE a counter\na{process=\"chat\"} 4\n";
        assert_eq!(
            merge(&[gate.to_owned(), chat.to_owned()]),
            "# HELP a Help.\n# TYPE a counter\na{process=\"gate\"} 1\na{process=\"chat\"} 4\n\
             # TYPE b gauge\nb{process=\"gate\"} 2\nb{process=\"chat\"} 3\n"
        );
    }
}
