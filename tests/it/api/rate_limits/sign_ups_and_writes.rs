//! Rate limits of sign-ups and of writes.

use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use post_api::rate_limits::RateLimitConfig;
use serde_json::json;

use super::{
    GUESSER, OWNER, app_with_limits, assert_no_limit_headers, assert_rate_limited, rate,
    sign_up_request,
};
use crate::support::{Engine, PASSWORD, Setup, TestApp, TestCaller, TestResponse, poll_once};

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
async fn exports_over_the_limit_are_rejected() {
    let limits = RateLimitConfig { exports: Some(rate(2, 60)), ..RateLimitConfig::default() };
    let app = app_with_limits(limits).await;
    let (ada, bob) = (app.signed_in("ada").await, app.signed_in("bob").await);
    // A revoked token does not use up the limit of its account.
    let token = ada.token.clone().unwrap();
    ada.post("/logout", &json!({})).await.expect(204);
    for _ in 0..3 {
        app.with_token(&token).get("/users/me/export").await.expect(401);
    }
    let login = app.log_in("ada@example.com", PASSWORD).await.expect(200).json();
    let ada = app.with_token(login["access_token"].as_str().unwrap());
    for _ in 0..2 {
        ada.get("/users/me/export").await.expect(200);
    }
    assert_rate_limited(&ada.get("/users/me/export").await, "exports", 2, 60, 30);
    bob.get("/users/me/export").await.expect(200);
    ada.get("/posts").await.expect(200);
    app.clock.advance(30);
    ada.get("/users/me/export").await.expect(200);
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

/// A replay is a write of its own, and so is a key that is refused.
#[tokio::test]
async fn replayed_write_counts() {
    let rates = RateLimitConfig { writes: Some(rate(3, 60)), ..RateLimitConfig::default() };
    let app = app_with_limits(rates).await;
    let ada = app.signed_in("ada").await;
    let write = async |title: &str| {
        let post = json!({"title": title, "content": "text"}).to_string();
        let request = ada.request("POST", "/posts").header("content-type", "application/json");
        let request = request.header("idempotency-key", "k").body(Body::from(post)).unwrap();
        app.send(request).await
    };
    for (title, status) in [("first", 201), ("first", 201), ("other", 422), ("first", 429)] {
        write(title).await.expect(status);
    }
    app.clock.advance(60);
    assert_eq!(write("first").await.expect(201).header("idempotent-replayed"), "true");
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

/// Returns a caller with a new token, after all earlier ones were revoked.
async fn log_in_again<'a>(app: &'a TestApp, before: &TestCaller<'_>) -> TestCaller<'a> {
    before.post("/logout", &json!({})).await.expect(204);
    let login = app.log_in("ada@example.com", PASSWORD).await.expect(200).json();
    app.with_token(login["access_token"].as_str().unwrap())
}

/// Otherwise the thief of a revoked token could keep its owner from writing.
#[tokio::test]
async fn revoked_token_does_not_use_up_the_limit_of_its_owner() {
    let app = app_with_low_limits().await;
    let ada = app.signed_in("ada").await;
    let again = log_in_again(&app, &ada).await;
    for (method, path) in [
        ("POST", "/posts"),
        ("PUT", "/posts/1"),
        ("DELETE", "/posts/1"),
        ("POST", "/vote"),
        ("DELETE", "/users/4711"),
    ] {
        for _ in 0..5 {
            send(&app, &ada, 1, method, path).await.expect(401);
            let invalid = ada.request(method, path).header("content-type", "application/json");
            app.send(invalid.body(Body::from("{")).unwrap()).await.expect(401);
        }
    }
    for _ in 0..6 {
        send(&app, &again, 1, "POST", "/posts").await.expect(201);
    }
    send(&app, &again, 1, "POST", "/posts").await.expect(429);
    send(&app, &ada, 1, "POST", "/posts").await.expect(401);
}

/// A client that disconnects before the response must neither evade the limit nor, with a revoked
/// token, use it up.
#[tokio::test]
async fn write_of_disconnected_client_counts_only_with_a_valid_token() {
    let app = app_with_low_limits().await;
    let revoked = app.signed_in("ada").await;
    let ada = log_in_again(&app, &revoked).await;
    for (caller, expected) in [(&revoked, 201), (&ada, 429)] {
        for _ in 0..10 {
            // The first poll reaches the store.
            poll_once(send(&app, caller, 1, "POST", "/posts")).await;
        }
        app.background.shutdown(Duration::from_mins(1)).await;
        send(&app, &ada, 1, "POST", "/posts").await.expect(expected);
    }
}

/// The owner of an account moves its `tokens_valid_from`, and gets any number of tokens.
#[tokio::test]
async fn new_token_does_not_renew_the_limit_of_writes() {
    for engine in Engine::ALL {
        let rates = Some(RateLimitConfig { writes: Some(rate(6, 60)), ..Default::default() });
        let app = TestApp::set_up(Setup { engine, rates, ..Setup::default() }).await;
        let mut ada = app.signed_in("ada").await;
        for number in 0..9 {
            let expected = if number < 6 { 201 } else { 429 };
            send(&app, &ada, number, "POST", "/posts").await.expect(expected);
            ada = match number % 3 {
                0 => log_in_again(&app, &ada).await,
                1 => {
                    let changed = ada.change_password(PASSWORD, PASSWORD).await.expect(200).json();
                    app.with_token(changed["access_token"].as_str().unwrap())
                }
                _ => {
                    app.clock.advance(1);
                    let login = app.log_in("ada@example.com", PASSWORD).await.expect(200).json();
                    app.with_token(login["access_token"].as_str().unwrap())
                }
            };
        }
    }
}

/// A text costs one write for each started 64 KiB.
#[tokio::test]
async fn large_post_counts_as_many_writes() {
    let app = app_with_low_limits().await;
    let ada = app.signed_in("ada").await;
    let post = |kib: usize| json!({"title": "", "content": "x".repeat(kib * 1024)});
    ada.post("/posts", &post(3 * 64)).await.expect(201);
    ada.put("/posts/1", &post(2 * 64 + 1)).await.expect(200);
    assert_rate_limited(&ada.post("/posts", &post(1)).await, "writes", 6, 60, 10);
    app.clock.advance(10);
    ada.post("/posts", &post(1024)).await.expect(201);
    // The excess of a large post extends the wait.
    assert_rate_limited(&ada.vote(1, 1).await, "writes", 6, 60, 160);
}

/// The database writes the whole post again.
#[tokio::test]
async fn change_of_a_large_post_counts_as_the_whole_post() {
    let app = app_with_low_limits().await;
    let ada = app.signed_in("ada").await;
    let post = json!({"title": "", "content": "x".repeat(3 * 64 * 1024)});
    ada.post("/posts", &post).await.expect(201);
    ada.patch("/posts/1", &json!({"published": false})).await.expect(200);
    assert_rate_limited(&ada.vote(1, 1).await, "writes", 6, 60, 10);
}

/// The service, not the client, is at fault.
#[tokio::test]
async fn sign_up_that_failed_in_the_service_is_not_counted() {
    for engine in Engine::ALL {
        let rates = Some(RateLimitConfig { sign_up: Some(rate(3, 60)), ..Default::default() });
        let app = TestApp::set_up(Setup { engine, rates, ..Setup::default() }).await;
        app.execute("ALTER TABLE users RENAME TO lost");
        for _ in 0..5 {
            let response = app.send_from(GUESSER, sign_up_request("ada")).await;
            assert!(response.status.is_server_error(), "{response:?}");
        }
        app.execute("ALTER TABLE lost RENAME TO users");
        for number in 0..3 {
            let sign_up = sign_up_request(&format!("user{number}"));
            app.send_from(GUESSER, sign_up).await.expect(201);
        }
        app.send_from(GUESSER, sign_up_request("ada")).await.expect(429);
    }
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
