//! Errors before a handler runs have the same shape as those of handlers.

use std::collections::BTreeSet;

use serde_json::json;

use super::operations::Operation;
use crate::support::{TestApp, TestResponse};

/// The largest accepted body, in bytes.
const LARGEST: usize = 2 * 1024 * 1024;

#[track_caller]
fn assert_shape(response: &TestResponse, status: u16, detail: &str, context: &str) {
    assert_eq!(response.status, status, "{context}");
    assert_eq!(response.text(), json!({"detail": detail}).to_string(), "{context}");
    assert_eq!(response.header("content-type"), "application/json", "{context}");
    assert!(response.header("location").is_empty(), "{context}");
}

#[tokio::test]
async fn unknown_path_gets_404() {
    let app = TestApp::start().await;
    let ada = app.signed_in("ada").await;
    for path in [
        "/sqlalchemy",
        "/post",
        "/posts/1/2",
        "//posts",
        "//evil.example",
        "/posts/1/..;/",
        "/posts/../users",
        "/POSTS",
        "/users/me/x",
        "/%2e%2e/posts",
        "/posts//1",
        "/.env",
        "/openapi.yaml",
        "/posts%00",
        "/posts%2F1",
        "/vote/1",
        "/%ff",
    ] {
        for method in ["GET", "POST", "DELETE"] {
            let response = ada.send_raw(method, path, "application/json", "{}").await;
            assert_shape(&response, 404, "Not Found", &format!("{method} {path}"));
        }
    }
}

/// `Allow` names every method of the path once, and HEAD wherever it names GET.
#[tokio::test]
async fn unknown_method_gets_405_with_allow() {
    let app = TestApp::start().await;
    let operations = Operation::all(&app).await;
    let paths: BTreeSet<&str> =
        operations.iter().map(|operation| operation.path.as_str()).collect();
    for path in paths {
        let known = operations.iter().filter(|operation| operation.path == path);
        let mut methods: BTreeSet<&str> =
            known.map(|operation| operation.method.as_str()).collect();
        if methods.contains("GET") {
            methods.insert("HEAD");
        }
        let tried =
            ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "get", "X"];
        for method in tried.into_iter().filter(|method| !methods.contains(method)) {
            let concrete = path.replace("{id}", "1");
            for path in [concrete.clone(), format!("{}/", concrete.trim_end_matches('/'))] {
                let response = app.anonymous().send_raw(method, &path, "", "").await;
                let context = format!("{method} {path}");
                if method == "HEAD" {
                    assert_eq!(response.status, 405, "{context}");
                } else {
                    assert_shape(&response, 405, "Method Not Allowed", &context);
                }
                assert_eq!(response.headers.get_all("allow").iter().count(), 1, "{context}");
                let mut allowed: Vec<&str> =
                    response.header("allow").split(',').map(str::trim).collect();
                allowed.sort_unstable();
                assert_eq!(allowed, methods.iter().copied().collect::<Vec<_>>(), "{context}");
            }
        }
    }
}

#[tokio::test]
async fn method_override_header_is_ignored() {
    let app = TestApp::start().await;
    let ada = app.signed_in("ada").await;
    let path = format!("/posts/{}", ada.write_post("post").await);
    for name in ["x-http-method-override", "x-http-method", "x-method-override"] {
        let request = ada.request("GET", &path).header(name, "DELETE");
        app.send(request.body(axum::body::Body::empty()).unwrap()).await.expect(200);
    }
    ada.get(&format!("{path}?_method=DELETE")).await.expect(200);
    ada.get(&path).await.expect(200);
}

#[tokio::test]
async fn head_request_returns_get_headers_without_body() {
    let app = TestApp::start().await;
    let ada = app.signed_in("ada").await;
    let post = format!("/posts/{}", ada.write_post("post").await);
    for path in
        [&post, "/posts", "/users/me", "/livez", "/readyz", "/openapi.json", "/docs", "/redoc"]
    {
        let (get, head) = (ada.get(path).await.expect(200), ada.head(path).await.expect(200));
        assert!(head.body.is_empty(), "{path}");
        assert_eq!(get.header("content-type"), head.header("content-type"), "{path}");
        assert_eq!(head.header("content-length"), get.body.len().to_string(), "{path}");
    }
    app.anonymous().head("/posts").await.expect(401);
    ada.head("/posts/4711").await.expect(404);
}

