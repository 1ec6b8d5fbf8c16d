//! Measures requests: their time by operation and status, and how many are in progress.
//!
//! Not here: metrics of the routes, see `api/metrics.rs`; of connections, see `client_limits`.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::http::Method;

use crate::metrics::{Collect, Histogram, LabeledCounters, REQUEST_SECONDS, Scrape, name};
use crate::rate_limits::LIMIT_NAMES;

/// The statuses with a series of their own. A series for each status that an operation documents
/// would be 3,500 lines, so those of client errors share one.
const STATUSES: [&str; 8] = ["200", "201", "204", "304", "4xx", "500", "503", "other"];

const NOT_MODIFIED: &str = "304";

/// The method and the route of a request that is no operation of the API.
const OTHER: (&str, &str) = ("_OTHER", "other");

pub struct RequestMetrics {
    /// The operations of each path, with their indexes.
    router: matchit::Router<Vec<(Method, usize)>>,
    /// The last one is for all other requests.
    operations: Vec<OperationMetrics>,
    active: AtomicU64,
    rate_limited: LabeledCounters,
}

struct OperationMetrics {
    method: &'static str,
    route: &'static str,
    durations: [(&'static str, Histogram); STATUSES.len()],
}

impl RequestMetrics {
    /// Measures these operations, given by method and path. `root_path` is the prefix that a proxy may leave
    /// on.
    #[must_use]
    pub fn new(operations: &[(&'static str, &'static str)], root_path: &str) -> Self {
        let all = operations.iter().chain([&OTHER]);
        Self {
            router: router(operations, root_path),
            operations: all.map(|operation| OperationMetrics::new(*operation)).collect(),
            active: AtomicU64::default(),
            rate_limited: LabeledCounters::new(LIMIT_NAMES),
        }
    }

    /// Begins to measure a request, of which the operation is not known yet.
    pub(super) fn begin(&self) -> RequestMeasurement<'_> {
        self.active.fetch_add(1, Ordering::Relaxed);
        RequestMeasurement { metrics: self, operation: self.operations.len() - 1 }
    }

    pub(super) fn count_rate_limited(&self, limit: &str) {
        self.rate_limited.increment(limit);
    }
}

/// Builds the router of the paths, with and without the prefix.
fn router(
    operations: &[(&'static str, &'static str)],
    root_path: &str,
) -> matchit::Router<Vec<(Method, usize)>> {
    let mut router = matchit::Router::new();
    let prefixes: &[&str] = if root_path.is_empty() { &[""] } else { &["", root_path] };
    for prefix in prefixes {
        for (_, path) in operations {
            let of_path = operations.iter().enumerate().filter(|(_, (_, other))| other == path);
            let methods = of_path.filter_map(|(index, (method, _))| {
                Some((Method::from_bytes(method.as_bytes()).ok()?, index))
            });
            // An error means that an earlier operation has the same path.
            let _ = router.insert(format!("{prefix}{path}"), methods.collect());
        }
    }
    router
}

impl OperationMetrics {
    fn new((method, route): (&'static str, &'static str)) -> Self {
        let durations = STATUSES.map(|status| (status, Histogram::new(&REQUEST_SECONDS)));
        Self { method, route, durations }
    }

    fn record(&self, status: u16, duration: Duration) {
        if let Some((_, durations)) = self.durations.get(index_of(status)) {
            durations.record_duration(duration);
        }
    }
}

/// Returns the index of the status in [`STATUSES`].
fn index_of(status: u16) -> usize {
    match status {
        200 => 0,
        201 => 1,
        204 => 2,
        304 => 3,
        400..=499 => 4,
        500 => 5,
        503 => 6,
        _ => 7,
    }
}

/// A request while it is measured. It counts as active until it is dropped.
pub(super) struct RequestMeasurement<'a> {
    metrics: &'a RequestMetrics,
    operation: usize,
}

impl RequestMeasurement<'_> {
    /// Finds the operation. The path must be normalized.
    pub(super) fn find_operation(&mut self, method: &Method, path: &str) {
        let Ok(found) = self.metrics.router.at(path) else { return };
        if let Some((_, index)) = found.value.iter().find(|(known, _)| known == method) {
            self.operation = *index;
        }
    }

    pub(super) fn end(self, status: u16, duration: Duration) {
        if let Some(operation) = self.metrics.operations.get(self.operation) {
            operation.record(status, duration);
        }
    }
}

