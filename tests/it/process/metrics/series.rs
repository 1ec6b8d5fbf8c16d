//! The names and the number of the series, and what Prometheus says about them.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::header::HOST;
use axum::http::{HeaderMap, Request, StatusCode};
use post_api::api::OPERATIONS;
use post_api::metrics::{Format, METRICS, Registry};
use post_api::server::{MiddlewareConfig, RequestMetrics, with_middleware};
use tower::ServiceExt as _;

use super::MeasuredService;
use super::promtool::promtool;
use crate::support::{Engine, Metrics, middleware_config};

/// Most lines of a scrape.
const MAX_LINES: usize = 4000;

const REQUESTS: &str = "http_server_request_duration_seconds";

#[test]
fn every_metric_of_the_table_is_served_and_no_other() {
    let mut served = BTreeSet::new();
    for engine in Engine::ALL {
        let service = MeasuredService::start(engine, &[]);
        service.get("/livez").expect(200);
        let metrics = Metrics::of(&service);
        served.extend(metrics.types().map(|(name, kind)| (name.to_owned(), kind.to_owned())));
        for metric in METRICS.iter().filter(|metric| !metric.labels.is_empty()) {
            let is_of_metric = |line: &&str| line.split(['{', ' ']).next() == Some(metric.name);
            for line in metrics.lines().filter(is_of_metric) {
                for label in metric.labels {
                    assert!(line.contains(&format!("{label}=\"")), "{line} lacks {label}");
                }
            }
        }
    }
    let listed = METRICS
        .iter()
        .map(|metric| (metric.name.to_owned(), format!("{:?}", metric.kind).to_lowercase()));
    assert_eq!(served, listed.collect());
}

/// Returns the metrics after every documented operation had every documented status, and every
/// other request every other status.
async fn requests_with_every_status() -> Metrics {
    let requests = Arc::new(RequestMetrics::new(&OPERATIONS, ""));
    let answer = |headers: HeaderMap| async move {
        headers["status"].to_str().unwrap().parse::<StatusCode>().unwrap()
    };
    let config = MiddlewareConfig { metrics: Some(requests.clone()), ..middleware_config() };
    let service = with_middleware(Router::new().fallback(answer), config);
    let table = include_str!("../../../../docs/routes.txt");
    let mut cases = Vec::new();
    for line in table.lines() {
        let mut words = line.split_whitespace();
        let (path, method) = (words.next().unwrap(), words.next().unwrap());
        cases.extend(words.skip(2).map(|status| (method, path, status)));
        // The client has left.
        cases.push((method, path, "499"));
    }
    for status in ["200", "201", "204", "304", "404", "500", "501", "503"] {
        cases.push(("GET", "/docs", status));
    }
    for (method, path, status) in cases {
        let request = Request::builder().method(method).uri(path).header(HOST, "a");
        let request = request.header("status", status).body(Body::empty()).unwrap();
        assert_eq!(service.clone().oneshot(request).await.unwrap().status().as_str(), status);
    }
    let mut registry = Registry::default();
    registry.add(requests);
    Metrics(registry.render(Format::Prometheus).unwrap())
}

#[test]
fn scrape_has_at_most_4000_lines_for_any_requests() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let most = runtime.block_on(requests_with_every_status());
    let count = |metrics: &Metrics, is_of_requests: bool| {
        let lines = metrics.0.lines();
        lines.filter(|line| line.starts_with(REQUESTS) == is_of_requests).count()
    };
    let of_requests = count(&most, true);
    assert!(most.0.contains("http_route=\"/posts/{id}\""), "{most:?}");
    for engine in Engine::ALL {
        // Every other series is there from the start.
        let service = MeasuredService::start(engine, &[]);
        let lines = count(&Metrics::of(&service), false);
        assert!(lines + of_requests <= MAX_LINES, "{engine:?}: {lines} + {of_requests}");
        assert!(lines > 500, "{engine:?}: {lines}");
    }
}

#[test]
fn prometheus_has_no_complaint_about_the_metrics() {
    for engine in Engine::ALL {
        let service = MeasuredService::start(engine, &[]);
        service.get("/livez").expect(200);
        let metrics = Metrics::of(&service);
        assert_eq!(promtool(&["check", "metrics"], &metrics.0), "", "{engine:?}");
    }
}
