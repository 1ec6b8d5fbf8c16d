//! `PATCH /posts/{id}`

use serde_json::{Value, json};

use crate::support::{TestApp, run_concurrently};

const MERGE_PATCH: &str = "application/merge-patch+json";

#[tokio::test]
async fn patch_replaces_only_the_fields_in_the_body() {
    let app = TestApp::start().await;
    let ada = app.signed_in("ada").await;
    let path = format!("/posts/{}", ada.write_draft("before").await);
    app.clock.advance(60);
    let before = ada.get(&path).await.json()["Post"].clone();
    let mut expected = before.clone();
    for (name, value) in
        [("title", json!("after")), ("content", json!("other")), ("published", json!(true))]
    {
        expected[name] = value.clone();
        let patched = ada.patch(&path, &json!({name: value})).await.expect(200).json();
        assert_eq!(patched, expected, "{name}");
        assert_eq!(ada.get(&path).await.json()["Post"], expected, "{name}");
    }
    let mut all = before.clone();
    for name in ["id", "created_at", "owner_id"] {
        all[name] = json!(4711);
    }
    all["unknown"] = json!("ignored");
    assert_eq!(ada.patch(&path, &all).await.expect(200).json(), before);
    assert_eq!(ada.patch(&path, &json!({})).await.expect(200).json(), before);
}

#[tokio::test]
async fn patch_keeps_votes() {
    let app = TestApp::start().await;
    let (ada, bob) = (app.signed_in("ada").await, app.signed_in("bob").await);
    let post = ada.write_post("before").await;
    bob.vote(post, 1).await.expect(201);
    let path = format!("/posts/{post}");
    ada.patch(&path, &json!({"title": "after"})).await.expect(200);
    assert_eq!(bob.get(&path).await.json()["votes"], 1);
}

#[tokio::test]
async fn patch_accepts_every_type_of_json() {
    let app = TestApp::start().await;
    let ada = app.signed_in("ada").await;
    let path = format!("/posts/{}", ada.write_post("before").await);
    for media_type in ["application/json", MERGE_PATCH, "application/merge-patch+json; a=b", ""] {
        let body = json!({"title": media_type}).to_string();
        let patched = ada.send_raw("PATCH", &path, media_type, body).await.expect(200).json();
        assert_eq!(patched["title"], media_type);
    }
    ada.send_raw("PATCH", &path, "text/plain", "{}").await.expect(422);
}

