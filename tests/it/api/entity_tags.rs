//! Entity tags of reads, and the responses to clients that have the current version.

use std::collections::BTreeMap;

use axum::body::Body;
use post_api::domain::policy::Policy;
use serde_json::json;

use super::operations::Operation;
use crate::support::{Setup, TestApp, TestCaller, TestResponse, key_files};

/// Sends a request with this header.
async fn send(caller: &TestCaller<'_>, method: &str, path: &str, known: &str) -> TestResponse {
    let request = caller.request(method, path).header("if-none-match", known);
    caller.send(request.body(Body::empty()).unwrap()).await
}

fn is_strong(tag: &str) -> bool {
    let text = tag.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or_default();
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"+/-_.".contains(&byte);
    text.len() >= 16 && text.bytes().all(is_allowed)
}

/// Returns what a 304 must repeat of the response that it stands for (RFC 9110, 15.4.5).
fn repeated(response: &TestResponse) -> BTreeMap<&str, &str> {
    let names = ["etag", "cache-control", "vary", "link", "content-location", "expires"];
    names.into_iter().map(|name| (name, response.header(name))).collect()
}

async fn assert_revalidated(caller: &TestCaller<'_>, path: &str) {
    let full = caller.get(path).await.expect(200);
    let tag = full.header("etag").to_owned();
    assert!(is_strong(&tag), "{path}: {tag:?}");
    let head = caller.head(path).await.expect(200);
    assert_eq!(repeated(&head), repeated(&full), "HEAD {path}");
    assert_eq!(head.header("content-length"), full.body.len().to_string(), "HEAD {path}");
    let known = [
        tag.clone(),
        format!("W/{tag}"),
        "*".to_owned(),
        format!("\"other\", {tag}"),
        format!("W/\"other\" ,, {tag},"),
    ];
    for known in &known {
        for method in ["GET", "HEAD"] {
            let current = send(caller, method, path, known).await.expect(304);
            assert_eq!(repeated(&current), repeated(&full), "{method} {path} {known}");
            assert!(current.body.is_empty(), "{method} {path}");
            for name in ["content-type", "content-length"] {
                assert_eq!(current.header(name), "", "{method} {path}: {name}");
            }
        }
    }
    let prefix = &tag[..tag.len() - 2];
    let other = ["\"other\"", "W/\"\"", prefix, tag.trim_matches('"'), "*, *", "", "\u{1f600}"];
    for other in other {
        let whole = send(caller, "GET", path, other).await.expect(200);
        assert_eq!(whole.body, full.body, "{path} {other}");
    }
}

/// Health checks have no tag, and neither have streams.
fn is_tagged_read(operation: &Operation) -> bool {
    operation.method == "GET"
        && !operation.path.ends_with('z')
        && operation.path != "/users/me/export"
        && operation.path != "/posts/changes"
        && !operation.path.starts_with("/admin/")
}

#[tokio::test]
async fn every_read_has_a_tag_and_is_revalidated() {
    let app = TestApp::set_up(Setup { keys: key_files::ed25519, ..Setup::default() }).await;
    let ada = app.signed_in("ada").await;
    let (post, draft) = (ada.write_post("post").await, ada.write_draft("draft").await);
    let mut paths = Vec::new();
    for operation in Operation::all(&app).await {
        if !is_tagged_read(&operation) {
            continue;
        }
        let id = if operation.path.starts_with("/users") { ada.id } else { post };
        paths.push(operation.path_to(&id.to_string()));
    }
    assert!(paths.len() >= 7, "{paths:?}");
    paths.push(format!("/posts/{draft}"));
    paths
        .extend(["/posts?published=false", "/posts?search=post", "/posts?limit=0"].map(Into::into));
    paths.extend(["/docs", "/docs/page.css", "/openapi.json"].map(Into::into));
    for path in paths {
        assert_revalidated(&ada, &path).await;
    }
}

#[tokio::test]
async fn response_without_a_version_has_no_tag() {
    let app = TestApp::start().await;
    let ada = app.signed_in("ada").await;
    let post = ada.write_post("post").await.to_string();
    let mut statuses = Vec::new();
    for operation in Operation::all(&app).await {
        for caller in [&app.anonymous(), &app.signed_in(&operation.name().replace(' ', "-")).await]
        {
            let response = operation.call(caller, &post).await;
            let is_read = is_tagged_read(&operation);
            let is_post =
                operation.name() == "POST /posts" || operation.name() == "PATCH /posts/{id}";
            let has_version = response.status.is_success() && (is_read || is_post);
            let has_tag = !response.header("etag").is_empty();
            assert_eq!(has_tag, has_version, "{}: {response:?}", operation.name());
            statuses.push(response.status.as_u16());
        }
    }
    for status in [200, 201, 204, 401, 403, 404] {
        assert!(statuses.contains(&status), "no response has {status}");
    }
    // PUT stores no body as it came, so it names no version (RFC 9110, 9.3.4).
    let replaced = ada.put(&format!("/posts/{post}"), &json!({"title": "t", "content": "c"})).await;
    assert_eq!(replaced.expect(200).header("etag"), "");
}

