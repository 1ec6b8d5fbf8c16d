//! `/docs`, `/redoc` and `/openapi.json`: the documentation pages and the document.

use crate::support::{Setup, TestApp};

#[tokio::test]
async fn pages_load_nothing_from_other_hosts() {
    let app = TestApp::start().await;
    for path in ["/docs", "/docs/", "/redoc", "/docs/oauth2-redirect"] {
        let page = app.anonymous().get(path).await.expect(200);
        assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
        for elsewhere in ["src=\"http", "src=\"//", "href=\"http", "href=\"//", "cdn."] {
            let tags = page.text().split("<script>").next().unwrap();
            assert!(!tags.contains(elsewhere), "{path} loads {elsewhere}");
        }
        let policy = page.header("content-security-policy");
        assert!(policy.starts_with("default-src 'none'"), "{path}: {policy}");
        assert!(policy.contains("frame-ancestors 'none'"), "{path}: {policy}");
    }
    for path in ["/docs", "/redoc"] {
        assert!(app.anonymous().get(path).await.text().contains("/openapi.json"), "{path}");
    }
}

#[tokio::test]
async fn files_referenced_by_the_page_are_served() {
    let app = TestApp::start().await;
    let page = app.anonymous().get("/docs").await.expect(200);
    let files: Vec<&str> = page
        .text()
        .split('"')
        .filter(|text| text.starts_with("/docs/") && text.contains('.'))
        .collect();
    assert!(files.len() >= 3, "{files:?}");
    for file in files {
        let response = app.anonymous().get(file).await.expect(200);
        let content_type = response.header("content-type");
        let is_text = content_type.starts_with("text/");
        assert_eq!(is_text, content_type.ends_with("; charset=utf-8"), "{file}: {content_type}");
    }
    app.anonymous().get("/docs/no-such-file.js").await.expect(404);
    app.anonymous().get("/docs/..%2f..%2fCargo.toml").await.expect(404);
}

#[tokio::test]
async fn page_with_current_etag_gets_304() {
    let app = TestApp::start().await;
    for path in ["/docs", "/redoc", "/openapi.json"] {
        let page = app.anonymous().get(path).await.expect(200);
        let request = app.anonymous().request("GET", path);
        let request = request.header("if-none-match", page.header("etag"));
        let known = app.send(request.body(axum::body::Body::empty()).unwrap()).await.expect(304);
        assert!(known.body.is_empty());
        let request = app.anonymous().request("GET", path).header("if-none-match", "\"other\"");
        app.send(request.body(axum::body::Body::empty()).unwrap()).await.expect(200);
    }
}

/// Other versions of Swagger UI read their configuration from the query.
#[tokio::test]
async fn page_with_config_in_query_is_unchanged() {
    let app = TestApp::start().await;
    let page = app.anonymous().get("/docs").await.expect(200);
    for query in ["url=https://evil.example/a.json", "configUrl=//evil.example", "urls=x"] {
        let same = app.anonymous().get(&format!("/docs?{query}")).await.expect(200);
        assert_eq!(same.body, page.body);
    }
}

#[tokio::test]
async fn pages_with_docs_off_get_404() {
    let app = TestApp::set_up(Setup { pages: false, ..Setup::default() }).await;
    for path in ["/docs", "/redoc", "/openapi.json", "/docs/oauth2-redirect", "/docs/start.js"] {
        app.anonymous().get(path).await.expect(404);
    }
    app.signed_in("ada").await.get("/posts").await.expect(200);
}

#[tokio::test]
async fn document_names_the_token_url() {
    let app = TestApp::start().await;
    let document = app.anonymous().get("/openapi.json").await.expect(200).json();
    let flow =
        &document["components"]["securitySchemes"]["OAuth2PasswordBearer"]["flows"]["password"];
    assert_eq!(flow["tokenUrl"], "login");
    assert_eq!(document["info"]["title"], "Post Management API");
}

/// The page is served with and without a slash at its end, and refers to the same script.
#[tokio::test]
async fn redirect_page_refers_to_its_script_by_an_absolute_path() {
    let app = TestApp::start().await;
    for path in ["/docs/oauth2-redirect", "/docs/oauth2-redirect/"] {
        let page = app.anonymous().get(path).await.expect(200);
        let (_, script) = page.text().split_once("<script src=\"").expect("no script");
        let script = script.split('"').next().unwrap();
        assert!(script.starts_with('/'), "{path}: {script}");
        app.anonymous().get(script).await.expect(200);
    }
}