impl Drop for RequestMeasurement<'_> {
    fn drop(&mut self) {
        self.metrics.active.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Collect for RequestMetrics {
    fn collect(&self, scrape: &mut Scrape<'_>) -> fmt::Result {
        let series =
            self.operations.iter().flat_map(|OperationMetrics { method, route, durations }| {
                durations
                    .iter()
                    .map(move |(status, histogram)| ([*method, *route, *status], histogram))
            });
        let observed = series.clone().filter(|(_, histogram)| histogram.count() > 0);
        scrape.histograms(&name::REQUEST_DURATION, observed)?;
        scrape.gauge(&name::ACTIVE_REQUESTS, self.active.load(Ordering::Relaxed))?;
        let not_modified = series.filter(|([_, _, status], _)| *status == NOT_MODIFIED);
        scrape.counter(
            &name::NOT_MODIFIED,
            not_modified.map(|(_, histogram)| histogram.count()).sum(),
        )?;
        scrape.counters(&name::RATE_LIMITED, self.rate_limited.values())
    }
}

impl fmt::Debug for RequestMetrics {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("RequestMetrics")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPERATIONS: [(&str, &str); 3] =
        [("GET", "/posts/{id}"), ("PUT", "/posts/{id}"), ("GET", "/users/me")];

    /// Returns the operation that a request counts for.
    fn operation(
        metrics: &RequestMetrics,
        method: &Method,
        path: &str,
    ) -> (&'static str, &'static str) {
        let mut request = metrics.begin();
        request.find_operation(method, path);
        let OperationMetrics { method, route, .. } = metrics.operations[request.operation];
        (method, route)
    }

    #[test]
    fn only_documented_operations_have_a_route() {
        let metrics = RequestMetrics::new(&OPERATIONS, "");
        let find = |method: &Method, path| operation(&metrics, method, path);
        assert_eq!(find(&Method::GET, "/posts/7"), OPERATIONS[0]);
        assert_eq!(find(&Method::PUT, "/posts/no-number"), OPERATIONS[1]);
        assert_eq!(find(&Method::GET, "/users/me"), OPERATIONS[2]);
        for (method, path) in [
            (Method::HEAD, "/posts/7"),
            (Method::GET, "/posts/7/8"),
            (Method::GET, "/posts"),
            (Method::GET, "/users/ada@example.com"),
            (Method::GET, "*"),
            (Method::from_bytes(b"GETS").unwrap(), "/users/me"),
        ] {
            assert_eq!(find(&method, path), OTHER, "{path}");
        }
    }

    #[test]
    fn status_counts_under_its_own_label_or_that_of_its_class() {
        for status in [200, 201, 204, 304, 500, 503] {
            assert_eq!(STATUSES[index_of(status)], status.to_string());
        }
        for (status, label) in [(400, "4xx"), (431, "4xx"), (499, "4xx"), (501, "other")] {
            assert_eq!(STATUSES[index_of(status)], label, "{status}");
        }
    }

    #[test]
    fn prefix_of_a_proxy_may_be_left_on_or_removed() {
        let metrics = RequestMetrics::new(&OPERATIONS, "/posts");
        for (path, expected) in [
            ("/posts/users/me", OPERATIONS[2]),
            ("/users/me", OPERATIONS[2]),
            ("/posts/posts/7", OPERATIONS[0]),
            ("/api/users/me", OTHER),
        ] {
            assert_eq!(operation(&metrics, &Method::GET, path), expected, "{path}");
        }
    }

    #[test]
    fn request_is_active_until_its_end() {
        let metrics = RequestMetrics::new(&OPERATIONS, "");
        let (first, second) = (metrics.begin(), metrics.begin());
        assert_eq!(metrics.active.load(Ordering::Relaxed), 2);
        first.end(200, Duration::ZERO);
        drop(second);
        assert_eq!(metrics.active.load(Ordering::Relaxed), 0);
    }
}
