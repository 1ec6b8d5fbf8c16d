//! The pages in Chromium: they work, they load nothing from other hosts, and their
//! Content-Security-Policy allows all that they need.

// Clippy allows `unwrap` only in test code, and needs this attribute to treat helpers as tests.
#![cfg(test)]

mod admin;
mod checks;
mod chromium;
mod driver;
mod front_page;
mod live_client;
mod swagger;
mod visits;

use serde_json::{Value, json};

use crate::support::{PASSWORD, Service};
use visits::browse;

#[tokio::test]
async fn operations_can_be_tried_out_on_the_docs_page() {
    let service = Service::start(&[]);
    let url = service.url.clone();
    browse(async move |browser| {
        let page = swagger::Page::open(&browser, &format!("{url}/docs")).await;

        let account = json!({"email": "eve@example.com", "password": PASSWORD});
        let user = page.execute("POST", "/users", None, Some(&account)).await.expect(201);
        assert_eq!(user["email"], "eve@example.com");
        page.log_in("eve@example.com", PASSWORD).await;

        let text = json!({"title": "Written on the page", "content": "text"});
        let post = page.execute("POST", "/posts", None, Some(&text)).await.expect(201);
        assert_eq!(post["owner_id"], user["id"]);
        let vote = json!({"post_id": post["id"], "dir": 1});
        page.execute("POST", "/vote/", None, Some(&vote)).await.expect(201);
        let id = post["id"].to_string();
        let reading = page.execute("GET", "/posts/{id}", Some(("id", &id)), None).await.expect(200);
        assert_eq!(reading["votes"], 1);

        page.reload().await;
        let search = Some(("search", "on the page"));
        let readings = page.execute("GET", "/posts", search, None).await.expect(200);
        assert_eq!(readings, json!([reading]));
        let caller = page.execute("GET", "/users/me", None, None).await.expect(200);
        assert_eq!(caller["id"], user["id"], "the reload ended the login");

        browser.assert_no_console_error(|_| false).await;
        browser.assert_requests_stay_at(&url, "/openapi.json").await;
    })
    .await;
}

/// The next user of the browser finds only a short-lived token, and no password.
#[tokio::test]
async fn login_on_the_docs_page_stores_only_the_token() {
    let service = Service::start(&[]);
    let account = json!({"email": "eve@example.com", "password": PASSWORD});
    service.connect().call("POST", "/users", "", Some(&account)).unwrap().expect(201);
    let url = service.url.clone();
    browse(async move |browser| {
        let page = swagger::Page::open(&browser, &format!("{url}/docs")).await;
        page.log_in("eve@example.com", PASSWORD).await;
        page.execute("GET", "/users/me", None, None).await.expect(200);
        page.reload().await;
        page.execute("GET", "/users/me", None, None).await.expect(200);
        let stored = page.stored_data().await;
        assert!(stored.contains("access_token"), "the search finds no token: {stored}");
        for typed in ["eve@", PASSWORD] {
            assert!(!stored.contains(typed), "{typed} is in {stored}");
        }
        page.log_out().await;
        let stored = page.stored_data().await;
        assert!(!stored.contains("access_token"), "{stored}");
        page.reload().await;
        page.execute("GET", "/users/me", None, None).await.expect(401);
        browser
            .assert_no_console_error(|message| {
                message.contains("/users/me") && message.contains("401")
            })
            .await;
    })
    .await;
}

/// The page shows posts of other users as text, also if they contain HTML.
#[tokio::test]
async fn markup_in_a_post_is_shown_as_text() {
    const MARKUP: &str = "</code></pre><script>window.owned = 1</script>\
                          <img class=owned src=x onerror='window.owned = 1'>";
    let service = Service::start(&[]);
    let url = service.url.clone();
    browse(async move |browser| {
        let page = swagger::Page::open(&browser, &format!("{url}/docs")).await;
        let account = json!({"email": "eve@example.com", "password": PASSWORD});
        page.execute("POST", "/users", None, Some(&account)).await.expect(201);
        page.log_in("eve@example.com", PASSWORD).await;
        let post = json!({"title": MARKUP, "content": MARKUP});
        let created = page.execute("POST", "/posts", None, Some(&post)).await.expect(201);
        let id = created["id"].to_string();
        let reading = page.execute("GET", "/posts/{id}", Some(("id", &id)), None).await.expect(200);
        assert_eq!(reading["Post"]["title"], MARKUP);
        assert_eq!(reading["Post"]["content"], MARKUP);
        let elements = "return document.querySelectorAll('.owned, .opblock script').length";
        assert_eq!(browser.run(elements).await, 0);
        assert_eq!(browser.run("return typeof window.owned").await, "undefined");
        browser.assert_no_console_error(|_| false).await;
    })
    .await;
}