/// Each body, and the type and location of its errors: those of PUT, for the fields that are there.
#[tokio::test]
async fn invalid_patch_gets_422_and_changes_nothing() {
    let app = TestApp::start().await;
    let ada = app.signed_in("ada").await;
    let path = format!("/posts/{}", ada.write_post("before").await);
    let before = ada.get(&path).await.json();
    let title = |kind: &str| vec![json!([kind, ["body", "title"]])];
    let published = |kind: &str| vec![json!([kind, ["body", "published"]])];
    let cases: [(&str, Vec<Value>); 13] = [
        ("", vec![json!(["missing", ["body"]])]),
        ("null", vec![json!(["missing", ["body"]])]),
        ("[]", vec![json!(["model_attributes_type", ["body"]])]),
        ("\"title\"", vec![json!(["model_attributes_type", ["body"]])]),
        ("{", vec![json!(["json_invalid", ["body", 0]])]),
        (r#"{"title":null,"content":"new"}"#, title("string_type")),
        (r#"{"title":5}"#, title("string_type")),
        (r#"{"title":{}}"#, title("string_type")),
        (r#"{"title":"\u0000"}"#, title("value_error")),
        (r#"{"published":null}"#, published("bool_type")),
        (r#"{"published":"maybe"}"#, published("bool_parsing")),
        (r#"{"title":"new","published":[]}"#, published("bool_type")),
        (
            r#"{"title":1,"content":2,"published":3}"#,
            [
                title("string_type"),
                vec![json!(["string_type", ["body", "content"]])],
                published("bool_parsing"),
            ]
            .concat(),
        ),
    ];
    for (body, expected) in cases {
        let errors = ada.send_raw("PATCH", &path, MERGE_PATCH, body).await.expect(422).json();
        let errors = errors["detail"].as_array().unwrap().clone();
        let found: Vec<_> =
            errors.iter().map(|error| json!([error["type"], error["loc"]])).collect();
        assert_eq!(found, expected, "{body}");
    }
    ada.send_raw("PATCH", &path, MERGE_PATCH, vec![b'"', 0xff, b'"']).await.expect(400);
    let errors = ada.patch("/posts/x", &json!({"title": 5})).await.expect(422).json();
    assert_eq!(errors["detail"][0]["loc"], json!(["path", "id"]));
    assert_eq!(errors["detail"][1]["loc"], json!(["body", "title"]));
    assert_eq!(ada.get(&path).await.json(), before);
}

#[tokio::test]
async fn patching_post_of_another_user_is_rejected() {
    let app = TestApp::start().await;
    let (ada, bob) = (app.signed_in("ada").await, app.signed_in("bob").await);
    let (post, draft) = (ada.write_post("post").await, ada.write_draft("draft").await);
    let refused = bob.patch(&format!("/posts/{post}"), &json!({"title": "his"})).await.expect(403);
    assert_eq!(refused.detail(), "not authorized to perform this action");
    for hidden in [draft.to_string(), "4711".to_owned(), "9".repeat(30)] {
        let missing = bob.patch(&format!("/posts/{hidden}"), &json!({})).await.expect(404);
        assert_eq!(missing.detail(), "post with id does not exist");
    }
    assert_eq!(ada.titles("/posts").await, ["post"]);
    assert_eq!(ada.titles("/posts?published=false").await, ["draft"]);
}

/// Patches of different fields do not overwrite each other.
#[tokio::test]
async fn concurrent_patches_of_different_fields_are_all_kept() {
    let app = TestApp::start().await;
    let ada = app.signed_in("ada").await;
    for round in 0..10 {
        let path = format!("/posts/{}", ada.write_post("before").await);
        let bodies = [
            json!({"title": format!("title {round}")}),
            json!({"content": format!("content {round}")}),
            json!({"published": false}),
        ];
        for response in run_concurrently(bodies.iter().map(|body| ada.patch(&path, body))).await {
            response.expect(200);
        }
        let post = ada.get(&path).await.expect(200).json()["Post"].clone();
        for body in &bodies {
            let (name, value) = body.as_object().unwrap().iter().next().unwrap();
            assert_eq!(&post[name], value, "{round}");
        }
    }
}

#[tokio::test]
async fn patch_with_the_key_of_another_patch_is_rejected() {
    let app = TestApp::start().await;
    let mut ada = app.signed_in("ada").await;
    let [path, other] = [ada.write_post("before").await, ada.write_post("other").await]
        .map(|id| format!("/posts/{id}"));
    ada.key = Some("k".to_owned());
    let first = ada.patch(&path, &json!({"title": ""})).await.expect(200);
    let same = json!({"title": "", "unknown": null});
    assert_eq!(ada.patch(&path, &same).await.expect(200).body, first.body);
    for patch in [
        json!({}),
        json!({"content": ""}),
        json!({"title": "", "content": ""}),
        json!({"title": "", "published": true}),
        json!({"title": "", "published": false}),
        json!({"title": "\u{1}"}),
    ] {
        let refused = ada.patch(&path, &patch).await.expect(422).json();
        assert_eq!(refused["detail"][0]["loc"], json!(["header", "idempotency-key"]), "{patch}");
    }
    ada.patch(&other, &same).await.expect(422);
    let whole = json!({"title": "", "content": "text", "published": true});
    ada.put(&path, &whole).await.expect(422);
    assert_eq!(ada.get(&path).await.json()["Post"], first.json());
}

/// The response repeats what the request did not say, as it was then.
#[tokio::test]
async fn repeated_patch_gets_the_post_of_then() {
    let app = TestApp::start().await;
    let (mut ada, bob) = (app.signed_in("ada").await, app.signed_in("bob").await);
    let post = ada.write_post("before").await;
    let path = format!("/posts/{post}");
    let change = json!({"published": true});
    ada.key = Some("k".to_owned());
    let first = ada.patch(&path, &change).await.expect(200);
    ada.key = None;
    bob.vote(post, 1).await.expect(201);
    ada.patch(&path, &json!({"title": "later", "content": "later", "published": false}))
        .await
        .expect(200);
    app.clock.advance(60);
    ada.key = Some("k".to_owned());
    for is_deleted in [false, true] {
        if is_deleted {
            ada.key = None;
            ada.delete(&path).await.expect(204);
            ada.key = Some("k".to_owned());
        }
        let again = ada.patch(&path, &change).await.expect(200);
        assert_eq!(again.body, first.body);
        assert_eq!(again.header("etag"), first.header("etag"));
        assert_eq!(again.header("idempotent-replayed"), "true");
    }
}
