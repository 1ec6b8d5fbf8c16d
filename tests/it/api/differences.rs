//! Intended differences from the reference service: one test each.

use serde_json::{Value, json};

use crate::support::{PASSWORD, TestApp};

#[tokio::test]
async fn put_by_another_user_is_rejected() {
    let app = TestApp::start().await;
    let (ada, bob) = (app.signed_in("ada").await, app.signed_in("bob").await);
    let path = format!("/posts/{}", ada.write_post("hers").await);
    let before = ada.get(&path).await.json();
    let refused = bob.put(&path, &json!({"title": "his", "content": "his"})).await.expect(403);
    assert_eq!(refused.detail(), "not authorized to perform this action");
    assert_eq!(ada.get(&path).await.json(), before);
}

#[tokio::test]
async fn client_errors_get_4xx() {
    let app = TestApp::start().await;
    let ada = app.signed_in("ada").await;
    let post = ada.write_post("post").await;
    let account = json!({"email": "ada@example.com", "password": PASSWORD});
    app.anonymous().post("/users", &account).await.expect(409);
    ada.vote(post, 1).await.expect(201);
    ada.vote(post, 1).await.expect(409);
    ada.post("/posts", &json!({"title": "a\u{0}", "content": ""})).await.expect(422);
    let nan = r#"{"title":NaN,"content":""}"#;
    ada.send_raw("POST", "/posts", "application/json", nan).await.expect(422);
    let long = json!({"email": "bob@example.com", "password": "x".repeat(4097)});
    app.anonymous().post("/users", &long).await.expect(422);
}

#[tokio::test]
async fn token_of_deleted_user_is_rejected_at_once() {
    let app = TestApp::start().await;
    let ada = app.signed_in("ada").await;
    ada.get("/posts").await.expect(200);
    ada.delete("/users/me").await.expect(204);
    ada.get("/posts").await.expect(401);
    ada.post("/posts", &json!({"title": "", "content": ""})).await.expect(401);
}

#[tokio::test]
async fn invalid_body_without_token_gets_401() {
    let app = TestApp::start().await;
    for (body, media_type) in [("{", "application/json"), ("\u{0}", "text/plain"), ("[[", "")] {
        for (method, path) in [("POST", "/posts"), ("PUT", "/posts/x"), ("POST", "/vote")] {
            app.anonymous().send_raw(method, path, media_type, body).await.expect(401);
        }
    }
}

#[tokio::test]
async fn draft_is_visible_only_to_its_owner() {
    let app = TestApp::start().await;
    let (ada, bob) = (app.signed_in("ada").await, app.signed_in("bob").await);
    let draft = ada.write_draft("draft").await;
    let path = format!("/posts/{draft}");
    ada.get(&path).await.expect(200);
    bob.get(&path).await.expect(404);
    bob.put(&path, &json!({"title": "", "content": ""})).await.expect(404);
    bob.delete(&path).await.expect(404);
    bob.vote(draft, 1).await.expect(404);
    for list in ["/posts", "/posts?search=draft", "/posts?published=false"] {
        assert!(bob.titles(list).await.is_empty(), "{list}");
    }
    assert!(ada.titles("/posts").await.is_empty());
    assert_eq!(ada.titles("/posts?published=false").await, ["draft"]);
}

#[tokio::test]
async fn post_list_is_newest_first_and_paginated() {
    let app = TestApp::start().await;
    let ada = app.signed_in("ada").await;
    for title in ["one", "two", "three"] {
        ada.write_post(title).await;
    }
    assert_eq!(ada.titles("/posts").await, ["three", "two", "one"]);
    assert_eq!(ada.titles("/posts?limit=1&skip=1").await, ["two"]);
    assert_eq!(ada.titles("/posts?search=o").await, ["two", "one"]);
    ada.get("/posts?limit=1001").await.expect(422);
    ada.get("/posts?skip=10001").await.expect(422);
}

#[tokio::test]
async fn email_is_visible_only_to_its_owner() {
    let app = TestApp::start().await;
    let ada = app.signed_in("ada").await;
    let path = format!("/users/{}", ada.id);
    assert_eq!(app.anonymous().get(&path).await.expect(200).json()["email"], Value::Null);
    assert_eq!(ada.get(&path).await.expect(200).json()["email"], "ada@example.com");
}

