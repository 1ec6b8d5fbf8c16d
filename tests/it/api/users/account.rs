//! `PATCH /users/me`, `POST /users/me/password`, `POST /logout`, and deletions that are confirmed.

use post_api::domain::policy::Policy;
use serde_json::{Value, json};

use crate::support::{Answer, PASSWORD, Persona, Setup, TestApp, at_once};

const ANOTHER: &str = "94 moss anchors";

fn token(answer: &Answer) -> String {
    assert_eq!(answer.json()["token_type"], "bearer");
    answer.json()["access_token"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_new_password_takes_the_place_of_the_old_one() {
    let app = TestApp::start().await;
    let (ada, bob) = (app.signed_in("ada").await, app.signed_in("bob").await);
    let elsewhere = app.with_token(&token(&app.log_in("ada@example.com", PASSWORD).await));
    let answer = ada.change_password(PASSWORD, ANOTHER).await.expect(200);
    assert_eq!(answer.json().as_object().unwrap().len(), 2);
    app.with_token(&token(&answer)).get("/users/me").await.expect(200);
    for caller in [&ada, &elsewhere] {
        caller.get("/users/me").await.expect(401);
    }
    app.log_in("ada@example.com", PASSWORD).await.expect(403);
    let login = app.log_in("ada@example.com", ANOTHER).await.expect(200);
    app.with_token(&token(&login)).get("/users/me").await.expect(200);
    bob.get("/users/me").await.expect(200);
    app.log_in("bob@example.com", PASSWORD).await.expect(200);
}

#[tokio::test]
async fn a_new_address_takes_the_place_of_the_old_one() {
    let app = TestApp::start().await;
    let ada = app.signed_in("ada").await;
    let before = ada.get("/users/me").await.expect(200).json();
    let answer = ada.change_email("Countess@EXAMPLE.org").await.expect(200);
    let mut changed = answer.json();
    let again = app.with_token(&token(&answer));
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
async fn an_address_of_another_account_is_refused() {
    let app = TestApp::start().await;
    let (ada, _bob) = (app.signed_in("ada").await, app.signed_in("bob").await);
    let refused = ada.change_email("bob@example.com").await.expect(409);
    assert_eq!(refused.detail(), "a user with this email already exists");
    ada.get("/users/me").await.expect(200);
    // The password comes first: who does not know it learns nothing of addresses.
    let change = json!({"email": "bob@example.com", "current_password": "wrong"});
    let refused = ada.send_raw("PATCH", "/users/me", "application/json", change.to_string()).await;
    assert_eq!(refused.expect(403).detail(), "invalid credentials");
}

#[tokio::test]
async fn without_the_password_nothing_changes() {
    let app = TestApp::start().await;
    let ada = app.signed_in("ada").await;
    for wrong in ["", "wrong", &PASSWORD.to_uppercase(), &"x".repeat(5000)] {
        let refused = ada.change_password(wrong, ANOTHER).await.expect(403);
        assert_eq!(refused.text(), json!({"detail": "invalid credentials"}).to_string());
        let change = json!({"email": "countess@example.com", "current_password": wrong});
        let change = change.to_string();
        ada.send_raw("PATCH", "/users/me", "application/json", change).await.expect(403);
    }
    ada.get("/users/me").await.expect(200);
    app.log_in("ada@example.com", PASSWORD).await.expect(200);
}

/// In the reference's words, and without the passwords.
#[tokio::test]
async fn what_does_not_fit_is_told_without_passwords() {
    let app = TestApp::start().await;
    let ada = app.signed_in("ada").await;
    let caller = &ada;
    let faults = |body: Value| async move {
        let answer = caller.post("/users/me/password", &body).await.expect(422);
        assert!(!answer.text().contains("canary"), "{answer:?}");
        let faults = answer.json()["detail"].as_array().unwrap().clone();
        let told =
            |fault: &Value| format!("{} {}", fault["type"], fault["loc"][1]).replace('"', "");
        faults.iter().map(told).collect::<Vec<_>>()
    };
    let both = ["missing current_password", "missing new_password"];
    assert_eq!(faults(json!({"password": "canary"})).await, both);
    let body = json!({"current_password": 7, "new_password": "canary"});
    let types = ["string_type current_password", "string_too_short new_password"];
    assert_eq!(faults(body).await, types);
    let body = json!({"current_password": "canary", "new_password": "password"});
    assert_eq!(faults(body).await, ["value_error new_password"]);
    let body = json!({"current_password": ["canary"], "new_password": {"canary": "canary"}});
    assert_eq!(faults(body).await, ["string_type current_password", "string_type new_password"]);
    for body in [json!(["canary"]), json!("canary"), json!(null)] {
        assert_eq!(faults(body).await.len(), 1);
    }
    ada.get("/users/me").await.expect(200);
}

#[tokio::test]
async fn signing_out_ends_every_token_of_the_account() {
    let app = TestApp::start().await;
    let (ada, bob) = (app.signed_in("ada").await, app.signed_in("bob").await);
    let elsewhere = app.with_token(&token(&app.log_in("ada@example.com", PASSWORD).await));
    let answer = elsewhere.send_raw("POST", "/logout", "", "").await.expect(204);
    assert!(answer.body.is_empty());
    for caller in [&ada, &elsewhere] {
        caller.get("/users/me").await.expect(401);
        caller.send_raw("POST", "/logout", "", "").await.expect(401);
    }
    bob.get("/users/me").await.expect(200);
    // In the same second as the sign-out.
    let again = app.with_token(&token(&app.log_in("ada@example.com", PASSWORD).await));
    again.get("/users/me").await.expect(200);
}

#[tokio::test]
async fn of_many_changes_at_once_with_one_token_one_succeeds() {
    let app = TestApp::start().await;
    let ada = app.signed_in("ada").await;
    let answers = at_once((0..12).map(|_| ada.change_password(PASSWORD, ANOTHER))).await;
    let changed: Vec<&Answer> = answers.iter().filter(|answer| answer.status == 200).collect();
    // The others' password or token had ended by then.
    let refused = |answer: &&Answer| answer.status == 401 || answer.status == 403;
    assert_eq!((changed.len(), answers.iter().filter(refused).count()), (1, 11));
    app.with_token(&token(changed[0])).get("/users/me").await.expect(200);
}

async fn confirming() -> TestApp {
    let policy = Policy { delete_requires_password: true, ..Policy::default() };
    TestApp::set_up(Setup { policy, ..Setup::default() }).await
}

async fn delete_with(caller: &Persona<'_>, app: &TestApp, path: &str, password: &[u8]) -> Answer {
    let request = caller.request("DELETE", path).header("x-confirm-password", password);
    app.send(request.body(axum::body::Body::empty()).unwrap()).await
}

#[tokio::test]
async fn a_deletion_is_confirmed_where_that_is_asked_for() {
    let app = confirming().await;
    let (ada, bob) = (app.signed_in("ada").await, app.signed_in("bob").await);
    let (own, others) = (format!("/users/{}", ada.id), format!("/users/{}", bob.id));
    for path in ["/users/me", &own] {
        let refused = ada.delete(path).await.expect(422);
        assert_eq!(refused.json()["detail"][0]["loc"], json!(["body"]));
        let refused = ada.send_raw("DELETE", path, "application/json", "{}").await.expect(422);
        assert_eq!(refused.json()["detail"][0]["loc"], json!(["body", "current_password"]));
        delete_with(&ada, &app, path, b"wrong").await.expect(403);
        delete_with(&ada, &app, path, b"\xff").await.expect(422);
        let wrong = json!({"current_password": "wrong"}).to_string();
        ada.send_raw("DELETE", path, "application/json", wrong).await.expect(403);
    }
    // Whose it is not learns no more for a password.
    for password in [PASSWORD, "wrong"] {
        let refused = delete_with(&ada, &app, &others, password.as_bytes()).await.expect(403);
        assert_eq!(refused.detail(), "not authorized to perform this action");
        delete_with(&ada, &app, "/users/4711", password.as_bytes()).await.expect(404);
    }
    ada.get("/users/me").await.expect(200);
    delete_with(&ada, &app, &own, PASSWORD.as_bytes()).await.expect(204);
    ada.get("/users/me").await.expect(401);
    let right = json!({"current_password": PASSWORD}).to_string();
    bob.send_raw("DELETE", "/users/me", "application/json", right).await.expect(204);
    bob.get("/users/me").await.expect(401);
}

#[tokio::test]
async fn a_deletion_is_not_confirmed_where_that_is_not_asked_for() {
    let app = TestApp::start().await;
    let ada = app.signed_in("ada").await;
    delete_with(&ada, &app, "/users/me", b"wrong").await.expect(204);
}