/// A link to the page must not make it show a document of another host.
#[tokio::test]
async fn docs_page_with_document_url_in_query_shows_own_document() {
    let service = Service::start(&[]);
    let url = service.url.clone();
    browse(async move |browser| {
        for name in ["url", "configUrl"] {
            let page_url = format!("{url}/docs?{name}=https://evil.example/x.json");
            let page = swagger::Page::open(&browser, &page_url).await;
            assert_eq!(page.document().await, "/openapi.json");
            assert!(page.title().await.starts_with("Post Management API"));
        }
        browser.assert_no_console_error(|_| false).await;
        browser.assert_requests_stay_at(&url, "/openapi.json").await;
    })
    .await;
}

#[tokio::test]
async fn redoc_page_shows_and_finds_operations() {
    let service = Service::start(&[]);
    let url = service.url.clone();
    browse(async move |browser| {
        browser.open(&format!("{url}/redoc")).await;
        assert!(browser.text("h1").await.starts_with("Post Management API"));
        let operation = r#"[data-section-id*="vote_vote__post"] h2"#;
        assert_eq!(browser.text(operation).await.trim(), "Vote on a post");
        // The search runs in a worker, which the policy must allow.
        browser.write("input[type=text]", "vote").await;
        browser.text(r#"[data-role="search:results"] li"#).await;
        browser.assert_no_console_error(|_| false).await;
        browser.assert_requests_stay_at(&url, "/openapi.json").await;
    })
    .await;
}

/// Also with a slash at the end, to which the links of the page are not relative.
#[tokio::test]
async fn opened_page_writes_nothing_to_the_console() {
    let service = Service::start(&[]);
    let url = service.url.clone();
    browse(async move |browser| {
        for (page, shown) in [
            ("/docs", ".opblock"),
            ("/docs/", ".opblock"),
            ("/redoc", "[data-section-id] h2"),
            ("/redoc/", "[data-section-id] h2"),
            ("/docs/oauth2-redirect", "body"),
            ("/docs/oauth2-redirect/", "body"),
        ] {
            browser.open(&format!("{url}{page}")).await;
            browser.wait_for(shown).await;
            browser.assert_console_is_empty(page).await;
        }
        browser.assert_requests_stay_at(&url, "/openapi.json").await;
    })
    .await;
}

/// A page gets the whole post each time, but the service sends it only if it has changed.
#[tokio::test]
async fn browser_keeps_a_published_post_and_asks_whether_it_is_current() {
    let service = Service::start(&[]);
    let account = json!({"email": "eve@example.com", "password": PASSWORD});
    service.connect().call("POST", "/users", "", Some(&account)).unwrap().expect(201);
    let token = service.log_in("eve@example.com");
    let call = |method: &str, path: &str, body: &Value| {
        service.connect().call(method, path, &token, Some(body)).unwrap()
    };
    let published = json!({"title": "first", "content": "text"});
    let published = call("POST", "/posts", &published).expect(201).header("location").to_owned();
    let draft = json!({"title": "draft", "content": "text", "published": false});
    let draft = call("POST", "/posts", &draft).expect(201).header("location").to_owned();
    let fetch = |path: &str| {
        format!(
            "return fetch('{path}', {{headers: {{authorization: 'Bearer {token}'}}}})
               .then(async response => [response.status, (await response.json()).Post.title])"
        )
    };
    let (of_published, of_draft) = (fetch(&published), fetch(&draft));
    let patch = format!(
        "return fetch('{published}', {{method: 'PATCH', body: '{{\"title\":\"second\"}}',
           headers: {{authorization: 'Bearer {token}', 'content-type': 'application/json'}}}})
           .then(response => response.status)"
    );
    let url = service.url.clone();
    browse(async move |browser| {
        browser.open(&format!("{url}/docs/oauth2-redirect")).await;
        for title in ["first", "first", "first"] {
            assert_eq!(browser.run(&of_published).await, json!([200, title]));
        }
        assert_eq!(browser.statuses(&format!("{url}{published}")).await, [200, 304, 304]);
        assert_eq!(browser.run(&patch).await, 200);
        for title in ["second", "second"] {
            assert_eq!(browser.run(&of_published).await, json!([200, title]));
        }
        assert_eq!(browser.statuses(&format!("{url}{published}")).await, [200, 200, 304]);
        for _ in 0..2 {
            assert_eq!(browser.run(&of_draft).await, json!([200, "draft"]));
        }
        assert_eq!(browser.statuses(&format!("{url}{draft}")).await, [200, 200]);
    })
    .await;
}
