//! Requests, logins, hashes and the work of the store are counted, on both stores.

use serde_json::json;

use super::MeasuredService;
use crate::support::{Engine, FORM, Metrics, PASSWORD, TestResponse};

/// Returns the number of requests of an operation with this status.
fn requests(metrics: &Metrics, method: &str, route: &str, status: &str) -> u64 {
    metrics.value(&format!(
        "http_server_request_duration_seconds_count{{http_request_method=\"{method}\",\
         http_route=\"{route}\",http_response_status_code=\"{status}\"}}"
    ))
}

fn log_in(service: &MeasuredService, password: &str) -> TestResponse {
    let form = format!("username=ada%40example.com&password={password}");
    service.connect().exchange(format!(
        "POST /login HTTP/1.1\r\nhost: localhost\r\ncontent-type: {FORM}\r\n\
         content-length: {}\r\n\r\n{form}",
        form.len()
    ))
}

/// Sends two writes with one key, reads of one post with and without a tag, and a vote.
fn send_posts(service: &MeasuredService, token: &str) {
    let post = json!({"title": "first", "content": "text"});
    let mut wire = service.connect();
    for _ in 0..2 {
        let key = "idempotency-key: once\r\n";
        wire.call_with("POST", "/posts", token, key, Some(&post)).unwrap().expect(201);
    }
    let read = wire.call("GET", "/posts/1", token, None).unwrap().expect(200);
    let tag = format!("if-none-match: {}\r\n", read.header("etag"));
    wire.call_with("GET", "/posts/1", token, &tag, None).unwrap().expect(304);
    let vote = json!({"post_id": 1, "dir": 1});
    wire.call("POST", "/vote/", token, Some(&vote)).unwrap().expect(201);
    wire.call("GET", "/posts?sort=hot", token, None).unwrap().expect(200);
}

#[test]
fn requests_and_logins_are_counted_by_their_outcome() {
    for engine in Engine::ALL {
        let service = MeasuredService::start(engine, &[]);
        let account = json!({"email": "ada@example.com", "password": PASSWORD});
        service.connect().call("POST", "/users", "", Some(&account)).unwrap().expect(201);
        service.connect().call("POST", "/users", "", Some(&account)).unwrap().expect(409);
        log_in(&service, "wrong").expect(403);
        let token = service.log_in("ada@example.com");
        send_posts(&service, &token);
        service.get("/nowhere/at/all").expect(404);
        let metrics = Metrics::of(&service);
        for (method, route, status, count) in [
            ("POST", "/users", "201", 1),
            ("POST", "/users", "4xx", 1),
            ("POST", "/login", "200", 1),
            ("POST", "/login", "4xx", 1),
            ("POST", "/posts", "201", 2),
            ("GET", "/posts/{id}", "200", 1),
            ("GET", "/posts/{id}", "304", 1),
            ("POST", "/vote", "201", 1),
            ("GET", "/posts", "200", 1),
            ("_OTHER", "other", "4xx", 1),
        ] {
            let counted = requests(&metrics, method, route, status);
            assert_eq!(counted, count, "{engine:?} {method} {route} {status}");
        }
        for (series, count) in [
            ("http_server_active_requests", 0),
            ("post_api_not_modified_total", 1),
            ("post_api_idempotent_replays_total", 1),
            ("post_api_logins_total{outcome=\"success\"}", 1),
            ("post_api_logins_total{outcome=\"refused\"}", 1),
            ("post_api_audit_events_total{event=\"signed_up\"}", 1),
            ("post_api_audit_events_total{event=\"login_refused\"}", 1),
            // The refused sign-up hashes too, so that its time reveals no account.
            ("post_api_password_hash_duration_seconds_count", 4),
            ("post_api_password_queue_length", 0),
            ("post_api_ranking_duration_seconds_count{source=\"newest\"}", 1),
            ("post_api_ranking_duration_seconds_count{source=\"most_voted\"}", 0),
        ] {
            assert_eq!(metrics.value(series), count, "{engine:?} {series} in {metrics:?}");
        }
    }
}

