//! `/docs`, `/redoc` and `/openapi.json`: the documentation pages and the document.

use std::io::Read as _;

use flate2::read::GzDecoder;
use post_api::api::PageSwitches;
use post_api::domain::policy::{PasswordRules, Policy};
use serde_json::{Value, json};

use crate::support::{PASSWORD, Setup, TestApp, TestResponse};

/// Returns the document that the service serves under this policy.
async fn document_under(policy: &Policy) -> (TestApp, Value) {
    let app = TestApp::with(policy.clone()).await;
    let document = app.anonymous().get("/openapi.json").await.expect(200).json();
    (app, document)
}

fn parameter<'a>(document: &'a Value, name: &str) -> &'a Value {
    let parameters = document["paths"]["/posts"]["get"]["parameters"].as_array().unwrap();
    parameters.iter().find(|known| known["name"] == name).unwrap_or(&Value::Null)
}

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

/// Returns a page as a client gets it that accepts these codings, and may have a version of it.
async fn page(app: &TestApp, path: &str, codings: &str, known: &str) -> TestResponse {
    let request = app.anonymous().request("GET", path).header("accept-encoding", codings);
    let request = request.header("if-none-match", known);
    app.send(request.body(axum::body::Body::empty()).unwrap()).await
}

#[tokio::test]
async fn page_is_compressed_for_clients_that_accept_gzip() {
    let app = TestApp::start().await;
    for path in ["/docs/swagger-ui-bundle.js", "/docs/redoc.js", "/openapi.json"] {
        let plain = page(&app, path, "identity, br", "").await.expect(200);
        let compressed = page(&app, path, "br, gzip;q=0.5", "").await.expect(200);
        assert_eq!(compressed.header("content-encoding"), "gzip", "{path}");
        assert!(plain.headers.get("content-encoding").is_none(), "{path}");
        assert!(compressed.body.len() * 2 < plain.body.len(), "{path}");
        let mut unpacked = Vec::new();
        GzDecoder::new(compressed.body.as_slice()).read_to_end(&mut unpacked).unwrap();
        assert!(unpacked == plain.body, "{path}");
        assert_eq!(compressed.header("content-type"), plain.header("content-type"), "{path}");
    }
}

#[tokio::test]
async fn compressed_page_has_a_tag_of_its_own() {
    let app = TestApp::start().await;
    for path in ["/docs/redoc.js", "/openapi.json"] {
        let plain = page(&app, path, "identity", "").await.expect(200).header("etag").to_owned();
        let compressed = page(&app, path, "gzip", "").await.expect(200).header("etag").to_owned();
        assert_ne!(plain, compressed, "{path}");
        for (codings, known, status) in [
            ("gzip", &compressed, 304),
            ("gzip", &plain, 200),
            ("identity", &plain, 304),
            ("identity", &compressed, 200),
        ] {
            let response = page(&app, path, codings, known).await.expect(status);
            assert!(response.header("vary").contains("accept-encoding"), "{path} {codings}");
        }
    }
}

