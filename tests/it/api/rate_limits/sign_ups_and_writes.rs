//! Rate limits of sign-ups and of writes.

use axum::body::Body;
use axum::http::Request;
use post_api::rate_limits::RateLimitConfig;
use serde_json::json;

use super::{
    GUESSER, OWNER, app_with_limits, assert_no_limit_headers, assert_rate_limited, rate,
    sign_up_request,
};
use crate::support::{PASSWORD, TestApp, TestCaller, TestResponse};

async fn app_with_low_limits() -> TestApp {
    app_with_limits(RateLimitConfig {
        sign_up: Some(rate(3, 60)),
        writes: Some(rate(6, 60)),
        ..RateLimitConfig::default()
    })
    .await
}

#[tokio::test]
async fn sign_ups_over_the_limit_are_rejected() {
    let app = app_with_low_limits().await;
    for number in 0..3 {
        let sign_up = sign_up_request(&format!("user{number}"));
        assert_no_limit_headers(&app.send_from(GUESSER, sign_up).await.expect(201));
    }
    let refused = app.send_from(GUESSER, sign_up_request("another")).await;
    assert_rate_limited(&refused, "sign-up", 3, 60, 20);
    app.send_from(OWNER, sign_up_request("ada")).await.expect(201);
    app.clock.advance(20);
    app.send_from(GUESSER, sign_up_request("another")).await.expect(201);
    // A sign-up with an existing e-mail counts too, because it reveals that the account exists.
    app.clock.advance(60);
    for _ in 0..3 {
        app.send_from(GUESSER, sign_up_request("ada")).await.expect(409);
    }
    app.send_from(GUESSER, sign_up_request("ada")).await.expect(429);
}

#[tokio::test]
async fn invalid_sign_up_is_not_counted() {
    let app = app_with_low_limits().await;
    for _ in 0..10 {
        app.send_from(GUESSER, sign_up_request("no @ address")).await.expect(422);
    }
    app.send_from(GUESSER, sign_up_request("user")).await.expect(201);
}

/// Sends a write from a client IP of its own, because the limit counts by caller.
async fn send(
    app: &TestApp,
    caller: &TestCaller<'_>,
    number: u8,
    method: &str,
    path: &str,
) -> TestResponse {
    let body = json!({"title": "title", "content": "text", "post_id": 1, "dir": 1}).to_string();
    let request = caller.request(method, path).header("content-type", "application/json");
    app.send_from(&format!("192.0.2.{number}"), request.body(Body::from(body)).unwrap()).await
}

#[tokio::test]
async fn writes_over_the_limit_of_the_caller_are_rejected() {
    let app = app_with_low_limits().await;
    let (ada, eve) = (app.signed_in("ada").await, app.signed_in("eve").await);
    for (number, method, path, status) in [
        (0, "POST", "/posts", 201),
        (1, "PUT", "/posts/1", 200),
        (2, "POST", "/vote", 201),
        (3, "POST", "/vote/", 409),
        (4, "DELETE", "/posts/4711", 404),
        (5, "DELETE", "/posts/1", 204),
    ] {
        let response = send(&app, &ada, number, method, path).await.expect(status);
        assert_no_limit_headers(&response);
    }
    for (method, path) in [
        ("POST", "/posts"),
        ("PUT", "/posts/1"),
        ("DELETE", "/posts/1"),
        ("POST", "/vote"),
        ("POST", "/vote/"),
    ] {
        let refused = send(&app, &ada, 7, method, path).await;
        assert_rate_limited(&refused, "writes", 6, 60, 10);
    }
    // Reads and the deletion of the own account are not limited.
    for path in ["/posts", "/users/me", "/posts/1"] {
        assert!(ada.get(path).await.status != 429, "{path}");
    }
    send(&app, &eve, 7, "POST", "/posts").await.expect(201);
    app.clock.advance(10);
    send(&app, &ada, 7, "POST", "/posts").await.expect(201);
    send(&app, &ada, 7, "POST", "/posts").await.expect(429);
    ada.delete("/users/me").await.expect(204);
}

/// Any number of requests without a valid token gets 401. Requests over the limit get 429 before
/// the service checks the body.
#[tokio::test]
async fn token_is_checked_before_the_limit_and_the_body_after() {
    let app = app_with_low_limits().await;
    let ada = app.signed_in("ada").await;
    for _ in 0..10 {
        app.anonymous().post("/posts", &json!({})).await.expect(401);
        app.with_token("x").post("/posts", &json!({})).await.expect(401);
    }
    for _ in 0..6 {
        ada.post("/posts", &json!({})).await.expect(422);
    }
    ada.post("/posts", &json!({})).await.expect(429);
    ada.vote(1, 1).await.expect(429);
}

/// Without the CORS fields a browser could not read the 429.
#[tokio::test]
async fn rate_limited_response_has_the_common_headers() {
    let app = app_with_low_limits().await;
    let ada = app.signed_in("ada").await;
    let request = || -> Request<Body> {
        let request = ada.request("DELETE", "/posts/1").header("origin", "https://a.example");
        request.body(Body::empty()).unwrap()
    };
    for _ in 0..6 {
        app.send(request()).await.expect(404);
    }
    let refused = app.send(request()).await.expect(429);
    assert_eq!(refused.header("access-control-allow-origin"), "*");
    assert_eq!(refused.header("x-content-type-options"), "nosniff");
    assert_ne!(refused.header("x-request-id"), "");
}

/// Otherwise the thief of a revoked token could keep its owner from writing.
#[tokio::test]
async fn revoked_token_does_not_use_the_budget_of_its_successor() {
    let app = app_with_low_limits().await;
    let ada = app.signed_in("ada").await;
    ada.post("/logout", &json!({})).await.expect(204);
    let login = app.log_in("ada@example.com", PASSWORD).await.expect(200).json();
    let again = app.with_token(login["access_token"].as_str().unwrap());
    for number in 0..10 {
        let expected = if number < 6 { 401 } else { 429 };
        send(&app, &ada, 1, "POST", "/posts").await.expect(expected);
    }
    send(&app, &again, 1, "POST", "/posts").await.expect(201);
}

/// Both reveal whether an account has this e-mail.
#[tokio::test]
async fn email_change_counts_as_a_sign_up() {
    let app = app_with_low_limits().await;
    let (ada, _bob) = (app.signed_in("ada").await, app.signed_in("bob").await);
    // The two sign-ups and these requests have no client IP, so they share one budget.
    ada.change_email("bob@example.com").await.expect(409);
    let refused = ada.change_email("bob@example.com").await;
    assert_rate_limited(&refused, "sign-up", 3, 60, 20);
}

/// The rejection is stored as an event, so it costs a write.
#[tokio::test]
async fn rejected_user_deletion_counts_as_a_write() {
    let app = app_with_low_limits().await;
    let (ada, bob) = (app.signed_in("ada").await, app.signed_in("bob").await);
    let path = format!("/users/{}", bob.id);
    for _ in 0..6 {
        ada.delete(&path).await.expect(403);
    }
    assert_rate_limited(&ada.delete(&path).await, "writes", 6, 60, 10);
}
