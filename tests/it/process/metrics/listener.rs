//! The listener of the metrics: its answers, its bound, and its start and end.

use std::net::TcpListener;
use std::process::{Output, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::MeasuredService;
use crate::support::{Engine, METRICS, Metrics, Service};

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Connections that may be open at the same time.
const MAX_CONNECTIONS: usize = 16;

/// Returns the names of the threads of a process.
#[cfg(target_os = "linux")]
fn threads(service: &Service) -> Vec<String> {
    let tasks = format!("/proc/{}/task", service.process_id());
    let tasks = std::fs::read_dir(tasks).unwrap();
    // A thread can end meanwhile.
    let names =
        tasks.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok());
    names.map(|name| name.trim_end().to_owned()).collect()
}

#[test]
fn only_the_metrics_are_served_and_only_on_their_listener() {
    let service = MeasuredService::start(Engine::Sqlite, &[]);
    for path in ["/", "/metrics/", "/livez", "/docs", "/METRICS", "//metrics"] {
        Metrics::request(&service, "GET", path, "").expect(404);
    }
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "TRACE"] {
        let refused = Metrics::request(&service, method, "/metrics", "").expect(405);
        assert_eq!(refused.header("allow"), "GET, HEAD", "{method}");
    }
    Metrics::request(&service, "GET", "/metrics?name=up", "").expect(200);
    service.get("/metrics").expect(404);
}

#[test]
fn head_has_the_header_of_get_without_a_body() {
    let service = MeasuredService::start(Engine::Sqlite, &[]);
    let mut wire = Metrics::connect(&service);
    wire.send("HEAD /metrics HTTP/1.1\r\nhost: a\r\n\r\n");
    let response = wire.rest();
    let (head, body) = response.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200 ") && head.contains("content-length: "), "{head}");
    assert_eq!(body, "");
}

#[test]
fn format_follows_the_accept_header() {
    let service = MeasuredService::start(Engine::Sqlite, &[]);
    for (accept, media_type) in [
        ("", "text/plain; version=0.0.4; charset=utf-8"),
        ("accept: */*\r\n", "text/plain; version=0.0.4; charset=utf-8"),
        ("accept: application/openmetrics-text\r\n", OPEN_METRICS),
        // Prometheus sends this.
        (
            "accept: application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3\r\n",
            OPEN_METRICS,
        ),
    ] {
        let response = Metrics::request(&service, "GET", "/metrics", accept).expect(200);
        assert_eq!(response.header("content-type"), media_type, "{accept}");
        let is_open_metrics = response.text().ends_with("# EOF\n");
        assert_eq!(is_open_metrics, media_type == OPEN_METRICS, "{accept}");
    }
}

#[test]
fn connections_beyond_the_bound_are_closed_and_cost_the_api_nothing() {
    let service = MeasuredService::start(Engine::Sqlite, &[]);
    let mut silent: Vec<_> = (0..MAX_CONNECTIONS).map(|_| Metrics::connect(&service)).collect();
    // The listener accepts connections in order. A connection that it kept would be answered.
    let mut refused = Metrics::connect(&service);
    let _ = refused.try_send("GET /metrics HTTP/1.1\r\nhost: a\r\n\r\n");
    assert_eq!(refused.rest(), "");
    service.get("/livez").expect(200);
    silent.truncate(MAX_CONNECTIONS - 1);
    let end = Instant::now() + Duration::from_mins(1);
    let metrics = loop {
        let mut wire = Metrics::connect(&service);
        // The listener may not have noticed yet that the other connection has ended.
        let request = "GET /metrics HTTP/1.1\r\nhost: a\r\n\r\n";
        if wire.try_send(request).is_ok()
            && let Ok(response) = wire.try_read_response()
        {
            break Metrics(response.text().to_owned());
        }
        assert!(Instant::now() < end, "no connection is free");
    };
    assert!(metrics.value("http_server_connections") <= 1, "{metrics:?}");
    assert_eq!(metrics.value("http_server_connections_refused_total"), 0);
}

#[test]
fn unreadable_request_ends_only_its_connection() {
    let service = MeasuredService::start(Engine::Sqlite, &[]);
    for bytes in
        ["\0\u{1}\u{2}\r\n\r\n".to_owned(), format!("GET /{} HTTP/1.1\r\n", "a".repeat(20_000))]
    {
        let mut wire = Metrics::connect(&service);
        // The listener may close the connection before it has read everything.
        let _ = wire.try_send(bytes);
        wire.rest();
    }
    Metrics::of(&service);
}

#[test]
fn address_in_use_is_a_fault_of_the_setting() {
    let folder = TempDir::new().unwrap();
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = other.local_addr().unwrap().to_string();
    let mut command = Service::command(folder.path());
    command.args(["serve", "--port", "0"]).env("METRICS_ADDRESS", &address);
    let Output { status, stderr, .. } = command.stderr(Stdio::piped()).output().unwrap();
    let error = String::from_utf8(stderr).unwrap();
    assert_eq!(status.code(), Some(2), "{error}");
    for part in ["METRICS_ADDRESS: ", &address, "Address already in use", "give another port"] {
        assert!(error.contains(part), "no {part} in {error}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn service_without_the_setting_has_no_listener() {
    let service = Service::start(&[]);
    assert!(!service.stderr().contains("Metrics"), "{}", service.stderr());
    let names = threads(&service);
    assert!(names.iter().any(|name| name == "sqlite-write"), "{names:?}");
    assert!(!names.iter().any(|name| name == "metrics"), "{names:?}");
    let measured = Service::start(&[METRICS]);
    assert!(threads(&measured).iter().any(|name| name == "metrics"));
}

#[test]
fn banner_in_json_shows_the_address() {
    let service = Service::start(&[METRICS, ("LOG_FORMAT", "json")]);
    let output = service.stderr();
    let events =
        output.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let banner = events.into_iter().find(|event| event["api"].is_string()).unwrap();
    let url = banner["metrics"].as_str().unwrap();
    assert!(url.starts_with("http://127.0.0.1:") && url.ends_with("/metrics"), "{url}");
}

/// A private network is where a monitoring system usually is.
#[test]
fn address_that_everyone_may_reach_is_warned_about() {
    for (address, is_warned) in
        [("0.0.0.0:0", true), ("[::]:0", true), ("127.0.0.1:0", false), ("[::1]:0", false)]
    {
        let service = Service::start(&[("METRICS_ADDRESS", address)]);
        let output = service.stderr();
        let warnings = output.lines().filter(|line| line.contains("name=\"METRICS_ADDRESS\""));
        assert_eq!(warnings.count(), usize::from(is_warned), "{address}: {output}");
    }
}