#[tokio::test]
async fn weak_password_at_sign_up_is_rejected() {
    let app = TestApp::start().await;
    for password in ["", "short", "password123"] {
        let account = json!({"email": "ada@example.com", "password": password});
        app.anonymous().post("/users", &account).await.expect(422);
    }
}

#[tokio::test]
async fn anonymous_request_for_posts_is_rejected() {
    let app = TestApp::start().await;
    app.signed_in("ada").await.write_post("post").await;
    app.anonymous().get("/sqlalchemy").await.expect(404);
    app.anonymous().get("/posts").await.expect(401);
}

#[tokio::test]
async fn downvote_lowers_the_vote_count() {
    let app = TestApp::start().await;
    let (ada, bob) = (app.signed_in("ada").await, app.signed_in("bob").await);
    let post = ada.write_post("post").await;
    bob.vote(post, -1).await.expect(201);
    assert_eq!(ada.votes(post).await, -1);
    bob.vote(post, 1).await.expect(201);
    assert_eq!(ada.votes(post).await, 1);
}

#[tokio::test]
async fn account_can_be_deleted_only_by_its_owner() {
    let app = TestApp::start().await;
    let (ada, bob) = (app.signed_in("ada").await, app.signed_in("bob").await);
    ada.write_post("hers").await;
    bob.delete(&format!("/users/{}", ada.id)).await.expect(403);
    ada.delete(&format!("/users/{}", ada.id)).await.expect(204);
    bob.delete("/users/me").await.expect(204);
    let eve = app.signed_in("eve").await;
    assert!(eve.titles("/posts").await.is_empty());
}

#[tokio::test]
async fn submitted_password_is_masked_in_errors() {
    let app = TestApp::start().await;
    let account = json!({"email": "no-email", "password": PASSWORD});
    let refused = app.anonymous().post("/users", &account).await.expect(422);
    assert!(!refused.text().contains(PASSWORD));
    let account = json!({"password": PASSWORD});
    let refused = app.anonymous().post("/users", &account).await.expect(422).json();
    assert_eq!(refused["detail"][0]["input"], json!({"password": "**********"}));
}

#[tokio::test]
async fn login_email_with_other_domain_case_is_accepted() {
    let app = TestApp::start().await;
    let account = json!({"email": "Foo@EXAMPLE.com", "password": PASSWORD});
    let created = app.anonymous().post("/users", &account).await.expect(201).json();
    assert_eq!(created["email"], "Foo@example.com");
    for username in ["Foo@EXAMPLE.com", "Foo@example.com", " Foo@Example.Com "] {
        app.log_in(username, PASSWORD).await.expect(200);
    }
    app.log_in("foo@example.com", PASSWORD).await.expect(403);
}

#[tokio::test]
async fn trailing_slash_is_accepted_without_redirect() {
    let app = TestApp::start().await;
    let ada = app.signed_in("ada").await;
    let post = ada.write_post("post").await;
    for path in
        ["/posts", "/users/me", &format!("/posts/{post}"), "/livez", "/docs", "/openapi.json"]
    {
        for spelling in [path.to_owned(), format!("{path}/")] {
            let response = ada.get(&spelling).await.expect(200);
            assert!(response.header("location").is_empty());
        }
    }
    for (path, dir) in [("/vote", 1), ("/vote/", -1)] {
        ada.post(path, &json!({"post_id": post, "dir": dir})).await.expect(201);
    }
}

#[tokio::test]
async fn small_reference_defects_are_fixed() {
    let app = TestApp::start().await;
    let ada = app.signed_in("ada").await;
    let post = ada.write_post("post").await;
    let voted = ada.vote(post, 1).await.expect(201);
    assert_eq!(voted.json(), json!({"message": "successfully added vote"}));
    let request = ada.request("GET", "/posts").header("origin", "https://evil.example");
    let request = request.header("cookie", "session=1");
    let response = app.send(request.body(axum::body::Body::empty()).unwrap()).await.expect(200);
    assert_eq!(response.header("access-control-allow-origin"), "*");
    assert!(response.header("access-control-allow-credentials").is_empty());
    let page = app.anonymous().get("/docs").await.expect(200);
    assert!(!page.text().contains("https://"), "the page loads from another host");
}
