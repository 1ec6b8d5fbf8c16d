//! `Idempotency-Key`: a write that is repeated with its key happens once.

use axum::body::Body;
use axum::http::Request;
use serde_json::{Value, json};

use crate::support::{Engine, PASSWORD, Setup, TestApp, TestCaller, TestResponse};

const REUSED: &str = "this Idempotency-Key was used for another request";

fn request(
    caller: &TestCaller<'_>,
    (method, path, body): (&str, &str, &Value),
    keys: &[&str],
) -> Request<Body> {
    let mut request = caller.request(method, path).header("content-type", "application/json");
    for key in keys {
        request = request.header("idempotency-key", *key);
    }
    let body = if body.is_null() { Body::empty() } else { Body::from(body.to_string()) };
    request.body(body).unwrap()
}

async fn send(
    app: &TestApp,
    caller: &TestCaller<'_>,
    line: (&str, &str, &Value),
    key: &str,
) -> TestResponse {
    app.send(request(caller, line, &[key])).await
}

#[track_caller]
fn assert_replayed(again: &TestResponse, first: &TestResponse) {
    assert_eq!((again.status, &again.body), (first.status, &first.body));
    assert_eq!(again.header("location"), first.header("location"));
    assert_eq!(again.header("idempotent-replayed"), "true");
    assert_eq!(first.header("idempotent-replayed"), "");
}

#[tokio::test]
async fn repeated_write_gets_the_first_response_and_happens_once() {
    let app = TestApp::start().await;
    let (ada, bob) = (app.signed_in("ada").await, app.signed_in("bob").await);
    let (post, path) = (json!({"title": "First", "content": "Hello"}), "/posts/1");
    let change = json!({"title": "Second", "content": "Hello", "published": false});
    let account = json!({"email": "Eve@Example.com", "password": PASSWORD});
    let anonymous = app.anonymous();
    for (caller, method, path, body, status) in [
        (&ada, "POST", "/posts", &post, 201),
        (&bob, "POST", "/vote", &json!({"post_id": 1, "dir": 1}), 201),
        (&bob, "POST", "/vote/", &json!({"post_id": 1, "dir": -1}), 201),
        (&bob, "POST", "/vote", &json!({"post_id": 1, "dir": 0}), 201),
        (&ada, "PUT", path, &change, 200),
        (&ada, "PATCH", path, &json!({"content": "Bye"}), 200),
        (&anonymous, "POST", "/users", &account, 201),
        (&ada, "DELETE", path, &Value::Null, 204),
    ] {
        let key = format!("{method} {path} {body}").replace(' ', "_").replace('"', "'");
        let first = send(&app, caller, (method, path, body), &key).await.expect(status);
        for _ in 0..2 {
            app.clock.advance(60);
            let again = send(&app, caller, (method, path, body), &key).await;
            assert_replayed(&again, &first);
        }
    }
    let accounts = app.query_pairs("SELECT email, email FROM users ORDER BY id");
    assert_eq!(accounts.len(), 3, "{accounts:?}");
    assert!(ada.titles("/posts").await.is_empty());
}

#[tokio::test]
async fn key_with_another_request_is_rejected() {
    let app = TestApp::start().await;
    let ada = app.signed_in("ada").await;
    let post = json!({"title": "First", "content": "Hello"});
    send(&app, &ada, ("POST", "/posts", &post), "k").await.expect(201);
    let other = json!({"title": "Other", "content": "Hello"});
    let draft = json!({"title": "First", "content": "Hello", "published": false});
    let vote = json!({"post_id": 1, "dir": 1});
    for line in [
        ("POST", "/posts", &other),
        ("POST", "/posts", &draft),
        ("PUT", "/posts/1", &post),
        ("PATCH", "/posts/1", &post),
        ("DELETE", "/posts/1", &Value::Null),
        ("POST", "/vote", &vote),
    ] {
        let refused = send(&app, &ada, line, "k").await.expect(422);
        assert_eq!(refused.json()["detail"][0]["msg"], REUSED, "{line:?}");
        assert_eq!(refused.header("idempotent-replayed"), "");
    }
    assert_eq!(ada.titles("/posts").await, ["First"]);
}

/// A client may write the same values in another way.
#[tokio::test]
async fn same_values_in_another_json_are_the_same_request() {
    let app = TestApp::start().await;
    let ada = app.signed_in("ada").await;
    let texts = [
        r#"{"title":"First","content":"é"}"#,
        r#"{ "content": "\u00e9", "title": "First", "published": true, "unknown": 1 }"#,
        r#"{"title":"First","content":"é","published":"yes"}"#,
    ];
    for (number, text) in texts.into_iter().enumerate() {
        let request = ada.request("POST", "/posts").header("content-type", "application/json");
        let request = request.header("idempotency-key", ["k", "\"k\""][number % 2]);
        let response = app.send(request.body(Body::from(text)).unwrap()).await.expect(201);
        assert_eq!(response.header("idempotent-replayed") == "true", number > 0, "{text}");
    }
    assert_eq!(ada.titles("/posts").await.len(), 1);
}

