//! `DELETE /users/me`, and deletions that need the password (`DELETE_REQUIRES_PASSWORD`).

use post_api::domain::policy::Policy;
use serde_json::json;

use crate::support::{PASSWORD, Setup, TestApp, TestCaller, TestResponse};

async fn app_requiring_password() -> TestApp {
    let policy = Policy { delete_requires_password: true, ..Policy::default() };
    TestApp::set_up(Setup { policy, ..Setup::default() }).await
}

async fn delete_with_password(
    caller: &TestCaller<'_>,
    app: &TestApp,
    path: &str,
    password: &[u8],
) -> TestResponse {
    let request = caller.request("DELETE", path).header("x-confirm-password", password);
    app.send(request.body(axum::body::Body::empty()).unwrap()).await
}

#[tokio::test]
async fn deleted_account_leaves_other_accounts_unchanged() {
    let app = TestApp::start().await;
    let (ada, bob) = (app.signed_in("ada").await, app.signed_in("bob").await);
    ada.write_post("hers").await;
    bob.write_post("his").await;
    ada.delete("/users/me").await.expect(204);
    assert_eq!(bob.titles("/posts").await, ["his"]);
    bob.get("/users/me").await.expect(200);
}

#[tokio::test]
async fn deletion_with_required_password_needs_the_password() {
    let app = app_requiring_password().await;
    let (ada, bob) = (app.signed_in("ada").await, app.signed_in("bob").await);
    let (own, others) = (format!("/users/{}", ada.id), format!("/users/{}", bob.id));
    for path in ["/users/me", &own] {
        let refused = ada.delete(path).await.expect(422);
        assert_eq!(refused.json()["detail"][0]["loc"], json!(["body"]));
        let refused = ada.send_raw("DELETE", path, "application/json", "{}").await.expect(422);
        assert_eq!(refused.json()["detail"][0]["loc"], json!(["body", "current_password"]));
        delete_with_password(&ada, &app, path, b"wrong").await.expect(403);
        delete_with_password(&ada, &app, path, b"\xff").await.expect(422);
        let wrong = json!({"current_password": "wrong"}).to_string();
        ada.send_raw("DELETE", path, "application/json", wrong).await.expect(403);
    }
    // For another account a right password changes nothing in the response.
    for password in [PASSWORD, "wrong"] {
        let refused =
            delete_with_password(&ada, &app, &others, password.as_bytes()).await.expect(403);
        assert_eq!(refused.detail(), "not authorized to perform this action");
        delete_with_password(&ada, &app, "/users/4711", password.as_bytes()).await.expect(404);
    }
    ada.get("/users/me").await.expect(200);
    delete_with_password(&ada, &app, &own, PASSWORD.as_bytes()).await.expect(204);
    ada.get("/users/me").await.expect(401);
    let right = json!({"current_password": PASSWORD}).to_string();
    bob.send_raw("DELETE", "/users/me", "application/json", right).await.expect(204);
    bob.get("/users/me").await.expect(401);
}

#[tokio::test]
async fn deletion_without_required_password_ignores_the_password() {
    let app = TestApp::start().await;
    let ada = app.signed_in("ada").await;
    delete_with_password(&ada, &app, "/users/me", b"wrong").await.expect(204);
}
