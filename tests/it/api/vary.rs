//! `Vary` names every header of the request that a response depends on: for each route, a request
//! with the header is compared with one without it.

use axum::body::Body;

use super::operations::Operation;
use crate::support::{Setup, TestApp, TestResponse, key_files};

/// Headers that could change a response. Not here: `If-None-Match`, which never belongs into `Vary`.
const CANDIDATES: [(&str, &str); 9] = [
    ("origin", "https://app.example.org"),
    ("accept", "text/html"),
    ("accept-encoding", "gzip, br, zstd"),
    ("accept-language", "de"),
    ("user-agent", "another browser"),
    ("cookie", "a=b"),
    ("referer", "https://app.example.org/page"),
    ("x-forwarded-proto", "https"),
    ("x-forwarded-for", "203.0.113.9"),
];

async fn send(
    app: &TestApp,
    method: &str,
    path: &str,
    header: Option<(&str, &str)>,
) -> TestResponse {
    let mut request = app.anonymous().request(method, path);
    if let Some((name, value)) = header {
        request = request.header(name, value);
    }
    app.send(request.body(Body::empty()).unwrap()).await
}

/// Returns what two responses to the same request have in common.
fn essence(response: &TestResponse) -> String {
    let mut headers = response.headers.clone();
    headers.remove("x-request-id");
    format!("{} {headers:?} {}", response.status, String::from_utf8_lossy(&response.body))
}

#[tokio::test]
async fn vary_names_every_header_that_changes_a_response() {
    let app = TestApp::set_up(Setup { keys: key_files::ed25519, ..Setup::default() }).await;
    let ada = app.signed_in("ada").await;
    let id = ada.id.to_string();
    let token = format!("Bearer {}", ada.token.as_deref().unwrap());
    let mut paths: Vec<String> =
        Operation::all(&app).await.iter().map(|operation| operation.path_to(&id)).collect();
    paths.extend(
        ["/docs", "/redoc", "/docs/oauth2-redirect", "/docs/start.js", "/openapi.json", "/nowhere"]
            .map(str::to_owned),
    );
    let mut depending = std::collections::BTreeSet::new();
    for path in paths {
        for method in ["GET", "HEAD", "OPTIONS"] {
            let plain = send(&app, method, &path, None).await;
            let vary = plain.header("vary").to_owned();
            for header in CANDIDATES.into_iter().chain([("authorization", token.as_str())]) {
                let other = send(&app, method, &path, Some(header)).await;
                assert_eq!(other.header("vary"), vary, "{method} {path} {}", header.0);
                if essence(&other) != essence(&plain) {
                    depending.insert(header.0);
                    let is_named = vary.split(", ").any(|name| name == header.0);
                    assert!(is_named, "{method} {path} depends on {}: {vary:?}", header.0);
                }
            }
        }
    }
    // Otherwise the comparison would see nothing.
    let depending: Vec<_> = depending.into_iter().collect();
    assert_eq!(depending, ["accept-encoding", "authorization", "origin"]);
}

/// A cache that stores the keys for one caller must be able to serve them to others.
#[tokio::test]
async fn cacheable_response_does_not_vary_by_caller() {
    let app = TestApp::set_up(Setup { keys: key_files::ed25519, ..Setup::default() }).await;
    for path in ["/.well-known/jwks.json", "/docs", "/redoc", "/docs/start.js", "/openapi.json"] {
        let response = app.anonymous().get(path).await.expect(200);
        assert!(!response.header("vary").contains("authorization"), "{path}");
        assert!(!response.header("cache-control").contains("no-store"), "{path}");
    }
}

#[tokio::test]
async fn preflight_varies_by_the_headers_that_it_answers() {
    let app = TestApp::start().await;
    let request = app.anonymous().request("OPTIONS", "/posts");
    let request = request.header("origin", "https://app.example.org");
    let request = request.header("access-control-request-method", "PUT");
    let response = app.send(request.body(Body::empty()).unwrap()).await.expect(200);
    let vary = response.header("vary");
    for name in ["origin", "access-control-request-method", "access-control-request-headers"] {
        assert!(vary.split(", ").any(|varied| varied == name), "{name} is not in {vary:?}");
    }
}
