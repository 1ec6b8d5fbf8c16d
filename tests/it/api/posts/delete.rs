//! `DELETE /posts/{id}`

use crate::support::{TestApp, run_concurrently};

#[tokio::test]
async fn deleted_post_disappears_with_its_votes() {
    let app = TestApp::start().await;
    let (ada, bob) = (app.signed_in("ada").await, app.signed_in("bob").await);
    let post = ada.write_post("post").await;
    bob.vote(post, 1).await.expect(201);
    let path = format!("/posts/{post}");
    let response = ada.delete(&path).await.expect(204);
    assert!(response.body.is_empty() && response.header("content-type").is_empty());
    for response in [ada.get(&path).await, ada.delete(&path).await, bob.vote(post, 0).await] {
        response.expect(404);
    }
}

#[tokio::test]
async fn deleting_post_of_another_user_is_rejected() {
    let app = TestApp::start().await;
    let (ada, bob) = (app.signed_in("ada").await, app.signed_in("bob").await);
    let (post, draft) = (ada.write_post("post").await, ada.write_draft("draft").await);
    let refused = bob.delete(&format!("/posts/{post}")).await.expect(403);
    assert_eq!(refused.detail(), "not authorized to perform this action");
    for hidden in [draft.to_string(), "4711".to_owned(), "9".repeat(30)] {
        let missing = bob.delete(&format!("/posts/{hidden}")).await.expect(404);
        assert_eq!(missing.detail(), "post with id does not exist");
    }
    ada.get(&format!("/posts/{post}")).await.expect(200);
    ada.get(&format!("/posts/{draft}")).await.expect(200);
}

#[tokio::test]
async fn deletion_with_body_succeeds() {
    let app = TestApp::start().await;
    let ada = app.signed_in("ada").await;
    let path = format!("/posts/{}", ada.write_post("post").await);
    ada.send_raw("DELETE", &path, "application/json", "{not json").await.expect(204);
}

#[tokio::test]
async fn concurrent_deletions_succeed_once() {
    let app = TestApp::start().await;
    let ada = app.signed_in("ada").await;
    let path = format!("/posts/{}", ada.write_post("post").await);
    let responses = run_concurrently((0..50).map(|_| ada.delete(&path))).await;
    let deleted = responses.iter().filter(|response| response.status == 204).count();
    let missing = responses.iter().filter(|response| response.status == 404).count();
    assert_eq!((deleted, missing), (1, 49));
}