/// A client that has a response learns nothing that it could not read.
#[tokio::test]
async fn revalidation_needs_the_rights_of_the_read() {
    let app = TestApp::start().await;
    let (ada, bob) = (app.signed_in("ada").await, app.signed_in("bob").await);
    let draft = format!("/posts/{}", ada.write_draft("draft").await);
    let tag = ada.get(&draft).await.expect(200).header("etag").to_owned();
    for known in [tag.as_str(), "*"] {
        send(&bob, "GET", &draft, known).await.expect(404);
        send(&app.anonymous(), "GET", &draft, known).await.expect(401);
    }
    bob.delete("/users/me").await.expect(204);
    send(&bob, "GET", "/posts", "*").await.expect(401);
    send(&ada, "GET", "/posts?limit=x", "*").await.expect(422);
}

#[tokio::test]
async fn same_content_has_the_same_tag_for_every_caller_and_process() {
    let app = TestApp::start().await;
    let (ada, bob) = (app.signed_in("ada").await, app.signed_in("bob").await);
    let path = format!("/posts/{}", ada.write_post("post").await);
    let replica = app.replica();
    let copy = app.restored_copy();
    for path in [path.as_str(), "/posts", "/posts?search=post"] {
        let tag = ada.get(path).await.expect(200).header("etag").to_owned();
        assert_eq!(bob.get(path).await.header("etag"), tag, "{path}");
        for other in [&replica, &copy] {
            let caller = other.with_token(bob.token.as_deref().unwrap());
            assert_eq!(caller.get(path).await.expect(200).header("etag"), tag, "{path}");
        }
    }
}

/// Returns both parts of the tag of a post.
fn parts(response: &TestResponse) -> (String, String) {
    let tag = response.header("etag").trim_matches('"');
    let (text, votes) = tag.split_once('.').unwrap();
    (text.to_owned(), votes.to_owned())
}

#[tokio::test]
async fn tag_of_a_post_has_a_part_for_the_text_and_one_for_the_votes() {
    let app = TestApp::start().await;
    let (ada, bob) = (app.signed_in("ada").await, app.signed_in("bob").await);
    let body = json!({"title": "post", "content": "text"});
    let created = ada.post("/posts", &body).await.expect(201);
    let path = created.header("location").to_owned();
    let first = ada.get(&path).await;
    assert_eq!(parts(&created), parts(&first));
    let (text, votes) = parts(&first);
    assert_eq!(votes, "0");
    let list = ada.get("/posts").await.header("etag").to_owned();
    bob.vote(first.json()["Post"]["id"].as_i64().unwrap(), -1).await.expect(201);
    assert_eq!(parts(&ada.get(&path).await), (text.clone(), "-1".to_owned()));
    assert_ne!(ada.get("/posts").await.header("etag"), list);

    let patched = ada.patch(&path, &json!({"title": "another"})).await.expect(200);
    let after = ada.get(&path).await;
    assert_eq!(parts(&patched), parts(&after));
    assert_ne!(parts(&after).0, text);
    assert_eq!(parts(&after).1, "-1");
    // The same text has the same tag again.
    ada.put(&path, &body).await.expect(200);
    assert_eq!(parts(&ada.get(&path).await), (text, "-1".to_owned()));
}

/// Large responses are serialized on other threads.
#[tokio::test]
async fn large_responses_have_tags() {
    let app = TestApp::start().await;
    let ada = app.signed_in("ada").await;
    let content = "é".repeat(100_000);
    let created = ada.post("/posts", &json!({"title": "", "content": content})).await.expect(201);
    let path = created.header("location").to_owned();
    for path in [path.as_str(), "/posts"] {
        assert_revalidated(&ada, path).await;
    }
    let patched = ada.patch(&path, &json!({"title": "t"})).await.expect(200);
    assert_eq!(patched.header("etag"), ada.get(&path).await.header("etag"));
}

/// The cache of a browser may keep only what every account can read.
#[tokio::test]
async fn only_published_posts_may_be_kept_by_caches() {
    for is_reference in [false, true] {
        let policy = if is_reference { Policy::reference() } else { Policy::default() };
        let app = TestApp::with(policy).await;
        let ada = app.signed_in("ada").await;
        let (post, draft) = (ada.write_post("post").await, ada.write_draft("draft").await);
        let list_with_drafts = if is_reference { "no-store" } else { "private, no-cache" };
        for (path, expected) in [
            (format!("/posts/{post}"), "private, no-cache"),
            (format!("/posts/{draft}"), "no-store"),
            ("/posts".to_owned(), list_with_drafts),
            ("/posts?search=post".to_owned(), "private, no-cache"),
            ("/posts?limit=0".to_owned(), "private, no-cache"),
            ("/posts/4711".to_owned(), "no-store"),
            ("/users/me".to_owned(), "no-store"),
            (format!("/users/{}", ada.id), "no-store"),
            ("/users/me/events".to_owned(), "no-store"),
            ("/users/me/sessions".to_owned(), "no-store"),
        ] {
            let response = ada.get(&path).await;
            assert_eq!(response.header("cache-control"), expected, "{path}");
            assert_eq!(response.header("vary"), "authorization, origin", "{path}");
        }
        if !is_reference {
            let drafts = ada.get("/posts?published=false").await.expect(200);
            assert_eq!(drafts.header("cache-control"), "no-store");
            ada.delete(&format!("/posts/{draft}")).await.expect(204);
            let none = ada.get("/posts?published=false").await.expect(200);
            assert_eq!(none.header("cache-control"), "no-store");
        }
    }
}
