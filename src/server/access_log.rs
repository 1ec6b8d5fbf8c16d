//! The access log: one line per request, and a second line for a failed request. Both contain the
//! request ID, which links them to the logs of the client.
//!
//! A line contains the path without the query, and of the headers only the IDs of the request and of
//! its trace, so that no token, search text or e-mail gets into the log.

use std::io::Write as _;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, Method, Request, StatusCode, Uri};
use axum::response::Response;
use tokio::time::Instant;

use super::request_metrics::{RequestMeasurement, RequestMetrics};
use super::trace_context::TraceContext;
use crate::api::{ClientIp, Failure, LimitReached};
use crate::metrics::Traffic;

pub(super) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Maximum length in bytes of a request ID that is taken from the client.
const MAX_ID_BYTES: usize = 64;

/// The logged status of a request whose client closed the connection before the response.
const CLIENT_CLOSED: u16 = 499;

/// The log entry of a request in flight. Its line is written after the response, or when it is
/// dropped because the client closes the connection.
pub(super) struct RequestLog<'a> {
    started: Instant,
    client: Option<IpAddr>,
    id: HeaderValue,
    /// The method and the target for the line, until it is written. `None` if the access log is disabled.
    line: Option<(Method, Uri)>,
    trace: Option<TraceContext>,
    metrics: Option<&'a RequestMetrics>,
    /// `None` if the request has ended.
    traffic: Option<&'a Traffic>,
    /// `None` if there are no metrics, or if the request has ended.
    measurement: Option<RequestMeasurement<'a>>,
}

impl<'a> RequestLog<'a> {
    pub(super) fn begin(
        request: &Request<Body>,
        ClientIp(client): ClientIp,
        is_enabled: bool,
        ids: &RequestIds,
        metrics: Option<&'a RequestMetrics>,
        traffic: &'a Traffic,
    ) -> Self {
        let client_id = request.headers().get(REQUEST_ID).and_then(accept_id);
        Self {
            started: Instant::now(),
            client,
            id: client_id.unwrap_or_else(|| ids.generate()),
            line: is_enabled.then(|| (request.method().clone(), request.uri().clone())),
            trace: TraceContext::of(request.headers()),
            metrics,
            traffic: Some(traffic),
            measurement: metrics.map(RequestMetrics::begin),
        }
    }

    /// Finds the operation for the metrics. The path of the request must be normalized.
    pub(super) fn find_operation(&mut self, request: &Request<Body>) {
        if let Some(measurement) = &mut self.measurement {
            measurement.find_operation(request.method(), request.uri().path());
        }
    }

    pub(super) fn started(&self) -> Instant {
        self.started
    }

    pub(super) fn id_text(&self) -> &str {
        self.id.to_str().unwrap_or_default()
    }

    pub(super) fn trace_id(&self) -> Option<&str> {
        self.trace.as_ref().map(TraceContext::trace_id)
    }

    pub(super) fn span_id(&self) -> Option<&str> {
        self.trace.as_ref().map(TraceContext::span_id)
    }

    fn client_ip(&self) -> String {
        self.client.map(|client| client.to_string()).unwrap_or_default()
    }

    /// Adds the request ID to the response, and logs a failure or a reached limit.
    pub(super) fn end(mut self, response: &mut Response) {
        let status = response.status().as_u16();
        if let Some(Failure { cause }) = response.extensions_mut().remove() {
            let (trace_id, span_id) = (self.trace_id(), self.span_id());
            let request = self.id_text();
            tracing::error!(request, trace_id, span_id, status, cause, "request failed");
        }
        if let Some(LimitReached(limit)) = response.extensions_mut().remove() {
            if let Some(metrics) = self.metrics {
                metrics.count_rate_limited(limit);
            }
            if let Some(traffic) = self.traffic {
                traffic.count_rate_limited(limit);
            }
            tracing::warn!(
                event = "rate_limited",
                limit,
                client = %self.client_ip(),
                request = self.id_text(),
                trace_id = self.trace_id(),
                span_id = self.span_id(),
                "request rate limited"
            );
        }
        self.finish(status);
        let id = std::mem::replace(&mut self.id, HeaderValue::from_static(""));
        response.headers_mut().insert(REQUEST_ID, id);
    }

    fn finish(&mut self, status: u16) {
        let Some(traffic) = self.traffic.take() else { return };
        let (measurement, line) = (self.measurement.take(), self.line.take());
        let duration = self.started.elapsed();
        traffic.record(status, duration);
        if let Some(measurement) = measurement {
            measurement.end(status, duration);
        }
        let Some((method, uri)) = line else { return };
        let microseconds = duration.as_micros();
        tracing::info!(
            target: "access",
            client = %self.client_ip(),
            method = %method,
            path = uri.path(),
            status,
            microseconds = u64::try_from(microseconds).unwrap_or(u64::MAX),
            request = self.id_text(),
            trace_id = self.trace_id(),
            span_id = self.span_id(),
        );
    }
}

impl Drop for RequestLog<'_> {
    fn drop(&mut self) {
        self.finish(CLIENT_CLOSED);
    }
}

/// Logs the response of the HTTP library to a request whose head it could not read.
pub(super) fn log_unreadable(client: IpAddr, status: StatusCode) {
    tracing::info!(
        target: "access",
        client = %client.to_canonical(),
        method = "-",
        path = "-",
        status = status.as_u16(),
    );
}

/// Accepts the request ID of a client if it is short and has only ASCII letters, digits and `-_.`.
fn accept_id(id: &HeaderValue) -> Option<HeaderValue> {
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.".contains(byte);
    let bytes = id.as_bytes();
    let accepted = (1..=MAX_ID_BYTES).contains(&bytes.len()) && bytes.iter().all(is_plain);
    accepted.then(|| id.clone())
}

/// Generates request IDs. They are unique in this process and start at a random number.
pub(super) struct RequestIds {
    next: AtomicU64,
}

impl RequestIds {
    pub(super) fn new() -> Self {
        // Without random bytes the IDs of two processes can collide. Only the logs become ambiguous.
        Self { next: AtomicU64::new(getrandom::u64().unwrap_or_default()) }
    }

    fn generate(&self) -> HeaderValue {
        // An odd step visits every 64-bit number before it repeats one. This step is 2^64 / phi, so
        // consecutive IDs look different.
        const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
        let number = self.next.fetch_add(STEP, Ordering::Relaxed);
        let mut digits = [b'0'; 16];
        let _ = write!(digits.as_mut_slice(), "{number:016x}");
        HeaderValue::from_bytes(&digits).unwrap_or_else(|_| HeaderValue::from_static("0"))
    }
}