#[tokio::test]
async fn invalid_key_is_rejected_among_the_other_faults() {
    const REASON: &str = "should be 1 to 255 visible characters";
    let app = TestApp::start().await;
    let ada = app.signed_in("ada").await;
    let fault = |input: &str| {
        json!({
            "type": "value_error", "loc": ["header", "idempotency-key"], "msg": REASON,
            "input": input, "ctx": {"reason": REASON}
        })
    };
    let post = json!({"title": "First", "content": "Hello"});
    for (keys, input) in [
        (&[""][..], ""),
        (&["\"\""], "\"\""),
        (&["two words"], "two words"),
        (&["\"open"], "\"open"),
        (&["one", "two"], "one, two"),
        (&["k", "k"], "k, k"),
    ] {
        let refused = app.send(request(&ada, ("POST", "/posts", &post), keys)).await.expect(422);
        assert_eq!(refused.json(), json!({"detail": [fault(input)]}), "{keys:?}");
    }
    let long = "k".repeat(256);
    let refused = send(&app, &ada, ("POST", "/posts", &post), &long).await.expect(422);
    assert_eq!(refused.json()["detail"][0]["loc"], json!(["header", "idempotency-key"]));
    send(&app, &ada, ("POST", "/posts", &post), &long[1..]).await.expect(201);
    // First the path, then the header, then the body.
    let refused = send(&app, &ada, ("PUT", "/posts/x", &json!({"title": 1})), "").await;
    let locations: Vec<Value> = refused.expect(422).json()["detail"]
        .as_array()
        .unwrap()
        .iter()
        .map(|fault| fault["loc"].clone())
        .collect();
    let expected = json!([
        ["path", "id"],
        ["header", "idempotency-key"],
        ["body", "title"],
        ["body", "content"]
    ]);
    assert_eq!(json!(locations), expected);
    // Before any of them the token and the syntax of the body.
    let anonymous = app.anonymous();
    send(&app, &anonymous, ("POST", "/posts", &post), "").await.expect(401);
    let request = ada.request("POST", "/posts").header("idempotency-key", "");
    let request = request.header("content-type", "application/json").body(Body::from("{"));
    let refused = app.send(request.unwrap()).await.expect(422).json();
    assert_eq!(refused["detail"][0]["type"], "json_invalid");
    assert_eq!(refused["detail"].as_array().unwrap().len(), 1);
    assert_eq!(ada.titles("/posts").await.len(), 1);
}

/// These operations return tokens, or end the account that the key belongs to.
#[tokio::test]
async fn other_operations_ignore_the_header() {
    let app = TestApp::start().await;
    let ada = app.signed_in("ada").await;
    let change = json!({"email": "eve@example.com", "current_password": PASSWORD});
    for (method, path, body, status) in [
        ("GET", "/posts", &Value::Null, 200),
        ("GET", "/users/me", &Value::Null, 200),
        ("PATCH", "/users/me", &change, 200),
        ("POST", "/logout", &Value::Null, 401),
    ] {
        let response = send(&app, &ada, (method, path, body), "two words").await.expect(status);
        assert_eq!(response.header("idempotent-replayed"), "");
    }
    let keys = app.query_pairs("SELECT 'k', 'k' FROM idempotency_keys");
    assert!(keys.is_empty(), "{keys:?}");
}

#[tokio::test]
async fn refused_write_is_executed_when_it_is_repeated() {
    let app = TestApp::start().await;
    let (ada, bob) = (app.signed_in("ada").await, app.signed_in("bob").await);
    let vote = json!({"post_id": 1, "dir": 1});
    let line = ("POST", "/vote", &vote);
    send(&app, &bob, line, "k").await.expect(404);
    send(&app, &bob, ("POST", "/vote", &json!({"post_id": 1})), "k").await.expect(422);
    ada.write_post("title").await;
    send(&app, &bob, line, "k").await.expect(201);
    send(&app, &bob, line, "another").await.expect(409);
    assert_eq!(bob.vote(1, 0).await.status, 201);
    // The reply is that of then, and the vote stays withdrawn.
    let again = send(&app, &bob, line, "k").await.expect(201);
    assert_eq!(again.json(), json!({"message": "successfully added vote"}));
    assert_eq!(bob.votes(1).await, 0);
    send(&app, &bob, line, "another").await.expect(201);
}

#[tokio::test]
async fn key_is_forgotten_after_a_day() {
    let app = TestApp::start().await;
    let ada = app.signed_in("ada").await;
    let post = json!({"title": "First", "content": "Hello"});
    let first = send(&app, &ada, ("POST", "/posts", &post), "k").await.expect(201);
    app.clock.advance(24 * 60 * 60);
    let ada = app.with_token(&app.token_for(ada.id));
    let second = send(&app, &ada, ("POST", "/posts", &post), "k").await.expect(201);
    assert_ne!(first.json()["id"], second.json()["id"]);
}

#[tokio::test]
async fn replayed_sign_up_records_no_second_event() {
    let app = TestApp::start().await;
    let account = json!({"email": "eve@example.com", "password": PASSWORD});
    let anonymous = app.anonymous();
    for replayed in ["", "true", "true"] {
        let response = send(&app, &anonymous, ("POST", "/users", &account), "k").await.expect(201);
        assert_eq!(response.header("idempotent-replayed"), replayed);
    }
    let events = app.query_pairs("SELECT kind, kind FROM events");
    assert_eq!(events.len(), 1, "{events:?}");
    send(&app, &anonymous, ("POST", "/users", &account), "another").await.expect(409);
}

/// The fingerprint of a sign-up depends on the e-mail only, so that the table reveals nothing of the
/// password.
#[tokio::test]
async fn kept_key_of_a_sign_up_does_not_depend_on_the_password() {
    let mut kept = Vec::new();
    for password in [PASSWORD, "94 moss anchors and a gate"] {
        let app = TestApp::set_up(Setup { engine: Engine::Sqlite, ..Setup::default() }).await;
        let account = json!({"email": "eve@example.com", "password": password});
        send(&app, &app.anonymous(), ("POST", "/users", &account), "k").await.expect(201);
        kept.extend(app.query_pairs("SELECT hex(fingerprint), hex(key) FROM idempotency_keys"));
    }
    assert_eq!(kept.len(), 2);
    assert_eq!(kept[0], kept[1]);
}
