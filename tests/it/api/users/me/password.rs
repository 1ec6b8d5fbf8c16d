//! `POST /users/me/password`

use serde_json::{Value, json};

use super::token;
use crate::support::{PASSWORD, TestApp, TestResponse, run_concurrently};

const NEW_PASSWORD: &str = "94 moss anchors";

#[tokio::test]
async fn changed_password_replaces_the_old_one() {
    let app = TestApp::start().await;
    let (ada, bob) = (app.signed_in("ada").await, app.signed_in("bob").await);
    let elsewhere = app.with_token(&token(&app.log_in("ada@example.com", PASSWORD).await));
    let response = ada.change_password(PASSWORD, NEW_PASSWORD).await.expect(200);
    assert_eq!(response.json().as_object().unwrap().len(), 2);
    app.with_token(&token(&response)).get("/users/me").await.expect(200);
    for caller in [&ada, &elsewhere] {
        caller.get("/users/me").await.expect(401);
    }
    app.log_in("ada@example.com", PASSWORD).await.expect(403);
    let login = app.log_in("ada@example.com", NEW_PASSWORD).await.expect(200);
    app.with_token(&token(&login)).get("/users/me").await.expect(200);
    bob.get("/users/me").await.expect(200);
    app.log_in("bob@example.com", PASSWORD).await.expect(200);
}

#[tokio::test]
async fn change_with_wrong_password_is_rejected() {
    let app = TestApp::start().await;
    let ada = app.signed_in("ada").await;
    for wrong in ["", "wrong", &PASSWORD.to_uppercase(), &"x".repeat(5000)] {
        let refused = ada.change_password(wrong, NEW_PASSWORD).await.expect(403);
        assert_eq!(refused.text(), json!({"detail": "invalid credentials"}).to_string());
        let change = json!({"email": "countess@example.com", "current_password": wrong});
        let change = change.to_string();
        ada.send_raw("PATCH", "/users/me", "application/json", change).await.expect(403);
    }
    ada.get("/users/me").await.expect(200);
    app.log_in("ada@example.com", PASSWORD).await.expect(200);
}

/// The error types are those of the reference service.
#[tokio::test]
async fn invalid_change_is_reported_without_passwords() {
    let app = TestApp::start().await;
    let ada = app.signed_in("ada").await;
    let caller = &ada;
    let errors = |body: Value| async move {
        let response = caller.post("/users/me/password", &body).await.expect(422);
        assert!(!response.text().contains("canary"), "{response:?}");
        let errors = response.json()["detail"].as_array().unwrap().clone();
        let describe =
            |error: &Value| format!("{} {}", error["type"], error["loc"][1]).replace('"', "");
        errors.iter().map(describe).collect::<Vec<_>>()
    };
    let both = ["missing current_password", "missing new_password"];
    assert_eq!(errors(json!({"password": "canary"})).await, both);
    let body = json!({"current_password": 7, "new_password": "canary"});
    let types = ["string_type current_password", "string_too_short new_password"];
    assert_eq!(errors(body).await, types);
    let body = json!({"current_password": "canary", "new_password": "password"});
    assert_eq!(errors(body).await, ["value_error new_password"]);
    let body = json!({"current_password": ["canary"], "new_password": {"canary": "canary"}});
    assert_eq!(errors(body).await, ["string_type current_password", "string_type new_password"]);
    for body in [json!(["canary"]), json!("canary"), json!(null)] {
        assert_eq!(errors(body).await.len(), 1);
    }
    ada.get("/users/me").await.expect(200);
}

#[tokio::test]
async fn concurrent_changes_with_one_token_succeed_once() {
    let app = TestApp::start().await;
    let ada = app.signed_in("ada").await;
    let responses =
        run_concurrently((0..12).map(|_| ada.change_password(PASSWORD, NEW_PASSWORD))).await;
    let changed: Vec<&TestResponse> =
        responses.iter().filter(|response| response.status == 200).collect();
    // By then the first change has replaced the password and revoked the token.
    let refused = |response: &&TestResponse| response.status == 401 || response.status == 403;
    assert_eq!((changed.len(), responses.iter().filter(refused).count()), (1, 11));
    app.with_token(&token(changed[0])).get("/users/me").await.expect(200);
}
