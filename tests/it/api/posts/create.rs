//! `POST /posts`

use serde_json::json;

use crate::support::{PASSWORD, Setup, TestApp};

#[tokio::test]
async fn created_post_is_returned_with_its_location() {
    let app = TestApp::start().await;
    let ada = app.signed_in("ada").await;
    let body = json!({"title": "First", "content": "Hello 😀"});
    let created = ada.post("/posts", &body).await.expect(201);
    let post = created.json();
    assert_eq!(post["published"], true);
    assert_eq!(post["owner_id"], ada.id);
    assert_eq!(created.header("location"), format!("/posts/{}", post["id"]));
    let read = ada.get(created.header("location")).await.expect(200).json();
    assert_eq!(read, json!({"Post": post, "votes": 0}));
}

/// A client cannot choose the owner, the ID, the time or the votes.
#[tokio::test]
async fn server_set_fields_in_body_are_ignored() {
    let app = TestApp::start().await;
    let (ada, bob) = (app.signed_in("ada").await, app.signed_in("bob").await);
    let body = json!({
        "title": "t", "content": "c", "id": 4711, "owner_id": bob.id,
        "created_at": "1999-01-01T00:00:00Z", "votes": 99,
    });
    let post = ada.post("/posts", &body).await.expect(201).json();
    assert_eq!(post["owner_id"], ada.id);
    assert_ne!(post["id"], 4711);
    assert_eq!(post["created_at"], "2025-01-31T12:00:00.123456Z");
}

#[tokio::test]
async fn timestamp_of_whole_second_has_no_fraction() {
    let app = TestApp::start().await;
    let ada = app.signed_in("ada").await;
    for (microseconds, expected) in [
        (0, "2025-01-31T12:00:00Z"),
        (100_000, "2025-01-31T12:00:00.100000Z"),
        (1, "2025-01-31T12:00:00.000001Z"),
        (999_999, "2025-01-31T12:00:00.999999Z"),
    ] {
        app.clock.set(1_738_324_800_000_000 + microseconds);
        let path = format!("/posts/{}", ada.write_post("title").await);
        let post = ada.get(&path).await.expect(200).json();
        assert_eq!(post["Post"]["created_at"], expected);
    }
}

#[tokio::test]
async fn post_text_is_returned_unchanged() {
    let app = TestApp::start().await;
    let ada = app.signed_in("ada").await;
    for text in ["", " \r\n\t", "<script>\u{1b}[31m", "\u{202e}\u{ffff}😀", "e\u{301}é", "'\"\\%_"]
    {
        let body = json!({"title": text, "content": text});
        let post = ada.post("/posts", &body).await.expect(201).json();
        assert_eq!((&post["title"], &post["content"]), (&json!(text), &json!(text)));
    }
}

#[tokio::test]
async fn post_that_cannot_be_stored_is_rejected() {
    let app = TestApp::start().await;
    let ada = app.signed_in("ada").await;
    for body in [
        r#"{"title":"a\u0000b","content":"c"}"#,
        r#"{"title":"t","content":"\u0000"}"#,
        r#"{"title":"\ud800","content":"c"}"#,
        r#"{"title":"t","content":"c","published":NaN}"#,
        r#"{"title":"t","content":"c","published":1e999}"#,
        r#"{"title":"t","content":"c","published":null}"#,
        r#"{"title":"t"}"#,
    ] {
        ada.send_raw("POST", "/posts", "application/json", body).await.expect(422);
    }
    assert!(ada.titles("/posts").await.is_empty());
}

/// If a proxy serves the API below a path (`ROOT_PATH`), `Location` starts with that path.
#[tokio::test]
async fn location_with_root_path_is_prefixed() {
    let root_path = "/api".to_owned();
    let app = TestApp::set_up(Setup { root_path, ..Setup::default() }).await;
    let ada = app.signed_in("ada").await;
    let response = ada.post("/posts", &json!({"title": "t", "content": "c"})).await.expect(201);
    assert_eq!(response.header("location"), format!("/api/posts/{}", response.json()["id"]));
    let account = json!({"email": "bob@example.com", "password": PASSWORD});
    let response = app.anonymous().post("/users", &account).await.expect(201);
    assert_eq!(response.header("location"), format!("/api/users/{}", response.json()["id"]));
}