#[tokio::test]
async fn images_and_responses_of_the_api_are_not_compressed() {
    let app = TestApp::start().await;
    let ada = app.signed_in("ada").await;
    ada.post("/posts", &json!({"title": "long", "content": "a".repeat(10_000)})).await.expect(201);
    let request = ada.request("GET", "/posts").header("accept-encoding", "gzip");
    let posts = app.send(request.body(axum::body::Body::empty()).unwrap()).await.expect(200);
    let image = page(&app, "/docs/favicon-32x32.png", "gzip", "").await.expect(200);
    for response in [posts, image] {
        assert!(response.headers.get("content-encoding").is_none());
        assert!(!response.header("vary").contains("accept-encoding"));
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
    let pages = PageSwitches { docs: false, front_page: true };
    let app = TestApp::set_up(Setup { pages, ..Setup::default() }).await;
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

/// `DELETE_REQUIRES_PASSWORD`, `PASSWORD_…`, `POSTS_DEFAULT_LIMIT` and what else a policy has: the
/// bounds in the document are those that the service enforces.
#[tokio::test]
async fn documented_password_lengths_are_those_of_the_policy() {
    for minimum in [0, 8, 15] {
        let passwords = PasswordRules {
            minimum_length: minimum,
            blocklist: false,
            forbidden_words: Vec::new(),
        };
        let (app, document) = document_under(&Policy { passwords, ..Policy::default() }).await;
        let schemas = &document["components"]["schemas"];
        for schema in [
            &schemas["UserCreate"]["properties"]["password"],
            &schemas["PasswordChange"]["properties"]["new_password"],
        ] {
            assert_eq!(
                (&schema["minLength"], &schema["maxLength"]),
                (&json!(minimum), &json!(4096))
            );
            assert!(!schema["description"].as_str().unwrap().contains("common"), "{schema}");
        }
        for (length, is_accepted) in
            [(minimum, true), (4096, true), (4097, false), (minimum.wrapping_sub(1), false)]
        {
            if length > 4097 {
                continue;
            }
            let account = json!({
                "email": format!("user{length}@example.com"), "password": "x".repeat(length)
            });
            let status = if is_accepted { 201 } else { 422 };
            app.anonymous().post("/users", &account).await.expect(status);
        }
    }
    let (_, document) = document_under(&Policy::default()).await;
    let password = &document["components"]["schemas"]["UserCreate"]["properties"]["password"];
    assert_eq!(password["description"], "8 to 4096 characters, and not a common password.");
}

#[tokio::test]
async fn documented_list_bounds_are_those_of_the_policy() {
    let (app, document) = document_under(&Policy::default()).await;
    let limit = parameter(&document, "limit");
    let schema = &limit["schema"];
    assert_eq!((&schema["default"], &schema["maximum"]), (&json!(100), &json!(1000)));
    assert!(parameter(&document, "published").is_object());
    app.signed_in("ada").await.get("/posts?limit=1001").await.expect(422);

    let policy = Policy { posts_default_limit: Some(7), ..Policy::default() };
    let (_, document) = document_under(&policy).await;
    assert_eq!(parameter(&document, "limit")["schema"]["default"], 7);

    let (app, document) = document_under(&Policy::reference()).await;
    let limit = parameter(&document, "limit");
    let schema = &limit["schema"];
    assert_eq!((&schema["default"], &schema["maximum"]), (&Value::Null, &Value::Null));
    assert!(parameter(&document, "published").is_null());
    app.signed_in("ada").await.get("/posts?limit=5000").await.expect(200);
}

#[tokio::test]
async fn documented_deletion_names_header_and_field() {
    for (delete_requires_password, phrase) in
        [(false, "If the setting"), (true, "The password confirms")]
    {
        let policy = Policy { delete_requires_password, ..Policy::default() };
        let (_, document) = document_under(&policy).await;
        for path in ["/users/me", "/users/{id}"] {
            let operation = &document["paths"][path]["delete"];
            let description = operation["description"].as_str().unwrap();
            assert!(description.contains(phrase), "{description}");
            let body = &operation["requestBody"]["content"]["application/json"]["schema"];
            assert!(body.to_string().contains("DeletionConfirmation"), "{body}");
            let parameters = operation["parameters"].as_array().unwrap();
            let header = parameters.iter().find(|known| known["in"] == "header").unwrap();
            assert_eq!(header["name"], "X-Confirm-Password");
        }
    }
}

/// Clients that are generated from the document find the refresh token grant in it.
#[tokio::test]
async fn document_describes_both_grants() {
    let (_, document) = document_under(&Policy::default()).await;
    let flow =
        &document["components"]["securitySchemes"]["OAuth2PasswordBearer"]["flows"]["password"];
    assert_eq!(flow["refreshUrl"], "login");
    assert!(flow["scopes"]["offline_access"].is_string(), "{flow}");
    let content = &document["paths"]["/login"]["post"]["requestBody"]["content"];
    let choice = &content["application/x-www-form-urlencoded; charset=utf-8"]["schema"]["oneOf"];
    assert_eq!(choice[0]["$ref"], "#/components/schemas/Body_login_login_post");
    assert_eq!(choice[1]["$ref"], "#/components/schemas/RefreshTokenGrant");
    assert_eq!(content["multipart/form-data"]["schema"]["$ref"], "#/components/schemas/LoginForm");
    let form = &document["components"]["schemas"]["LoginForm"]["properties"];
    for field in ["grant_type", "username", "password", "scope", "refresh_token"] {
        assert!(form[field].is_object(), "{field}");
    }
}

/// A reader learns first how to sign up and to get a token.
#[tokio::test]
async fn document_is_in_the_order_of_a_reader() {
    let (app, document) = document_under(&Policy::default()).await;
    let introduction = document["info"]["description"].as_str().unwrap();
    for step in ["POST /users", "POST /login", "access_token", "refresh_token", "Bearer"] {
        assert!(introduction.contains(step), "{step}");
    }
    let paths: Vec<&String> = document["paths"].as_object().unwrap().keys().collect();
    assert_eq!(paths[0], "/users");
    assert_eq!(paths[paths.len() - 1], "/readyz");
    let tags = document["tags"].as_array().unwrap().iter();
    let tags: Vec<&str> = tags.map(|tag| tag["name"].as_str().unwrap()).collect();
    assert_eq!(
        tags,
        [
            "Users",
            "Login",
            "Sessions",
            "E-mail",
            "Posts",
            "Votes",
            "Administration",
            "Keys",
            "Health"
        ]
    );
    // The steps of the introduction work.
    let account = json!({"email": "ada@example.com", "password": PASSWORD});
    app.anonymous().post("/users", &account).await.expect(201);
    let login = app.log_in("ada@example.com", PASSWORD).await.expect(200).json();
    app.with_token(login["access_token"].as_str().unwrap()).get("/posts").await.expect(200);
}
