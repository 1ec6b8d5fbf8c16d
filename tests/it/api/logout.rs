//! `POST /logout`

use super::users::me::token;
use crate::support::{PASSWORD, TestApp};

#[tokio::test]
async fn logout_revokes_every_token_of_the_account() {
    let app = TestApp::start().await;
    let (ada, bob) = (app.signed_in("ada").await, app.signed_in("bob").await);
    let elsewhere = app.with_token(&token(&app.log_in("ada@example.com", PASSWORD).await));
    let response = elsewhere.send_raw("POST", "/logout", "", "").await.expect(204);
    assert!(response.body.is_empty());
    for caller in [&ada, &elsewhere] {
        caller.get("/users/me").await.expect(401);
        caller.send_raw("POST", "/logout", "", "").await.expect(401);
    }
    bob.get("/users/me").await.expect(200);
    // This login is in the same second as the logout.
    let again = app.with_token(&token(&app.log_in("ada@example.com", PASSWORD).await));
    again.get("/users/me").await.expect(200);
}
