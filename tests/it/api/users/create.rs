//! `POST /users`

use serde_json::{Value, json};

use crate::support::{PASSWORD, Setup, TestApp, run_concurrently};

fn account(email: &str) -> Value {
    json!({"email": email, "password": PASSWORD})
}

#[tokio::test]
async fn created_account_is_returned_with_its_location() {
    let app = TestApp::start().await;
    let created = app.anonymous().post("/users", &account("ada@example.com")).await.expect(201);
    let body = created.json();
    assert_eq!(body["email"], "ada@example.com");
    assert_eq!(body["created_at"], "2025-01-31T12:00:00.123456Z");
    assert_eq!(created.header("location"), format!("/users/{}", body["id"]));
    app.anonymous().get(created.header("location")).await.expect(200);
}

#[tokio::test]
async fn unknown_fields_are_ignored() {
    let app = TestApp::start().await;
    let body = json!({
        "email": "ada@example.com", "password": PASSWORD,
        "id": 4711, "created_at": "1999-01-01T00:00:00Z", "is_admin": true,
    });
    let created = app.anonymous().post("/users", &body).await.expect(201).json();
    assert_ne!(created["id"], 4711);
    assert_eq!(created["created_at"], "2025-01-31T12:00:00.123456Z");
    assert!(created.get("is_admin").is_none());
}

#[tokio::test]
async fn email_in_another_spelling_is_rejected() {
    let app = TestApp::start().await;
    app.anonymous().post("/users", &account("ada@example.com")).await.expect(201);
    for spelling in ["ada@EXAMPLE.com", " ada@example.com ", "Ada <ada@example.com>"] {
        let refused = app.anonymous().post("/users", &account(spelling)).await.expect(409);
        assert_eq!(refused.detail(), "a user with this email already exists");
    }
    app.anonymous().post("/users", &account("Ada@example.com")).await.expect(201);
}

/// Seven threads let the queue hold all 100 requests, so none gets 503.
#[tokio::test]
async fn concurrent_sign_ups_with_one_email_succeed_once() {
    let app = TestApp::set_up(Setup { threads: 7, ..Setup::default() }).await;
    let anonymous = app.anonymous();
    let body = account("ada@example.com");
    let responses = run_concurrently((0..100).map(|_| anonymous.post("/users", &body))).await;
    let created = responses.iter().filter(|response| response.status == 201).count();
    let taken = responses.iter().filter(|response| response.status == 409).count();
    assert_eq!((created, taken), (1, 99));
    app.log_in("ada@example.com", PASSWORD).await.expect(200);
}

#[tokio::test]
async fn weak_password_is_rejected_with_its_rule() {
    let app = TestApp::start().await;
    for (password, kind) in [
        (String::new(), "string_too_short"),
        ("7 chars".to_owned(), "string_too_short"),
        ("ééééééé".to_owned(), "string_too_short"),
        ("x".repeat(4097), "string_too_long"),
        ("password123".to_owned(), "value_error"),
        ("PassWord123".to_owned(), "value_error"),
        ("12345678".to_owned(), "value_error"),
    ] {
        let body = json!({"email": "ada@example.com", "password": password});
        let errors = app.anonymous().post("/users", &body).await.expect(422).json();
        assert_eq!(errors["detail"][0]["type"], kind, "{password:?}");
        assert_eq!(errors["detail"][0]["loc"], json!(["body", "password"]));
        assert_eq!(errors["detail"][0]["input"], "**********");
    }
    app.log_in("ada@example.com", "password123").await.expect(403);
}

/// Every character counts: passwords are neither trimmed, normalized nor truncated.
#[tokio::test]
async fn password_is_compared_exactly() {
    let app = TestApp::start().await;
    let passwords = [
        "  spaces around  ",
        "😀 päßwort 密码",
        "nul \u{0} inside",
        "e\u{301}e\u{301} decomposed",
        &format!("{}ä", "long! ".repeat(600)),
    ];
    for (number, password) in passwords.into_iter().enumerate() {
        let email = format!("user{number}@example.com");
        let body = json!({"email": email, "password": password});
        app.anonymous().post("/users", &body).await.expect(201);
        app.log_in(&email, password).await.expect(200);
        let start: String = password.chars().take(8).collect();
        for other in [password.trim(), &password.replace("e\u{301}", "é"), &start] {
            if other != password {
                app.log_in(&email, other).await.expect(403);
            }
        }
    }
}

#[tokio::test]
async fn invalid_fields_are_reported_together() {
    let app = TestApp::start().await;
    let body = json!({"email": "no-email", "password": 5});
    let errors = app.anonymous().post("/users", &body).await.expect(422).json();
    assert_eq!(errors["detail"].as_array().unwrap().len(), 2);
}
