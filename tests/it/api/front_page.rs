//! `/` and `/admin`: the pages, their files and `PAGE`.

use std::io::Read as _;

use axum::body::Body;
use flate2::read::GzDecoder;
use post_api::api::PageSwitches;
use post_api::domain::policy::{PasswordRules, Policy};

use crate::support::{Setup, TestApp, TestResponse};

/// The page and its files together, as a browser decodes them.
const MAX_BYTES: usize = 40 * 1024;

async fn get(app: &TestApp, path: &str, name: &str, value: &str) -> TestResponse {
    let request = app.anonymous().request("GET", path).header(name, value);
    app.send(request.body(Body::empty()).unwrap()).await
}

/// Returns the page, and the paths of the files that its head and its header name.
async fn page_and_files(app: &TestApp, path: &str) -> (TestResponse, Vec<String>) {
    let page = app.anonymous().get(path).await.expect(200);
    let head = page.text().split("<body").next().unwrap().to_owned() + page.header("link");
    let urls = head.split(['=', '"', ' ', '<', '>']).filter(|part| part.contains("app"));
    let files = urls.map(str::to_owned).collect();
    (page, files)
}

fn modules() -> Vec<String> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/assets/app");
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
    entries.map(|name| format!("app/{}", name.into_string().unwrap())).collect()
}

#[tokio::test]
async fn page_loads_only_its_own_files() {
    let app = TestApp::start().await;
    let (page, files) = page_and_files(&app, "/").await;
    assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
    assert_eq!(page.header("cache-control"), "no-cache");
    for file in modules().iter().chain(&["app.css".to_owned(), "app.js".to_owned()]) {
        assert!(files.contains(file), "the page does not load {file} at once");
    }
    for file in &files {
        let response = app.anonymous().get(&format!("/{file}")).await.expect(200);
        let ending = file.rsplit('.').next();
        let expected = if ending == Some("css") { "text/css" } else { "text/javascript" };
        assert_eq!(response.header("content-type"), format!("{expected}; charset=utf-8"), "{file}");
    }
    for path in ["/app/", "/app/none.js", "/app/app.js", "/app/..%2fapp.css", "/app.html"] {
        app.anonymous().get(path).await.expect(404);
    }
}

#[tokio::test]
async fn policy_of_the_page_allows_only_own_files_and_no_markup_from_text() {
    let app = TestApp::start().await;
    let page = app.anonymous().get("/").await.expect(200);
    assert_eq!(
        page.header("content-security-policy"),
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
         img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
         require-trusted-types-for 'script'; trusted-types 'none'"
    );
}

#[tokio::test]
async fn page_and_its_files_are_small() {
    let app = TestApp::start().await;
    let (page, files) = page_and_files(&app, "/").await;
    let mut bytes = page.body.len();
    for file in &files {
        bytes += app.anonymous().get(&format!("/{file}")).await.expect(200).body.len();
    }
    assert!(bytes <= MAX_BYTES, "{bytes} bytes");
}

#[tokio::test]
async fn page_is_revalidated_and_compressed() {
    let app = TestApp::start().await;
    for path in ["/", "/app.css", "/app.js", "/app/posts.js"] {
        let plain = app.anonymous().get(path).await.expect(200);
        let packed = get(&app, path, "accept-encoding", "gzip").await.expect(200);
        assert_eq!(packed.header("content-encoding"), "gzip", "{path}");
        assert_ne!(packed.header("etag"), plain.header("etag"), "{path}");
        assert!(packed.header("vary").contains("accept-encoding"), "{path}");
        let mut unpacked = Vec::new();
        GzDecoder::new(packed.body.as_slice()).read_to_end(&mut unpacked).unwrap();
        assert!(unpacked == plain.body, "{path}");
        let known = get(&app, path, "if-none-match", plain.header("etag")).await.expect(304);
        assert!(known.body.is_empty(), "{path}");
        get(&app, path, "if-none-match", "\"other\"").await.expect(200);
        let head = app.anonymous().head(path).await.expect(200);
        assert_eq!(head.header("etag"), plain.header("etag"), "{path}");
        assert!(head.body.is_empty(), "{path}");
        let refused = app.anonymous().send_raw("POST", path, "", "").await.expect(405);
        assert_eq!(refused.header("allow"), "GET,HEAD", "{path}");
    }
}

