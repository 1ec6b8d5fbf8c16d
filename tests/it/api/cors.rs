//! Cross-origin requests (CORS): which origins may read responses, and preflights.

use axum::body::Body;
use axum::http::HeaderValue;
use post_api::server::AllowedOrigins;

use crate::support::{Setup, TestApp, TestResponse};

const APP: &str = "https://app.example.org";

async fn app_with_listed_origins() -> TestApp {
    let listed = [APP, "http://localhost:3000"].map(HeaderValue::from_static);
    TestApp::set_up(Setup { origins: AllowedOrigins::Listed(listed.to_vec()), ..Setup::default() })
        .await
}

async fn send_with_origin(app: &TestApp, path: &str, origin: &str) -> TestResponse {
    let request = app.anonymous().request("GET", path).header("origin", origin);
    app.send(request.header("cookie", "a=b").body(Body::empty()).unwrap()).await
}

async fn preflight(app: &TestApp, path: &str, origin: &str, headers: Option<&str>) -> TestResponse {
    let mut request = app.anonymous().request("OPTIONS", path).header("origin", origin);
    request = request.header("access-control-request-method", "PUT");
    if let Some(headers) = headers {
        request = request.header("access-control-request-headers", headers);
    }
    app.send(request.body(Body::empty()).unwrap()).await
}

#[tokio::test]
async fn any_origin_may_read_without_credentials() {
    let app = TestApp::start().await;
    for path in ["/livez", "/posts", "/nowhere", "/users/x", "/docs"] {
        for origin in [APP, "null", "not an origin"] {
            let response = send_with_origin(&app, path, origin).await;
            assert_eq!(response.header("access-control-allow-origin"), "*", "{path}");
            assert!(response.header("access-control-allow-credentials").is_empty(), "{path}");
            assert!(response.header("access-control-expose-headers").contains("x-request-id"));
        }
        let same_origin = app.anonymous().get(path).await;
        assert!(
            !same_origin.headers.keys().any(|name| name.as_str().starts_with("access-control"))
        );
    }
}

#[tokio::test]
async fn preflight_on_any_path_is_answered() {
    let app = TestApp::start().await;
    for path in ["/posts", "/posts/1", "/nowhere", "/login/"] {
        let response = preflight(&app, path, APP, Some("authorization, x-own")).await.expect(200);
        assert_eq!(response.header("access-control-allow-origin"), "*");
        assert_eq!(response.header("access-control-allow-headers"), "authorization, x-own");
        for method in ["GET", "POST", "PUT", "PATCH", "DELETE"] {
            assert!(response.header("access-control-allow-methods").contains(method));
        }
        response.header("access-control-max-age").parse::<u32>().unwrap();
        let bare = preflight(&app, path, APP, None).await.expect(200);
        assert!(bare.header("access-control-allow-headers").is_empty());
    }
}

#[tokio::test]
async fn options_without_preflight_headers_gets_405() {
    let app = TestApp::start().await;
    app.anonymous().send_raw("OPTIONS", "/posts", "", "").await.expect(405);
    let request = app.anonymous().request("OPTIONS", "/posts").header("origin", APP);
    app.send(request.body(Body::empty()).unwrap()).await.expect(405);
    let request = app.anonymous().request("OPTIONS", "/posts");
    let request = request.header("access-control-request-method", "PUT");
    app.send(request.body(Body::empty()).unwrap()).await.expect(405);
}

