//! `PUT /posts/{id}`

use serde_json::json;

use crate::support::{TestApp, run_concurrently};

#[tokio::test]
async fn put_replaces_all_three_fields() {
    let app = TestApp::start().await;
    let ada = app.signed_in("ada").await;
    let draft = ada.write_draft("before").await;
    let path = format!("/posts/{draft}");
    app.clock.advance(60);
    let body = json!({"title": "after", "content": "other"});
    let after = ada.put(&path, &body).await.expect(200).json();
    assert_eq!(after["created_at"], "2025-01-31T12:00:00.123456Z");
    assert_eq!((&after["title"], &after["content"]), (&json!("after"), &json!("other")));
    // As in the reference service, an absent field takes its default.
    assert_eq!(after["published"], true);
    assert_eq!(ada.get(&path).await.json()["Post"], after);
}

#[tokio::test]
async fn path_and_body_errors_are_reported_together() {
    let app = TestApp::start().await;
    let ada = app.signed_in("ada").await;
    let errors = ada.put("/posts/x", &json!({"title": 5})).await.expect(422).json();
    let locations: Vec<_> =
        errors["detail"].as_array().unwrap().iter().map(|error| &error["loc"]).collect();
    assert_eq!(
        locations,
        [&json!(["path", "id"]), &json!(["body", "title"]), &json!(["body", "content"])]
    );
}

#[tokio::test]
async fn replacing_hidden_post_gets_404() {
    let app = TestApp::start().await;
    let (ada, bob) = (app.signed_in("ada").await, app.signed_in("bob").await);
    let draft = ada.write_draft("draft").await;
    let body = json!({"title": "t", "content": "c"});
    for id in [draft.to_string(), "4711".to_owned(), "9".repeat(30)] {
        let missing = bob.put(&format!("/posts/{id}"), &body).await.expect(404);
        assert_eq!(missing.detail(), "post with id does not exist");
    }
    assert_eq!(ada.titles("/posts?published=false").await, ["draft"]);
}

/// Each response has the fields of its own request. The stored post has the fields of one request.
#[tokio::test]
async fn concurrent_replacements_do_not_mix() {
    let app = TestApp::start().await;
    let ada = app.signed_in("ada").await;
    let path = format!("/posts/{}", ada.write_post("post").await);
    let bodies: Vec<_> = (0..20)
        .map(|number| json!({"title": number.to_string(), "content": number.to_string()}))
        .collect();
    let responses = run_concurrently(bodies.iter().map(|body| ada.put(&path, body))).await;
    for (response, body) in responses.into_iter().zip(&bodies) {
        assert_eq!(response.expect(200).json()["title"], body["title"]);
    }
    let post = ada.get(&path).await.expect(200).json();
    assert_eq!(post["Post"]["title"], post["Post"]["content"]);
}
