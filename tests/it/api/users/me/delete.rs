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
        for body in ["", "null", "{}", "[]", r#"{"password":"plum lantern 83 quay"}"#] {
            let refused = ada.send_raw("DELETE", path, "application/json", body).await.expect(422);
            let errors = refused.json()["detail"].clone();
            assert_eq!(errors.as_array().unwrap().len(), 1, "{body}: {errors}");
            assert_eq!(errors[0]["loc"], json!(["body", "current_password"]), "{body}");
            let message = errors[0]["msg"].as_str().unwrap();
            assert!(message.contains("X-Confirm-Password"), "{body}: {message}");
            assert!(message.contains("current_password"), "{body}: {message}");
            assert!(!refused.text().contains(PASSWORD), "{body}: {refused:?}");
        }
        delete_with_password(&ada, &app, path, b"wrong").await.expect(403);
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

/// Browsers cannot send the characters of every password in a header, and HTTP removes white space
/// at its ends.
#[tokio::test]
async fn confirmation_header_is_percent_encoded_utf_8() {
    let app = app_requiring_password().await;
    for (number, (password, header)) in [
        ("p\u{e4}ssw\u{f6}rd of ada", "p%C3%A4ssw%c3%b6rd%20of%20ada"),
        ("p\u{e4}ssw\u{f6}rd of ada", "p\u{e4}ssw\u{f6}rd of ada"),
        ("  both ends are blank  ", "%20%20both ends are blank%20%20"),
        ("plum lantern 83 quay", "plum lantern 83 quay"),
        ("100% of 3 lanterns, 5%", "100% of 3 lanterns, 5%"),
        ("a %41 in the lantern", "a %2541 in the lantern"),
        (
            "\u{1f512}\u{1f512}\u{1f512}\u{1f512} lock",
            "%F0%9F%94%92%F0%9F%94%92%F0%9F%94%92%F0%9F%94%92 lock",
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let email = format!("user{number}@example.com");
        let account = json!({"email": email, "password": password});
        app.anonymous().post("/users", &account).await.expect(201);
        let token = app.log_in(&email, password).await.expect(200).json()["access_token"].clone();
        let caller = app.with_token(token.as_str().unwrap());
        let deleted = delete_with_password(&caller, &app, "/users/me", header.as_bytes()).await;
        assert_eq!(deleted.status, 204, "{password:?} as {header:?}: {}", deleted.text());
    }
}

#[tokio::test]
async fn unreadable_confirmation_header_is_named_in_the_error() {
    let app = app_requiring_password().await;
    let ada = app.signed_in("ada").await;
    for header in [&b"p\xe4ssword"[..], b"p%E4ssword", b"\xff", b"%ff"] {
        let refused = delete_with_password(&ada, &app, "/users/me", header).await.expect(422);
        let error = &refused.json()["detail"][0];
        assert_eq!(error["loc"], json!(["header", "X-Confirm-Password"]));
        assert!(error["msg"].as_str().unwrap().contains("current_password"), "{error}");
        assert_eq!(error["input"], "**********");
    }
    let request = ada.request("DELETE", "/users/me");
    let request =
        request.header("x-confirm-password", PASSWORD).header("x-confirm-password", PASSWORD);
    let refused = app.send(request.body(axum::body::Body::empty()).unwrap()).await.expect(422);
    assert_eq!(refused.json()["detail"][0]["loc"], json!(["header", "X-Confirm-Password"]));
}

/// The header has precedence, so the body is not read.
#[tokio::test]
async fn invalid_body_beside_the_confirmation_header_is_ignored() {
    let app = app_requiring_password().await;
    for (number, body) in
        [&b"{"[..], b"\xff", b"[]", br#"{"current_password":1}"#].iter().enumerate()
    {
        let caller = app.signed_in(&format!("user{number}")).await;
        let request = caller.request("DELETE", "/users/me").header("x-confirm-password", PASSWORD);
        let request = request.body(axum::body::Body::from(body.to_vec())).unwrap();
        app.send(request).await.expect(204);
    }
}

/// HTTP removes white space at the ends of the header, so only the body has the whole password.
#[tokio::test]
async fn confirmation_with_white_space_at_its_ends_is_exact_in_the_body() {
    let app = app_requiring_password().await;
    let password = "  both ends are blank  ";
    let account = json!({"email": "ada@example.com", "password": password});
    app.anonymous().post("/users", &account).await.expect(201);
    let token = app.log_in("ada@example.com", password).await.expect(200).json();
    let ada = app.with_token(token["access_token"].as_str().unwrap());
    for (given, status) in [(password.trim(), 403), (password, 204)] {
        let body = json!({"current_password": given}).to_string();
        ada.send_raw("DELETE", "/users/me", "application/json", body).await.expect(status);
    }
}
