//! Rate limits: which requests get 429, how the response looks, and which requests are never
//! limited.
//!
//! Not here: the arithmetic of the limits, see `src/rate_limits/`.

/// Logins, and other checks of a password.
mod login;

/// Sign-ups and writes.
mod sign_ups_and_writes;

/// The client IP behind proxies.
mod trusted_proxies;

use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use post_api::rate_limits::{Rate, RateLimitConfig};
use post_api::server::TrustedProxies;
use serde_json::{Value, json};

use crate::support::{PASSWORD, Setup, TestApp, TestResponse};

const ADA: &str = "ada@example.com";

/// Client IP of the owner of the account. [`GUESSER`] and [`other_ip`] are those of attackers.
const OWNER: &str = "203.0.113.1";
const GUESSER: &str = "198.51.100.1";

fn other_ip(number: usize) -> String {
    format!("192.0.2.{number}")
}

async fn app_with_limits(rates: RateLimitConfig) -> TestApp {
    TestApp::set_up(Setup { rates: Some(rates), ..Setup::default() }).await
}

async fn app_behind(proxies: &str, rates: RateLimitConfig) -> TestApp {
    let trusted_proxies = TrustedProxies::parse(proxies).unwrap();
    TestApp::set_up(Setup { rates: Some(rates), trusted_proxies, ..Setup::default() }).await
}

fn rate(count: u32, seconds: u64) -> Rate {
    Rate::new(count, Duration::from_secs(seconds))
}

/// Returns a request with a JSON body.
fn json_request(method: &str, path: &str, body: &Value) -> Request<Body> {
    let request = Request::builder().method(method).uri(path);
    let request = request.header("content-type", "application/json");
    request.body(Body::from(body.to_string())).unwrap()
}

fn sign_up_request(name: &str) -> Request<Body> {
    let account = json!({"email": format!("{name}@example.com"), "password": PASSWORD});
    json_request("POST", "/users", &account)
}

/// Checks status, body and headers of a request rejected by this limit.
#[track_caller]
fn assert_rate_limited(
    response: &TestResponse,
    limit: &str,
    count: u32,
    period: u64,
    seconds: u64,
) {
    assert_eq!(response.status, 429, "{response:?}");
    assert_eq!(response.text(), r#"{"detail":"too many requests, try again later"}"#);
    assert_eq!(response.header("content-type"), "application/json");
    assert_eq!(response.header("retry-after"), seconds.to_string());
    let policy = format!("\"{limit}\";q={count};w={period}");
    assert_eq!(response.header("ratelimit-policy"), policy);
    assert_eq!(response.header("ratelimit"), format!("\"{limit}\";r=0;t={seconds}"));
    assert_eq!(response.header("cache-control"), "no-store");
}

/// Only a rejected request has header fields about limits.
#[track_caller]
fn assert_no_limit_headers(response: &TestResponse) {
    for name in ["retry-after", "ratelimit", "ratelimit-policy"] {
        assert_eq!(response.header(name), "", "{response:?}");
    }
}