#[tokio::test]
async fn page_that_is_off_gets_404() {
    let pages = PageSwitches { docs: true, front_page: false };
    for root_path in ["", "/api"] {
        let root_path = root_path.to_owned();
        let app = TestApp::set_up(Setup { pages, root_path, ..Setup::default() }).await;
        for path in ["/", "/app.css", "/app.js", "/app/dom.js", "/admin", "/api", "/api/"] {
            app.anonymous().get(path).await.expect(404);
        }
        app.anonymous().get("/docs").await.expect(200);
    }
}

#[tokio::test]
async fn page_behind_a_prefix_loads_its_files_from_there() {
    for prefix in ["/api", "/api/v1"] {
        let root_path = prefix.to_owned();
        let app = TestApp::set_up(Setup { root_path, ..Setup::default() }).await;
        for path in ["/", prefix, &format!("{prefix}/")] {
            let (_, files) = page_and_files(&app, path).await;
            assert_eq!(files.len(), modules().len() + 2, "{files:?}");
            for file in files {
                assert!(file.starts_with(&format!("{prefix}/app")), "{file}");
                app.anonymous().get(&file).await.expect(200);
                app.anonymous().get(file.strip_prefix(prefix).unwrap()).await.expect(200);
            }
            let page = app.anonymous().get(path).await;
            assert!(page.text().contains(&format!("href=\"{prefix}/docs\"")), "{prefix}");
            get(&app, path, "if-none-match", page.header("etag")).await.expect(304);
            assert!(app.anonymous().head(path).await.expect(200).body.is_empty());
        }
        app.anonymous().send_raw("POST", prefix, "", "").await.expect(404);
    }
}

/// Returns the links in the head and the header of the page, and the one to the page at `/`.
async fn links_of_admin_page(app: &TestApp, path: &str) -> Vec<String> {
    let page = app.anonymous().get(path).await.expect(200);
    let (page, _) = page.text().split_once("<nav").unwrap();
    let links = page.split("href=\"").skip(1).chain(page.split("src=\"").skip(1));
    let links = links.map(|rest| rest.split('"').next().unwrap().to_owned());
    links.filter(|link| !link.starts_with("data:")).collect()
}

/// The links are relative, unless the service knows the prefix. Otherwise a proxy could publish the
/// page only below a prefix that the service knows.
#[tokio::test]
async fn links_of_the_admin_page_lead_to_its_files_from_every_spelling_of_its_path() {
    for (root_path, path, base) in [
        ("", "/admin", "./"),
        ("", "/admin/", "../"),
        ("", "/%61dmin", "./"),
        ("/api", "/admin", "/api/"),
        ("/api", "/api/admin/", "/api/"),
    ] {
        let root_path = root_path.to_owned();
        let app = TestApp::set_up(Setup { root_path, ..Setup::default() }).await;
        let links = links_of_admin_page(&app, path).await;
        assert_eq!(links.len(), 7, "{links:?}");
        for link in links {
            let file = link.strip_prefix(base).unwrap_or_else(|| panic!("{path}: {link}"));
            app.anonymous().get(&format!("/{file}")).await.expect(200);
        }
    }
}

/// The page shows only what the service offers, without a request to find out.
#[tokio::test]
async fn page_knows_the_settings() {
    let defaults = TestApp::start().await.anonymous().get("/").await.expect(200);
    let policy = Policy {
        anonymous_reads: true,
        delete_requires_password: true,
        passwords: PasswordRules { minimum_length: 12, ..Policy::default().passwords },
        ..Policy::default()
    };
    let pages = PageSwitches { docs: false, front_page: true };
    let app = TestApp::set_up(Setup { policy, pages, ..Setup::default() }).await;
    let changed = app.anonymous().get("/").await.expect(200);
    for (name, default, other) in [
        ("anonymous-reads", "off", "on"),
        ("deletion-password", "off", "on"),
        ("docs", "on", "off"),
        ("password-length", "8", "12"),
    ] {
        for (page, value) in [(&defaults, default), (&changed, other)] {
            assert!(page.text().contains(&format!("data-{name}=\"{value}\"")), "{name}");
        }
    }
    assert!(!defaults.text().contains("{{") && defaults.header("etag") != changed.header("etag"));
}
