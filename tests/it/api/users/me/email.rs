//! `PATCH /users/me`

use serde_json::json;

use super::token;
use crate::support::{PASSWORD, TestApp};

#[tokio::test]
async fn changed_email_replaces_the_old_one() {
    let app = TestApp::start().await;
    let ada = app.signed_in("ada").await;
    let before = ada.get("/users/me").await.expect(200).json();
    let response = ada.change_email("Countess@EXAMPLE.org").await.expect(200);
    let mut changed = response.json();
    let again = app.with_token(&token(&response));
    changed.as_object_mut().unwrap().retain(|name, _| !name.contains("token"));
    assert_eq!(changed["email"], "Countess@example.org");
    assert_eq!((&changed["id"], &changed["created_at"]), (&before["id"], &before["created_at"]));
    assert_eq!(again.get("/users/me").await.expect(200).json(), changed);
    ada.get("/users/me").await.expect(401);
    app.log_in("ada@example.com", PASSWORD).await.expect(403);
    app.log_in("countess@example.org", PASSWORD).await.expect(403);
    app.log_in("Countess@example.org", PASSWORD).await.expect(200);
}

#[tokio::test]
async fn email_of_another_account_is_rejected() {
    let app = TestApp::start().await;
    let (ada, _bob) = (app.signed_in("ada").await, app.signed_in("bob").await);
    let refused = ada.change_email("bob@example.com").await.expect(409);
    assert_eq!(refused.detail(), "a user with this email already exists");
    ada.get("/users/me").await.expect(200);
    // The password is checked first, so a wrong one reveals nothing about e-mails.
    let change = json!({"email": "bob@example.com", "current_password": "wrong"});
    let refused = ada.send_raw("PATCH", "/users/me", "application/json", change.to_string()).await;
    assert_eq!(refused.expect(403).detail(), "invalid credentials");
}
