//! No value of a client, of a user or of a post appears in the metrics.

use serde_json::json;

use super::MeasuredService;
use crate::support::{Engine, FORM, Metrics};

const PASSWORD: &str = "canary password 83 quay";

/// An ID that no user and no post has.
const ID: &str = "424242424242";

/// Texts that clients have sent in every place.
const CANARIES: [&str; 7] =
    ["canary", "CANARY", ID, "203.0.113.77", "2001:db8:77", "example.org", "0af7651916cd43dd"];

/// Sends canaries in every part of requests, and returns the token.
fn send_canaries(service: &MeasuredService) -> String {
    let hidden = "x-forwarded-for: 203.0.113.77\r\nuser-agent: canary-agent\r\n\
                  x-request-id: canary-request\r\ncookie: canary=1\r\n\
                  traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n";
    let mut wire = service.connect().checked_by(None);
    let account = json!({"email": "canary@example.org", "password": PASSWORD, "name": "canary"});
    wire.call_with("POST", "/users", "", hidden, Some(&account)).unwrap().expect(201);
    let mut token = String::new();
    for (password, status) in [("canary-wrong", 403), (PASSWORD, 200)] {
        let form = format!("username=canary@example.org&password={}", password.replace(' ', "+"));
        let response = wire.exchange(format!(
            "POST /login HTTP/1.1\r\nhost: canary.example.org\r\n{hidden}content-type: {FORM}\r\n\
             content-length: {}\r\n\r\n{form}",
            form.len()
        ));
        let response = response.expect(status);
        token = response.json()["access_token"].as_str().unwrap_or_default().to_owned();
    }
    let post = json!({"title": "canary title", "content": "canary content"});
    let key = format!("{hidden}idempotency-key: canary-key\r\n");
    wire.call_with("POST", "/posts", &token, &key, Some(&post)).unwrap().expect(201);
    for (method, path, status) in [
        ("GET", "/posts?search=canary-search", 200),
        ("GET", "/users/424242424242", 404),
        ("GET", "/posts/424242424242", 404),
        ("GET", "/posts/canary", 422),
        ("GET", "/canary/path?canary=query", 404),
        ("GET", "/docs/canary.js", 404),
        ("CANARY", "/posts", 405),
    ] {
        let response = wire.call_with(method, path, &token, hidden, None).unwrap();
        assert_eq!(response.status, status, "{method} {path}");
    }
    let v6 = "x-forwarded-for: 2001:db8:77::1\r\n";
    wire.call_with("GET", "/users/me", "canary-token", v6, None).unwrap().expect(401);
    token
}

#[test]
fn metrics_have_no_text_of_a_client() {
    for engine in Engine::ALL {
        let settings = [("TRUSTED_PROXIES", "127.0.0.0/8"), ("RATE_LIMITS", "on")];
        let service = MeasuredService::start(engine, &settings);
        let token = send_canaries(&service);
        for accept in ["", "accept: application/openmetrics-text\r\n"] {
            let output = Metrics::request(&service, "GET", "/metrics", accept).expect(200);
            let output = output.text().to_owned();
            // The requests were counted.
            for counted in ["http_route=\"/users/{id}\"", "http_request_method=\"_OTHER\""] {
                assert!(output.contains(counted), "{output}");
            }
            let parts = token.split('.').filter(|part| part.len() > 8);
            for canary in CANARIES.into_iter().chain(parts).chain(["127.0.0.1", "$argon2", "@"]) {
                assert!(!output.contains(canary), "{engine:?}: {canary} is in {output}");
            }
        }
    }
}
