//! Requests that open no stream, and the head of those that do.

use axum::body::Body;
use axum::http::{HeaderMap, Request};
use post_api::api::ChangeFeed;
use serde_json::json;
use tower::ServiceExt as _;

use super::{CHANGES, TICKETS, open};
use crate::support::{Setup, TestApp, TestCaller};

#[tokio::test]
async fn request_for_another_type_is_refused() {
    let app = TestApp::start().await;
    let ada = app.signed_in("ada").await;
    let send = async |caller: &TestCaller<'_>, accept: &str| {
        let request = caller.request("GET", CHANGES).header("accept", accept);
        app.send(request.body(Body::empty()).unwrap()).await
    };
    let response = send(&ada, "application/json").await.expect(406);
    assert_eq!(response.json(), json!({"detail": "Not Acceptable"}));
    for accept in ["*/*", "text/event-stream", "text/*;q=0.1"] {
        send(&ada, accept).await.expect(200);
    }
    send(&app.anonymous(), "application/json").await.expect(401);
}

#[tokio::test]
async fn invalid_query_is_refused_after_the_token() {
    let app = TestApp::start().await;
    let ada = app.signed_in("ada").await;
    let path = format!("{CHANGES}?votes=maybe");
    let error = ada.get(&path).await.expect(422).json();
    let expected = json!({"type": "bool_parsing", "loc": ["query", "votes"], "input": "maybe",
        "msg": "Input should be a valid boolean, unable to interpret input"});
    assert_eq!(error["detail"], json!([expected]));
    app.anonymous().get(&path).await.expect(401);
}

#[tokio::test]
async fn stream_is_no_response_that_caches_or_proxies_keep() {
    let app = TestApp::start().await;
    let ada = app.signed_in("ada").await;
    let response = ada.get(CHANGES).await.expect(200);
    assert_eq!(response.header("cache-control"), "no-store");
    assert_eq!(response.header("x-accel-buffering"), "no");
    let head = ada.head(CHANGES).await.expect(200);
    assert_eq!(head.text(), "");
    let without_id = |headers: &HeaderMap| {
        let mut headers = headers.clone();
        assert!(headers.remove("x-request-id").is_some(), "{headers:?}");
        headers
    };
    // Also no `Content-Length`: RFC 9110, 8.6.
    assert_eq!(without_id(&head.headers), without_id(&response.headers));
    app.anonymous().head(CHANGES).await.expect(401);
}

#[tokio::test]
async fn account_has_ten_streams() {
    let app = TestApp::start().await;
    let (ada, bob) = (app.signed_in("ada").await, app.signed_in("bob").await);
    let mut streams = Vec::new();
    for _ in 0..10 {
        streams.push(open(&app, &ada, "").await);
    }
    let response = ada.get(CHANGES).await.expect(429);
    assert_eq!(response.detail(), "too many requests, try again later");
    assert_eq!(response.header("retry-after"), "2");
    assert_eq!(response.header("ratelimit-policy"), "\"streams\";q=10");
    assert_eq!(response.header("ratelimit"), "\"streams\";r=0");
    ada.head(CHANGES).await.expect(200);
    open(&app, &bob, "").await;
    streams.pop();
    open(&app, &ada, "").await;
}

#[tokio::test]
async fn process_has_as_many_streams_as_set() {
    let setup = Setup { changes: ChangeFeed::new(2), ..Setup::default() };
    let app = TestApp::set_up(setup).await;
    let ada = app.signed_in("ada").await;
    let _streams = [open(&app, &ada, "").await, open(&app, &ada, "").await];
    let response = ada.get(CHANGES).await.expect(503);
    assert_eq!(response.header("retry-after"), "2");
}

#[tokio::test]
async fn without_streams_there_are_no_routes() {
    let setup = Setup { changes: ChangeFeed::new(0), ..Setup::default() };
    let app = TestApp::set_up(setup).await;
    let ada = app.signed_in("ada").await;
    for caller in [&ada, &app.anonymous()] {
        for (method, path) in [("GET", CHANGES), ("HEAD", CHANGES), ("POST", TICKETS)] {
            let request = caller.request(method, path).body(Body::empty()).unwrap();
            let response = app.routes().oneshot(request).await.unwrap();
            assert_eq!(response.status(), 404, "{method} {path}");
        }
    }
}

#[tokio::test]
async fn other_methods_of_the_stream_are_not_allowed() {
    let app = TestApp::start().await;
    let ada = app.signed_in("ada").await;
    for (method, path) in [("POST", CHANGES), ("PUT", CHANGES), ("GET", TICKETS)] {
        let request: Request<Body> = ada.request(method, path).body(Body::empty()).unwrap();
        assert_eq!(ada.send(request).await.status, 405, "{method} {path}");
    }
}
