//! `GET /users/{id}`

use serde_json::Value;

use crate::support::TestApp;

#[tokio::test]
async fn email_is_shown_only_to_the_account_itself() {
    let app = TestApp::start().await;
    let (ada, bob) = (app.signed_in("ada").await, app.signed_in("bob").await);
    let path = format!("/users/{}", ada.id);
    assert_eq!(ada.get(&path).await.expect(200).json()["email"], "ada@example.com");
    for other in [&bob, &app.anonymous(), &app.with_token("bad")] {
        let seen = other.get(&path).await.expect(200).json();
        assert_eq!(seen["email"], Value::Null);
        assert_eq!(seen["id"], ada.id);
    }
}

/// The token is optional here, so an invalid one counts as none.
#[tokio::test]
async fn email_with_expired_token_is_hidden() {
    let app = TestApp::start().await;
    let ada = app.signed_in("ada").await;
    app.clock.advance(30 * 60);
    let seen = ada.get(&format!("/users/{}", ada.id)).await.expect(200).json();
    assert_eq!(seen["email"], Value::Null);
}

#[tokio::test]
async fn unknown_user_id_gets_404_or_422() {
    let app = TestApp::start().await;
    for (id, shown) in [("7", "7"), ("+5", "5"), ("007", "7"), ("-1", "-1"), ("1_000", "1000")] {
        let response = app.anonymous().get(&format!("/users/{id}")).await.expect(404);
        assert_eq!(response.detail(), format!("the user with the id:{shown} was no found"));
    }
    app.anonymous().get(&format!("/users/{}", "9".repeat(400))).await.expect(404);
    for id in ["x", "1.5", "%D9%A7", "1e3", "%20", "9223372036854775808x", "--1"] {
        app.anonymous().get(&format!("/users/{id}")).await.expect(422);
    }
}
