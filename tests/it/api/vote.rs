//! `POST /vote`

use serde_json::json;

use crate::support::{TestApp, run_concurrently};

#[tokio::test]
async fn vote_can_be_cast_changed_and_withdrawn() {
    let app = TestApp::start().await;
    let (ada, bob) = (app.signed_in("ada").await, app.signed_in("bob").await);
    let post = ada.write_post("post").await;
    for (dir, message, count) in [
        (1, "successfully added vote", 1),
        (-1, "successfully changed vote", -1),
        (1, "successfully changed vote", 1),
        (0, "successfully deleted vote", 0),
        (-1, "successfully added vote", -1),
    ] {
        let done = bob.vote(post, dir).await.expect(201);
        assert_eq!(done.json(), json!({"message": message}));
        assert_eq!(ada.votes(post).await, count);
    }
    ada.vote(post, -1).await.expect(201);
    assert_eq!(bob.votes(post).await, -2);
}

#[tokio::test]
async fn invalid_vote_is_rejected() {
    let app = TestApp::start().await;
    let (ada, bob) = (app.signed_in("ada").await, app.signed_in("bob").await);
    let post = ada.write_post("post").await;
    assert_eq!(bob.vote(post, 0).await.expect(404).detail(), "Vote does not exist");
    bob.vote(post, 1).await.expect(201);
    let twice = bob.vote(post, 1).await.expect(409);
    assert_eq!(twice.detail(), format!("user {} has already voted on post {post}", bob.id));
    let missing = bob.vote(4711, 1).await.expect(404);
    assert_eq!(missing.detail(), "Post with id: 4711 does not exist");
    let (too_small, too_large) = (json!({"ge": -1}), json!({"le": 1}));
    for (dir, bound) in [(2, &too_large), (-2, &too_small), (10_000_000_000, &too_large)] {
        let refusal = bob.vote(post, dir).await.expect(422).json();
        assert_eq!(refusal["detail"][0]["ctx"], *bound);
    }
    assert_eq!(ada.votes(post).await, 1);
}

#[tokio::test]
async fn numbers_in_other_forms_are_accepted() {
    let app = TestApp::start().await;
    let (ada, bob) = (app.signed_in("ada").await, app.signed_in("bob").await);
    let post = ada.write_post("post").await;
    let id = post.to_string();
    for body in [
        json!({"post_id": id, "dir": "1"}),
        json!({"post_id": format!(" {id}.0 "), "dir": false}),
        json!({"post_id": 1.0, "dir": true}),
        json!({"post_id": post, "dir": "-1"}),
    ] {
        bob.post("/vote", &body).await.expect(201);
    }
    let huge = format!(r#"{{"post_id":{},"dir":1}}"#, "9".repeat(400));
    bob.send_raw("POST", "/vote", "application/json", huge).await.expect(404);
}

#[tokio::test]
async fn vote_on_draft_of_another_user_is_rejected() {
    let app = TestApp::start().await;
    let (ada, bob) = (app.signed_in("ada").await, app.signed_in("bob").await);
    let draft = ada.write_draft("draft").await;
    for dir in [1, -1, 0] {
        let hidden = bob.vote(draft, dir).await.expect(404);
        assert_eq!(hidden.detail(), format!("Post with id: {draft} does not exist"));
    }
    ada.vote(draft, 1).await.expect(201);
    assert_eq!(ada.votes(draft).await, 1);
}

#[tokio::test]
async fn concurrent_equal_votes_count_once() {
    let app = TestApp::start().await;
    let (ada, bob) = (app.signed_in("ada").await, app.signed_in("bob").await);
    let post = ada.write_post("post").await;
    let responses = run_concurrently((0..100).map(|_| bob.vote(post, 1))).await;
    let added = responses.iter().filter(|response| response.status == 201).count();
    let refused = responses.iter().filter(|response| response.status == 409).count();
    assert_eq!((added, refused), (1, 99));
    assert_eq!(ada.votes(post).await, 1);
}

#[tokio::test]
async fn vote_during_post_deletion_leaves_no_trace() {
    let app = TestApp::start().await;
    let (ada, bob) = (app.signed_in("ada").await, app.signed_in("bob").await);
    for round in 0..30 {
        let post = ada.write_post("post").await;
        let path = format!("/posts/{post}");
        let (voted, deleted) = if round % 2 == 0 {
            tokio::join!(bob.vote(post, 1), ada.delete(&path))
        } else {
            let (deleted, voted) = tokio::join!(ada.delete(&path), bob.vote(post, 1));
            (voted, deleted)
        };
        deleted.expect(204);
        assert!(voted.status == 201 || voted.status == 404, "{voted:?}");
        bob.vote(post, 0).await.expect(404);
    }
}

#[tokio::test]
async fn vote_during_account_deletion_leaves_no_trace() {
    let app = TestApp::start().await;
    let ada = app.signed_in("ada").await;
    let post = ada.write_post("post").await;
    ada.vote(post, 1).await.expect(201);
    for round in 0..20 {
        let bob = app.signed_in(&format!("bob{round}")).await;
        let theirs = bob.write_post("theirs").await;
        let (voted, deleted, other) =
            tokio::join!(bob.vote(post, -1), bob.delete("/users/me"), ada.vote(theirs, 1));
        deleted.expect(204);
        assert!(voted.status == 201 || voted.status == 401, "{voted:?}");
        assert!(other.status == 201 || other.status == 404, "{other:?}");
        assert_eq!(ada.votes(post).await, 1);
    }
    assert_eq!(ada.titles("/posts").await, ["post"]);
}
