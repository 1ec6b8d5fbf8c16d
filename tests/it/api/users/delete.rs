//! `DELETE /users/{id}`

use crate::support::{PASSWORD, TestApp, run_concurrently};

#[tokio::test]
async fn deleted_account_disappears_with_posts_and_votes() {
    let app = TestApp::start().await;
    let (ada, bob) = (app.signed_in("ada").await, app.signed_in("bob").await);
    let (hers, his) = (ada.write_post("hers").await, bob.write_post("his").await);
    ada.vote(his, 1).await.expect(201);
    bob.vote(his, 1).await.expect(201);
    let response = ada.delete(&format!("/users/{}", ada.id)).await.expect(204);
    assert!(response.body.is_empty() && response.header("content-type").is_empty());
    bob.get(&format!("/posts/{hers}")).await.expect(404);
    assert_eq!(bob.votes(his).await, 1);
    app.anonymous().get(&format!("/users/{}", ada.id)).await.expect(404);
    app.log_in("ada@example.com", PASSWORD).await.expect(403);
}

#[tokio::test]
async fn deleting_another_account_is_rejected() {
    let app = TestApp::start().await;
    let (ada, bob) = (app.signed_in("ada").await, app.signed_in("bob").await);
    let refused = bob.delete(&format!("/users/{}", ada.id)).await.expect(403);
    assert_eq!(refused.detail(), "not authorized to perform this action");
    let missing = bob.delete("/users/4711").await.expect(404);
    assert_eq!(missing.detail(), "the user with the id:4711 was no found");
    bob.delete(&format!("/users/{}", "9".repeat(30))).await.expect(404);
    ada.get("/users/me").await.expect(200);
    bob.get("/users/me").await.expect(200);
}

/// Otherwise the old token would give access to the new account.
#[tokio::test]
async fn new_account_with_deleted_email_gets_a_new_id() {
    let app = TestApp::start().await;
    let ada = app.signed_in("ada").await;
    ada.delete("/users/me").await.expect(204);
    let again = app.signed_in("ada").await;
    assert_ne!(again.id, ada.id);
    ada.get("/users/me").await.expect(401);
    again.get("/users/me").await.expect(200);
}

#[tokio::test]
async fn concurrent_deletions_succeed_once() {
    let app = TestApp::start().await;
    let ada = app.signed_in("ada").await;
    let path = format!("/users/{}", ada.id);
    let responses = run_concurrently((0..20).map(|_| ada.delete(&path))).await;
    let deleted = responses.iter().filter(|response| response.status == 204).count();
    let rejected = responses.iter().filter(|response| response.status == 401).count();
    assert_eq!((deleted, rejected), (1, 19));
}
