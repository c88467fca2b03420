//! A recorder for the pools' metrics, as a server has one.

use std::sync::OnceLock;

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};

static RECORDER: OnceLock<PrometheusHandle> = OnceLock::new();

/// Installs it for the whole process. A pool of ours that was built before knows nothing of it.
pub(crate) fn install() {
    RECORDER.get_or_init(|| PrometheusBuilder::new().install_recorder().expect("the only recorder"));
}

/// Folds what was recorded, which a server does every few seconds and which would fill the memory otherwise.
pub(crate) fn fold() {
    if let Some(recorder) = RECORDER.get() {
        recorder.run_upkeep();
    }
}
