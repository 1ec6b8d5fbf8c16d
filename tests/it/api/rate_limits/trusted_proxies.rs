//! The client IP that counts for limits, behind trusted proxies.
//!
//! Not here: how the header fields are parsed, see `src/server/forwarded.rs`.

use axum::http::HeaderValue;
use post_api::rate_limits::RateLimitConfig;

use super::{app_behind, rate, sign_up_request};
use crate::support::{TestApp, TestResponse};

const PROXIES: &str = "10.0.0.0/8, 2001:db8:1::/48";

async fn app_with_low_limit() -> TestApp {
    app_behind(
        PROXIES,
        RateLimitConfig { sign_up: Some(rate(1, 60)), ..RateLimitConfig::default() },
    )
    .await
}

/// Signs up over a connection from this peer, with these header fields.
async fn sign_up(
    app: &TestApp,
    name: &str,
    peer: &str,
    headers: &[(&'static str, &str)],
) -> TestResponse {
    let mut request = sign_up_request(name);
    for (header, value) in headers {
        request.headers_mut().append(*header, HeaderValue::from_str(value).unwrap());
    }
    app.send_from(peer, request).await
}

#[tokio::test]
async fn clients_of_a_trusted_proxy_are_limited_separately() {
    let app = app_with_low_limit().await;
    let forwarded = |client| [("x-forwarded-for", client)];
    sign_up(&app, "one", "10.0.0.1", &forwarded("203.0.113.1")).await.expect(201);
    sign_up(&app, "two", "10.0.0.1", &forwarded("203.0.113.2")).await.expect(201);
    sign_up(&app, "three", "10.9.9.9", &forwarded("203.0.113.2")).await.expect(429);
    sign_up(&app, "three", "203.0.113.1", &[]).await.expect(429);
    let headers = [("forwarded", "for=\"[2001:db8:2::1]:80\"")];
    sign_up(&app, "three", "2001:db8:1::1", &headers).await.expect(201);
    sign_up(&app, "four", "2001:db8:2::ffff", &[]).await.expect(429);
}

/// Only the hops from the right, up to the first untrusted one, count.
#[tokio::test]
async fn invented_hops_do_not_evade_the_limit() {
    let app = app_with_low_limit().await;
    sign_up(&app, "one", "203.0.113.1", &[]).await.expect(201);
    for number in 0..20 {
        let invented = format!("198.51.100.{number}");
        // Sent to the service directly, then through a proxy that appends the client IP.
        sign_up(&app, "two", "203.0.113.1", &[("x-forwarded-for", &invented)]).await.expect(429);
        let added = format!("{invented}, 203.0.113.1");
        sign_up(&app, "two", "10.0.0.1", &[("x-forwarded-for", &added)]).await.expect(429);
        let lines = [("x-forwarded-for", invented.as_str()), ("x-forwarded-for", "203.0.113.1")];
        sign_up(&app, "two", "10.0.0.1", &lines).await.expect(429);
    }
}

/// A proxy may pass on the field that it does not write itself. If both fields disagree, the client
/// counts as the proxy, so no client can take the budget of another one.
#[tokio::test]
async fn conflicting_forwarding_headers_count_as_the_proxy() {
    let app = app_with_low_limit().await;
    let both = |forwarded| [("x-forwarded-for", "203.0.113.1"), ("forwarded", forwarded)];
    sign_up(&app, "one", "10.0.0.1", &both("for=198.51.100.1")).await.expect(201);
    sign_up(&app, "two", "10.0.0.1", &both("for=198.51.100.2")).await.expect(429);
    sign_up(&app, "two", "198.51.100.1", &[]).await.expect(201);
    sign_up(&app, "three", "10.0.0.1", &both("for=203.0.113.1")).await.expect(201);
}
