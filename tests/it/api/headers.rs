//! Header fields that every response has, from handlers and from the middleware.

use std::collections::HashSet;

use axum::body::Body;

use super::operations::Operation;
use crate::support::{FORM, PASSWORD, TestApp, TestResponse};

async fn send_with_id(app: &TestApp, id: &[u8]) -> TestResponse {
    let request = app.anonymous().request("GET", "/livez").header("x-request-id", id);
    app.send(request.body(Body::empty()).unwrap()).await.expect(200)
}

#[tokio::test]
async fn every_response_has_security_headers() {
    let app = TestApp::start().await;
    let ada = app.signed_in("ada").await;
    for (method, path, status) in [
        ("GET", "/posts", 200),
        ("GET", "/posts?limit=x", 422),
        ("DELETE", "/users/me", 204),
        ("GET", "/users/me", 401),
        ("PATCH", "/posts", 405),
        ("GET", "/nowhere", 404),
        ("GET", "/docs", 200),
        ("GET", "/redoc", 200),
        ("GET", "/docs/oauth2-redirect", 200),
        ("GET", "/openapi.json", 200),
    ] {
        let response = ada.send_raw(method, path, "", "").await.expect(status);
        let context = format!("{method} {path}");
        assert_eq!(response.header("x-content-type-options"), "nosniff", "{context}");
        assert_eq!(response.header("x-frame-options"), "DENY", "{context}");
        assert_eq!(response.header("referrer-policy"), "no-referrer", "{context}");
        let policy = response.header("content-security-policy");
        for rule in ["default-src", "object-src", "base-uri", "frame-ancestors"] {
            let directives = policy.split("; ").filter(|directive| directive.starts_with(rule));
            assert_eq!(
                directives.collect::<Vec<_>>(),
                [format!("{rule} 'none'")],
                "{context}: {policy}"
            );
        }
        let is_page = ["/docs", "/redoc", "/docs/oauth2-redirect", "/openapi.json"].contains(&path);
        let expected = match path {
            "/posts" if status == 200 => "private, no-cache",
            _ if is_page => "no-cache",
            _ => "no-store",
        };
        assert_eq!(response.header("cache-control"), expected, "{context}");
        for name in
            ["server", "x-powered-by", "access-control-allow-origin", "strict-transport-security"]
        {
            assert!(response.header(name).is_empty(), "{context}: {name}");
        }
    }
}

/// Without cookies a browser sends no credentials by itself.
#[tokio::test]
async fn no_response_sets_a_cookie() {
    let app = TestApp::start().await;
    let post = app.signed_in("ada").await.write_post("a post").await.to_string();
    let account = format!("username=ada@example.com&password={PASSWORD}");
    let mut responses = Vec::new();
    for scope in ["", "&scope=offline_access"] {
        let form = format!("{account}{scope}");
        responses.push(app.anonymous().send_raw("POST", "/login", FORM, form).await.expect(200));
    }
    for (number, operation) in Operation::all(&app).await.iter().enumerate() {
        for caller in [app.anonymous(), app.signed_in(&format!("caller{number}")).await] {
            responses.push(operation.call(&caller, &post).await);
        }
    }
    for path in ["/docs", "/redoc", "/docs/oauth2-redirect", "/docs/start.js", "/nowhere"] {
        responses.push(app.anonymous().get(path).await);
    }
    assert!(responses.iter().any(|response| response.status == 201), "no operation succeeded");
    for response in responses {
        for name in ["set-cookie", "set-cookie2"] {
            assert!(!response.headers.contains_key(name), "{response:?}");
        }
    }
}

#[tokio::test]
async fn valid_request_id_is_kept() {
    let app = TestApp::start().await;
    for id in ["a", "0123-abc_DEF.9", &"x".repeat(64)] {
        assert_eq!(send_with_id(&app, id.as_bytes()).await.header("x-request-id"), id);
    }
}

#[tokio::test]
async fn invalid_request_id_is_replaced() {
    let app = TestApp::start().await;
    let long = "x".repeat(65);
    let invalid_ids: [&[u8]; 7] =
        [b"", long.as_bytes(), b"a b", b"a\xe4", b"<script>", b"a;b", b"a\tb"];
    let mut seen = HashSet::new();
    for id in invalid_ids {
        let generated = send_with_id(&app, id).await.header("x-request-id").to_owned();
        assert_eq!(generated.len(), 16);
        assert!(generated.bytes().all(|byte| byte.is_ascii_hexdigit()), "{generated}");
        seen.insert(generated);
    }
    seen.insert(app.anonymous().get("/nowhere").await.header("x-request-id").to_owned());
    assert_eq!(seen.len(), invalid_ids.len() + 1);
}
