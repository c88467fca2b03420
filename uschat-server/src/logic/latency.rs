use std::{cell::Cell, future::Future};

use metrics::{Histogram, IntoF64, histogram};
use tokio::time::Instant;
use uschat_proto::MessageId;

/// How long the handlers of one message id take. Only ids that have a handler get one, so no peer can make up labels.
///
/// Looked up once, when the handler is registered. With a recorder it costs two readings of the clock and a record, some
/// 150 to 300 ns a request; without one no clock is read, which is why it is asked for.
pub(super) struct Latency(Option<Histogram>);

impl Latency {
    pub(super) fn of(id: MessageId) -> Self {
        let histogram = histogram!("uschat_handler_seconds", "id" => id.0.to_string());
        Self(is_recorded(&histogram).then_some(histogram))
    }

    /// Records the time until `handler` returns; neither what it deferred, nor one that panics or is dropped.
    pub(super) async fn measure<T>(&self, handler: impl Future<Output = T>) -> T {
        let Some(histogram) = &self.0 else { return handler.await };
        let began = Instant::now();
        let outcome = handler.await;
        histogram.record(began.elapsed());
        outcome
    }
}

/// Whether there is a recorder behind it. Only a recorder has a value converted; and none is recorded, because it is
/// recorded no times.
fn is_recorded(histogram: &Histogram) -> bool {
    struct Asked<'a>(&'a Cell<bool>);
    impl IntoF64 for Asked<'_> {
        fn into_f64(self) -> f64 {
            self.0.set(true);
            0.0
        }
    }
    let asked = Cell::new(false);
    histogram.record_many(Asked(&asked), 0);
    asked.get()
}

#[cfg(test)]
mod tests {
    use metrics::Histogram;
    use uschat_proto::MessageId;

    use super::{Latency, is_recorded};

    #[test]
    fn nothing_is_measured_for_nobody() {
        assert!(!is_recorded(&Histogram::noop()));
        assert!(Latency::of(MessageId(7)).0.is_none());
        let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
        let latency = metrics::with_local_recorder(&recorder, || Latency::of(MessageId(7)));
        assert!(latency.0.is_some());
        let text = recorder.handle().render();
        assert!(!text.contains("count{id=\"7\"} 1"), "asking recorded something: {text}");
    }
}