#[tokio::test]
async fn only_listed_origins_may_read() {
    let app = app_with_listed_origins().await;
    for origin in [APP, "http://localhost:3000"] {
        let response = send_with_origin(&app, "/livez", origin).await.expect(200);
        assert_eq!(response.header("access-control-allow-origin"), origin);
        assert!(response.header("access-control-allow-credentials").is_empty());
        let response = preflight(&app, "/posts", origin, Some("authorization")).await.expect(200);
        assert_eq!(response.header("access-control-allow-origin"), origin);
    }
    for origin in [
        "null",
        "*",
        "",
        "https://app.example.org.evil.example",
        "https://evil.example/https://app.example.org",
        "http://app.example.org",
        "https://app.example.org:8443",
        "https://app.example.org/",
        "https://APP.example.org",
        "https://sub.app.example.org",
        "http://localhost:3001",
    ] {
        for response in [
            send_with_origin(&app, "/livez", origin).await,
            preflight(&app, "/posts", origin, None).await,
        ] {
            assert!(response.header("access-control-allow-origin").is_empty(), "{origin}");
            assert!(response.header("access-control-expose-headers").is_empty(), "{origin}");
        }
    }
}

/// Without `Vary` a cache could give one origin the response for another. The Fetch standard
/// requires it also for requests without `Origin`.
#[tokio::test]
async fn response_with_listed_origins_varies_by_origin() {
    let app = app_with_listed_origins().await;
    for response in [
        send_with_origin(&app, "/docs", APP).await,
        send_with_origin(&app, "/docs", "https://evil.example").await,
        app.anonymous().get("/docs").await,
        preflight(&app, "/posts", APP, None).await,
    ] {
        assert!(response.header("vary").starts_with("origin"), "{response:?}");
    }
}

/// Only listed origins: a browser rejects credentials together with `*`.
#[tokio::test]
async fn only_listed_origins_may_send_credentials() {
    let listed = AllowedOrigins::Listed(vec![HeaderValue::from_static(APP)]);
    let origins = listed.with_credentials().unwrap();
    let app = TestApp::set_up(Setup { origins, ..Setup::default() }).await;
    for response in [
        send_with_origin(&app, "/livez", APP).await,
        send_with_origin(&app, "/nowhere", APP).await,
        preflight(&app, "/posts", APP, Some("authorization")).await,
    ] {
        assert_eq!(response.header("access-control-allow-origin"), APP);
        assert_eq!(response.header("access-control-allow-credentials"), "true");
    }
    for response in [
        send_with_origin(&app, "/livez", "https://evil.example").await,
        preflight(&app, "/posts", "https://evil.example", None).await,
        app.anonymous().get("/livez").await,
    ] {
        assert!(response.header("access-control-allow-origin").is_empty(), "{response:?}");
        assert!(response.header("access-control-allow-credentials").is_empty(), "{response:?}");
    }
    assert_eq!(AllowedOrigins::Any.with_credentials(), None);
}

/// Otherwise the page of another origin could not read what the document promises.
#[tokio::test]
async fn every_documented_header_is_exposed() {
    // The Fetch standard always exposes these.
    const SAFE: [&str; 7] = [
        "cache-control",
        "content-language",
        "content-length",
        "content-type",
        "expires",
        "last-modified",
        "pragma",
    ];
    let app = TestApp::start().await;
    let response = send_with_origin(&app, "/openapi.json", APP).await;
    let exposed: Vec<&str> = response.header("access-control-expose-headers").split(", ").collect();
    let document = response.json();
    let mut documented: Vec<String> = ["x-request-id", "allow", "etag"].map(str::to_owned).into();
    for methods in document["paths"].as_object().unwrap().values() {
        for operation in methods.as_object().unwrap().values() {
            for answer in operation["responses"].as_object().unwrap().values() {
                let headers = answer["headers"].as_object().into_iter().flat_map(|map| map.keys());
                documented.extend(headers.map(|name| name.to_ascii_lowercase()));
            }
        }
    }
    for name in ["location", "retry-after", "ratelimit", "ratelimit-policy", "www-authenticate"] {
        assert!(documented.iter().any(|known| known == name), "{name} is not documented");
    }
    for name in documented {
        let is_readable = exposed.contains(&name.as_str()) || SAFE.contains(&name.as_str());
        assert!(is_readable, "{name} is not in {exposed:?}");
    }
}
