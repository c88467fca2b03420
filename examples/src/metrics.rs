//! The process's metrics, served as Prometheus text.

use std::{convert::Infallible, io, sync::Arc, time::Duration};

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

/// Scrapers there is room for; more wait in the listener's backlog.
const MAX_CONNECTIONS: usize = 16;

/// A scrape takes milliseconds; whoever takes longer holds a place that another scraper wants.
const CONNECTION_DEADLINE: Duration = Duration::from_secs(10);

/// Between two sweeps that fold what histograms collected.
const UPKEEP: Duration = Duration::from_secs(5);

/// Upper bounds of the buckets of everything measured in seconds, from one write to a client that hangs.
const SECONDS: [f64; 11] = [0.000_1, 0.000_5, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0];

/// Installs the process's recorder. To be called once, before anything is counted.
///
/// # Errors
/// When there is a recorder already.
pub fn install() -> Result<PrometheusHandle, BuildError> {
    PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS)?
        .install_recorder()
}

/// Serves `GET /metrics` until `shutdown`. One request a connection; a scrape under way is cut off then, the next one
/// would fail anyway.
///
/// # Errors
/// When the listener is unusable.
pub async fn serve(listener: TcpListener, handle: PrometheusHandle, shutdown: CancellationToken) -> io::Result<()> {
    let mut connections = JoinSet::new();
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut upkeep = interval(UPKEEP);
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return Ok(()),
            _ = upkeep.tick() => handle.run_upkeep(),
            Some(_) = connections.join_next() => {}
            (place, accepted) = accept(&listener, &places) => match accepted {
                Ok(stream) => {
                    let handle = handle.clone();
                    connections.spawn(async move {
                        answer(stream, handle).await;
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

async fn answer(stream: TcpStream, handle: PrometheusHandle) {
    let service = service_fn(|request: Request<Incoming>| {
        let response = respond(&request, &handle);
        async move { Ok::<_, Infallible>(response) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .keep_alive(false)
        .max_buf_size(16 * 1024)
        .serve_connection(TokioIo::new(stream), service);
    // A scraper that breaks off is its own trouble.
    let _ = timeout(CONNECTION_DEADLINE, connection).await;
}

fn respond(request: &Request<Incoming>, handle: &PrometheusHandle) -> Response<String> {
    let mut response = Response::new(String::new());
    match (request.method(), request.uri().path()) {
        (&Method::GET, "/metrics") => {
            *response.body_mut() = handle.render();
            let text = header::HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
            response.headers_mut().insert(header::CONTENT_TYPE, text);
        }
        (_, "/metrics") => *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED,
        _ => *response.status_mut() = StatusCode::NOT_FOUND,
    }
    response
}
