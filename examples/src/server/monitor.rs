//! What operators look at: `/metrics` as Prometheus text, `/healthz` (the process is alive) and `/readyz` (it can work).

use std::{convert::Infallible, future::Future, io, sync::Arc, time::Duration};

use hyper::{Method, Request, Response, StatusCode, body::Incoming, header, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::JoinSet,
    time::{interval, sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::{health, storage::Storage};

/// Scrapers there is room for; more wait in the listener's backlog.
const MAX_CONNECTIONS: usize = 16;

/// A scrape takes milliseconds; whoever takes longer holds a place that another scraper wants.
const CONNECTION_DEADLINE: Duration = Duration::from_secs(10);

/// Between two sweeps that fold what histograms collected.
const UPKEEP: Duration = Duration::from_secs(5);

/// Upper bounds of the buckets of everything measured in seconds, from one write to a client that hangs.
const SECONDS: [f64; 11] = [0.000_1, 0.000_5, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0];

/// Upper bounds of the buckets of everything counted in texts.
const TEXTS: [f64; 9] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0];

/// What the pages show.
pub(crate) trait Monitored: Send + Sync + 'static {
    /// The metrics as Prometheus text.
    fn metrics(&self) -> impl Future<Output = String> + Send;

    /// Whether requests can be served now, and the details as JSON. Takes at most a few seconds.
    fn readiness(&self) -> impl Future<Output = (bool, String)> + Send;

    /// Called every few seconds.
    fn upkeep(&self) {}
}

/// One process: its recorder and what stands behind it.
pub(crate) struct Process {
    recorder: PrometheusHandle,
    storage: Arc<Storage>,
}

impl Process {
    /// Monitors this process.
    pub(crate) fn new(recorder: PrometheusHandle, storage: Arc<Storage>) -> Self {
        Self { recorder, storage }
    }
}

impl Monitored for Process {
    async fn metrics(&self) -> String {
        self.storage.observe_pools();
        self.recorder.render()
    }

    async fn readiness(&self) -> (bool, String) {
        let readiness = health::readiness(&self.storage).await;
        (readiness.ready, serde_json::to_string(&readiness).unwrap_or_default())
    }

    fn upkeep(&self) {
        self.recorder.run_upkeep();
    }
}

/// Installs the process's recorder. To be called once, before anything is counted. With `process`, every metric has that
/// label, to tell the processes of one installation apart.
///
/// # Errors
/// When there is a recorder already.
pub(crate) fn install(process: Option<&str>) -> Result<PrometheusHandle, BuildError> {
    let builder = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS)?
        .set_buckets_for_metric(Matcher::Suffix("_texts".to_owned()), &TEXTS)?;
    match process {
        Some(name) => builder.add_global_label("process", name).install_recorder(),
        None => builder.install_recorder(),
    }
}

/// Serves the pages until `shutdown`. One request a connection; a request under way is cut off then, the next one would
/// fail anyway.
///
/// # Errors
/// When the listener is unusable.
pub(crate) async fn serve(
    listener: TcpListener,
    monitored: impl Monitored,
    shutdown: CancellationToken,
) -> io::Result<()> {
    let monitored = Arc::new(monitored);
    let mut connections = JoinSet::new();
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut upkeep = interval(UPKEEP);
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return Ok(()),
            _ = upkeep.tick() => monitored.upkeep(),
            Some(_) = connections.join_next() => {}
            (place, accepted) = accept(&listener, &places) => match accepted {
                Ok(stream) => {
                    let monitored = Arc::clone(&monitored);
                    connections.spawn(async move {
                        answer(stream, monitored).await;
                        drop(place);
                    });
                }
                Err(error) => {
                    warn!(%error, "cannot accept a scraper, pausing");
                    // What the process lacks, files mostly, is rarely back sooner, and spinning would take the processor.
                    sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }
}

async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> (Option<tokio::sync::OwnedSemaphorePermit>, io::Result<TcpStream>) {
    // The semaphore is never closed.
    let place = Arc::clone(places).acquire_owned().await.ok();
    (place, listener.accept().await.map(|(stream, _)| stream))
}

async fn answer(stream: TcpStream, monitored: Arc<impl Monitored>) {
    let service = service_fn(|request: Request<Incoming>| {
        let monitored = Arc::clone(&monitored);
        async move { Ok::<_, Infallible>(respond(request, &*monitored).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .keep_alive(false)
        .max_buf_size(16 * 1024)
        .serve_connection(TokioIo::new(stream), service);
    // A scraper that breaks off is its own trouble.
    let _ = timeout(CONNECTION_DEADLINE, connection).await;
}

async fn respond(request: Request<Incoming>, monitored: &impl Monitored) -> Response<String> {
    let (status, kind, body) = match (request.method(), request.uri().path()) {
        (&Method::GET, "/metrics") => {
            (StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", monitored.metrics().await)
        }
        (&Method::GET, "/healthz") => (StatusCode::OK, "application/json", "{\"alive\":true}".to_owned()),
        (&Method::GET, "/readyz") => {
            let (ready, details) = monitored.readiness().await;
            let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
            (status, "application/json", details)
        }
        (_, "/metrics" | "/healthz" | "/readyz") => (StatusCode::METHOD_NOT_ALLOWED, "text/plain", String::new()),
        _ => (StatusCode::NOT_FOUND, "text/plain", "there are /metrics, /healthz and /readyz\n".to_owned()),
    };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static(kind));
    response
}