#[tokio::test]
async fn body_over_2_mib_is_rejected() {
    let app = TestApp::start().await;
    let ada = app.signed_in("ada").await;
    let around = r#"{"title":"","content":""}"#.len();
    let body =
        |length: usize| format!(r#"{{"title":"","content":"{}"}}"#, "x".repeat(length - around));
    let json = "application/json";
    ada.send_raw("POST", "/posts", json, body(LARGEST)).await.expect(201);
    let response = ada.send_raw("POST", "/posts", json, body(LARGEST + 1)).await;
    assert_shape(&response, 413, "the body is larger than 2 MiB", "one byte over the limit");
    let announced =
        ada.request("POST", "/posts").header("content-length", (LARGEST + 1).to_string());
    let response = app.send(announced.body(axum::body::Body::empty()).unwrap()).await;
    assert_shape(&response, 413, "the body is larger than 2 MiB", "announced");
    // Without a token the service does not read the body.
    app.anonymous().send_raw("POST", "/posts", json, body(LARGEST + 1)).await.expect(401);
    app.anonymous().send_raw("POST", "/users", json, body(LARGEST + 1)).await.expect(413);
    assert_eq!(ada.titles("/posts").await.len(), 1);
}

#[tokio::test]
async fn unreadable_body_gets_400() {
    let app = TestApp::start().await;
    let ada = app.signed_in("ada").await;
    for body in [
        vec![b'"', 0xff, b'"'],
        b"\xff\xfe{\0}\0".to_vec(),
        b"\xfe\xff\0{\0}".to_vec(),
        b"\xff\xfe\0\0{\0\0\0}\0\0\0".to_vec(),
        b"\0\0\xfe\xff\0\0\0{\0\0\0}".to_vec(),
        "[".repeat(100_000).into_bytes(),
        r#"{"a":"#.repeat(100_000).into_bytes(),
        format!("[{}]", "9".repeat(4301)).into_bytes(),
    ] {
        let response = ada.send_raw("POST", "/posts", "application/json", body).await;
        assert_shape(&response, 400, "There was an error parsing the body", "unreadable");
    }
}

#[tokio::test]
async fn invalid_json_body_gets_422() {
    let app = TestApp::start().await;
    let ada = app.signed_in("ada").await;
    for body in ["{", "{}{}", "{} x", "nope", "{'a':1}", "[1,]", "\u{1}", "NaN", "-", "\"\\x\""] {
        let response = ada.send_raw("POST", "/posts", "application/json", body).await.expect(422);
        let error = &response.json()["detail"][0];
        assert_eq!(error["type"], "json_invalid", "{body}");
        assert_eq!((&error["input"], &error["loc"][0]), (&json!({}), &json!("body")), "{body}");
    }
}

/// JSON between systems is UTF-8 (RFC 8259, 8.1). A gateway that looks for attacks in UTF-8 would not
/// see them in another encoding.
#[tokio::test]
async fn json_body_in_utf_16_or_utf_32_is_rejected() {
    let app = TestApp::start().await;
    let ada = app.signed_in("ada").await;
    let post = r#"{"title":"a title","content":"text"}"#;
    let encode = |width: usize, is_little: bool| -> Vec<u8> {
        let bytes = |byte: u8| {
            let mut unit = vec![0; width];
            unit[if is_little { 0 } else { width - 1 }] = byte;
            unit
        };
        post.bytes().flat_map(bytes).collect()
    };
    for (width, is_little) in [(2, true), (2, false), (4, true), (4, false)] {
        let body = encode(width, is_little);
        for media_type in ["application/json", "application/json; charset=utf-16"] {
            let response = ada.send_raw("POST", "/posts", media_type, body.clone()).await;
            assert_eq!(response.status, 422, "{width} {is_little}: {}", response.text());
            assert_eq!(response.json()["detail"][0]["type"], "json_invalid");
        }
    }
    assert!(ada.titles("/posts").await.is_empty());
}

/// A byte order mark is skipped, the last of equal keys counts, and media types may have
/// parameters.
#[tokio::test]
async fn unusual_but_valid_json_body_is_accepted() {
    let app = TestApp::start().await;
    let ada = app.signed_in("ada").await;
    let twice = r#"{"title":1,"title":"last","content":"c"}"#;
    for media_type in
        ["application/json; charset=utf-8", "APPLICATION/JSON", "application/a+json", ""]
    {
        let body = format!("\u{feff} {twice} \n");
        let post = ada.send_raw("POST", "/posts", media_type, body).await.expect(201).json();
        assert_eq!(post["title"], "last");
    }
    for media_type in ["text/json", "text/plain", "application/xml", "json", "\u{e4}"] {
        ada.send_raw("POST", "/posts", media_type, twice).await.expect(422);
    }
}

/// The paused clock advances when the runtime is idle, so the 30 seconds pass at once.
#[tokio::test(start_paused = true)]
async fn body_that_never_arrives_gets_408() {
    let app = TestApp::start().await;
    let silence = futures_util::stream::pending::<std::io::Result<Vec<u8>>>();
    let body = axum::body::Body::from_stream(silence);
    let response = app.anonymous().send_raw("POST", "/users", "application/json", body).await;
    assert_shape(&response, 408, "the request took too long to arrive", "silence");
}