#[test]
fn operations_and_batches_of_the_store_are_measured() {
    for (engine, queue, others) in [
        (
            Engine::Sqlite,
            "write",
            [
                "post_api_database_bytes{file=\"database\"}",
                "post_api_database_bytes{file=\"log\"}",
                concat!(
                    "post_api_build_info{version=\"",
                    env!("CARGO_PKG_VERSION"),
                    "\",store=\"sqlite\"}"
                ),
            ],
        ),
        (
            Engine::Postgres,
            "votes",
            [
                "post_api_database_connections{state=\"idle\"}",
                "post_api_database_connections_limit",
                concat!(
                    "post_api_build_info{version=\"",
                    env!("CARGO_PKG_VERSION"),
                    "\",store=\"postgres\"}"
                ),
            ],
        ),
    ] {
        let service = MeasuredService::start(engine, &[]);
        let account = json!({"email": "ada@example.com", "password": PASSWORD});
        service.connect().call("POST", "/users", "", Some(&account)).unwrap().expect(201);
        let token = service.log_in("ada@example.com");
        send_posts(&service, &token);
        let metrics = Metrics::of(&service);
        for (operation, count) in
            [("create_user", 1), ("create_post_once", 2), ("cast_vote", 1), ("sign_out", 0)]
        {
            let series =
                format!("post_api_store_duration_seconds_count{{operation=\"{operation}\"}}");
            assert_eq!(metrics.value(&series), count, "{engine:?} {operation}");
        }
        let batches = format!("post_api_store_batch_members_count{{queue=\"{queue}\"}}");
        let waiting = format!("post_api_store_queue_length{{queue=\"{queue}\"}}");
        assert!(metrics.value(&batches) >= 1, "{metrics:?}");
        assert!(metrics.0.contains(&waiting), "{metrics:?}");
        for series in others {
            assert!(metrics.value(series) > 0, "{engine:?} {series} in {metrics:?}");
        }
    }
}

#[test]
fn refused_requests_are_counted_by_their_limit() {
    let settings = [("RATE_LIMITS", "on"), ("RATE_LIMIT_LOGIN_IP", "1/1h")];
    let service = MeasuredService::start(Engine::Sqlite, &settings);
    log_in(&service, "wrong").expect(403);
    log_in(&service, "wrong").expect(429);
    let metrics = Metrics::of(&service);
    assert_eq!(metrics.value("post_api_rate_limited_total{limit=\"login-address\"}"), 1);
    assert_eq!(metrics.value("post_api_rate_limited_total{limit=\"sign-up\"}"), 0);
    assert_eq!(metrics.value("post_api_logins_total{outcome=\"limited\"}"), 1);
}

#[test]
fn errors_of_the_store_are_counted_by_their_kind() {
    let service = MeasuredService::start(Engine::Sqlite, &[]);
    let mut wire = service.connect();
    let account = json!({"email": "ada@example.com", "password": PASSWORD});
    wire.call("POST", "/users", "", Some(&account)).unwrap().expect(201);
    let token = service.log_in("ada@example.com");
    wire.call("POST", "/logout", &token, None).unwrap().expect(204);
    // A revoked token is the client's fault.
    wire.call("GET", "/users/me", &token, None).unwrap().expect(401);
    let metrics = Metrics::of(&service);
    let errors = |metrics: &Metrics| {
        let lines = metrics.lines().filter(|line| line.starts_with("post_api_store_errors_total"));
        lines.filter(|line| !line.ends_with(" 0")).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(errors(&metrics), [""; 0]);

    std::fs::rename(service.path().join("data/posts.db"), service.path().join("moved")).unwrap();
    let account = json!({"email": "bob@example.com", "password": PASSWORD});
    wire.call("POST", "/users", "", Some(&account)).unwrap().expect(503);
    let metrics = Metrics::of(&service);
    assert_eq!(errors(&metrics), ["post_api_store_errors_total{kind=\"unavailable\"} 1"]);
    assert_eq!(requests(&metrics, "POST", "/users", "503"), 1);
}
