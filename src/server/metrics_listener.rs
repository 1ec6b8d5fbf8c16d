//! The listener of the metrics: plain HTTP/1.1, `GET` and `HEAD /metrics` only.
//!
//! A thread of its own serves scrapes, so scrapes and requests do not wait for each other.

use std::convert::Infallible;
use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::header::{ACCEPT, ALLOW, CONTENT_TYPE, HeaderMap, HeaderValue};
use axum::http::{Method, Request, StatusCode};
use axum::response::Response;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::metrics::{Format, Registry};

/// Maximum number of open connections. A further one is closed.
const MAX_CONNECTIONS: usize = 16;

/// Maximum time of a connection, which serves one request.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(10);

/// Maximum size of a request head in bytes.
const MAX_HEAD_BYTES: usize = 16 * 1024;

/// Pause after a failed `accept`, which fails again while too many files are open.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

const OPEN_METRICS: &str = "application/openmetrics-text";
const OPEN_METRICS_TYPE: HeaderValue =
    HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
const PROMETHEUS_TYPE: HeaderValue =
    HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");

/// A running listener. Dropping it closes the listener and all of its connections.
pub struct MetricsListener {
    _stop: DropGuard,
}

impl MetricsListener {
    /// Serves the metrics on a thread of its own.
    ///
    /// # Errors
    /// If the listener cannot be used, or the thread cannot be started.
    pub fn start(listener: TcpListener, registry: Registry) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        listener.set_nonblocking(true)?;
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let listener = {
            let _context = runtime.enter();
            tokio::net::TcpListener::from_std(listener)?
        };
        std::thread::Builder::new().name("metrics".to_owned()).spawn(move || {
            let serving = serve(listener, Arc::new(registry));
            runtime.block_on(stopped.run_until_cancelled(serving));
        })?;
        Ok(Self { _stop: stop.drop_guard() })
    }
}

async fn serve(listener: tokio::net::TcpListener, registry: Arc<Registry>) {
    let mut connections = JoinSet::new();
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                while connections.try_join_next().is_some() {}
                if connections.len() < MAX_CONNECTIONS {
                    connections.spawn(serve_connection(stream, Arc::clone(&registry)));
                }
            }
            Err(error) => {
                tracing::debug!(%error, "connection to the metrics not accepted");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn serve_connection(stream: TcpStream, registry: Arc<Registry>) {
    let respond = service_fn(move |request: Request<Incoming>| {
        let response =
            respond(&registry, request.method(), request.uri().path(), request.headers());
        std::future::ready(Ok::<_, Infallible>(response))
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .keep_alive(false)
        .max_buf_size(MAX_HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), respond);
    // An error means that the client has left or sent no HTTP.
    let _ = timeout(CONNECTION_TIMEOUT, connection).await;
}

fn respond(registry: &Registry, method: &Method, path: &str, headers: &HeaderMap) -> Response {
    let mut response = Response::new(Body::empty());
    if path != "/metrics" {
        *response.status_mut() = StatusCode::NOT_FOUND;
    } else if !matches!(*method, Method::GET | Method::HEAD) {
        *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
    } else {
        let (format, media_type) = accepted_format(headers);
        match registry.render(format) {
            Ok(text) => {
                response.headers_mut().insert(CONTENT_TYPE, media_type);
                *response.body_mut() = Body::from(text);
            }
            Err(_) => *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
    response
}

/// Returns OpenMetrics if the client names it, or else the older format, which every client reads.
fn accepted_format(headers: &HeaderMap) -> (Format, HeaderValue) {
    let is_named =
        |value: &HeaderValue| value.to_str().is_ok_and(|text| text.contains(OPEN_METRICS));
    if headers.get_all(ACCEPT).iter().any(is_named) {
        (Format::OpenMetrics, OPEN_METRICS_TYPE)
    } else {
        (Format::Prometheus, PROMETHEUS_TYPE)
    }
}
