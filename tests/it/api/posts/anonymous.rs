//! `GET /posts` and `GET /posts/{id}` without a token, with `ANONYMOUS_READS=on`

use axum::body::Body;
use post_api::domain::policy::Policy;
use serde_json::json;

use crate::support::{Engine, Setup, TestApp, TestResponse};

async fn open(engine: Engine, policy: Policy) -> TestApp {
    let policy = Policy { anonymous_reads: true, ..policy };
    TestApp::set_up(Setup { engine, policy, ..Setup::default() }).await
}

#[tokio::test]
async fn published_posts_are_read_without_a_token() {
    for engine in Engine::ALL {
        for policy in [Policy::default(), Policy::reference()] {
            let app = open(engine, policy).await;
            let ada = app.signed_in("ada").await;
            let (post, draft) = (ada.write_post("post").await, ada.write_draft("draft").await);
            let anonymous = app.anonymous();
            for path in ["/posts", "/posts?search=post", "/posts?search=po", "/posts?include=owner"]
            {
                let response = anonymous.get(path).await.expect(200);
                assert_eq!(response.header("cache-control"), "public, no-cache", "{path}");
                assert_eq!(response.header("vary"), "authorization, origin", "{path}");
                assert_eq!(anonymous.titles(path).await, ["post"], "{path}");
            }
            let path = format!("/posts/{post}");
            let response = anonymous.get(&path).await.expect(200);
            assert_eq!(response.header("cache-control"), "public, no-cache");
            assert_eq!(response.body, ada.get(&path).await.expect(200).body);
            // Also if every account can see drafts.
            anonymous.get(&format!("/posts/{draft}")).await.expect(404);
            assert_eq!(anonymous.titles("/posts?search=draft").await, [""; 0]);
            assert!(anonymous.get("/posts?limit=0").await.expect(200).json()[0].is_null());
        }
    }
}

/// All clients share the ranking, but each gets only the posts that it sees.
#[tokio::test]
async fn ranking_that_others_asked_for_shows_no_draft_without_a_token() {
    for engine in Engine::ALL {
        for policy in [Policy::default(), Policy::reference()] {
            let app = open(engine, policy.clone()).await;
            let (ada, anonymous) = (app.signed_in("ada").await, app.anonymous());
            ada.write_post("first").await;
            let draft = ada.write_draft("draft").await;
            ada.vote(draft, 1).await.expect(201);
            let hidden = ada.write_post("hidden").await;
            ada.write_post("last").await;
            for sort in ["top", "hot"] {
                // The ranking has the post that is a draft later, and with visible drafts the draft.
                let seen = ada.titles(&format!("/posts?sort={sort}")).await;
                assert_eq!(seen.contains(&"draft".to_owned()), policy == Policy::reference());
                assert!(seen.contains(&"hidden".to_owned()), "{seen:?}");
            }
            let unpublished = json!({"title": "hidden", "content": "text", "published": false});
            ada.put(&format!("/posts/{hidden}"), &unpublished).await.expect(200);
            for sort in ["top", "hot", "top&window=day"] {
                let path = format!("/posts?sort={sort}");
                assert_eq!(anonymous.titles(&path).await, ["last", "first"], "{path}");
                let response = anonymous.get(&path).await.expect(200);
                assert_eq!(response.header("cache-control"), "public, no-cache", "{path}");
                let mut walked = Vec::new();
                let mut next = Some(format!("{path}&limit=1&include=owner"));
                while let Some(path) = next {
                    let page = anonymous.get(&path).await.expect(200);
                    walked.extend(anonymous.titles(&path).await);
                    let link = page.header("link").split_once(">; rel=\"next\"");
                    next = link.map(|(target, _)| target.trim_start_matches('<').to_owned());
                }
                assert_eq!(walked, ["last", "first"], "{path}");
                anonymous.get(&format!("{path}&include=my_vote")).await.expect(401);
            }
        }
    }
}

#[tokio::test]
async fn response_without_a_token_is_revalidated() {
    let app = open(Engine::Sqlite, Policy::default()).await;
    let ada = app.signed_in("ada").await;
    let post = ada.write_post("post").await;
    for path in [
        "/posts".to_owned(),
        "/posts?sort=top".to_owned(),
        "/posts?include=owner".to_owned(),
        format!("/posts/{post}"),
        format!("/posts/{post}?include=owner"),
    ] {
        let tag = app.anonymous().get(&path).await.expect(200).header("etag").to_owned();
        // Everyone gets the same, so everyone gets the same tag.
        assert_eq!(ada.get(&path).await.expect(200).header("etag"), tag, "{path}");
        let known = app.anonymous().request("GET", &path).header("if-none-match", &tag);
        let current = app.send(known.body(Body::empty()).unwrap()).await.expect(304);
        assert_eq!(current.header("cache-control"), "public, no-cache", "{path}");
        assert_eq!(current.header("vary"), "authorization, origin", "{path}");
        assert_eq!(current.header("etag"), tag, "{path}");
    }
    let change = json!({"title": "new"}).to_string();
    let path = format!("/posts/{post}");
    app.anonymous().send_raw("PATCH", &path, "application/json", change).await.expect(401);
}

#[tokio::test]
async fn posts_of_a_closed_account_are_not_read_without_a_token() {
    for engine in Engine::ALL {
        let app = open(engine, Policy::default()).await;
        let ada = app.signed_in("ada").await;
        let post = ada.write_post("post").await;
        // The row of the operator keeps the post of the closed account.
        app.execute(&format!(
            "CREATE TABLE kept (post_id bigint REFERENCES posts (id));
             INSERT INTO kept VALUES ({post})"
        ));
        ada.delete("/users/me").await.expect(204);
        app.anonymous().get(&format!("/posts/{post}")).await.expect(404);
        assert_eq!(app.anonymous().titles("/posts").await, [""; 0]);
        assert_eq!(app.anonymous().titles("/posts?search=post").await, [""; 0]);
    }
}

#[tokio::test]
async fn own_parts_need_a_token_also_with_anonymous_reads() {
    let app = open(Engine::Sqlite, Policy::default()).await;
    let ada = app.signed_in("ada").await;
    let post = ada.write_post("post").await;
    for path in [
        "/posts?published=false".to_owned(),
        "/posts?owner=me".to_owned(),
        "/posts?sort=hot&include=my_vote".to_owned(),
        "/posts?include=my_vote".to_owned(),
        "/posts?include=owner,my_vote".to_owned(),
        format!("/posts/{post}?include=my_vote"),
        "/posts/4711?include=my_vote".to_owned(),
    ] {
        let rejected = app.anonymous().get(&path).await.expect(401);
        assert_eq!(rejected.detail(), "Not authenticated", "{path}");
        assert_eq!(rejected.header("www-authenticate"), "Bearer", "{path}");
        assert_eq!(rejected.header("cache-control"), "no-store", "{path}");
    }
    ada.get("/posts?published=false&include=my_vote").await.expect(200);
    // A request that is invalid for every caller is invalid.
    app.anonymous().get("/posts?include=x").await.expect(422);
    app.anonymous().get("/posts/x").await.expect(422);
}

#[tokio::test]
async fn token_that_is_sent_must_be_valid_also_with_anonymous_reads() {
    let app = open(Engine::Sqlite, Policy::default()).await;
    let ada = app.signed_in("ada").await;
    let post = ada.write_post("post").await;
    let token = ada.token.clone().unwrap();
    let gone = app.signed_in("gone").await;
    gone.delete("/users/me").await.expect(204);
    let send = async |path: &str, values: &[&str]| -> TestResponse {
        let mut request = app.anonymous().request("GET", path);
        for value in values {
            request = request.header("authorization", *value);
        }
        app.send(request.body(Body::empty()).unwrap()).await
    };
    for path in ["/posts".to_owned(), format!("/posts/{post}"), "/posts?limit=x".to_owned()] {
        let is_valid = !path.contains('x');
        for (values, status) in [
            (vec![format!("Bearer {token}")], 200),
            (vec!["Bearer x".to_owned()], 401),
            (vec!["Bearer ".to_owned()], 401),
            (vec![format!("Bearer {}", gone.token.as_deref().unwrap())], 401),
            (vec![format!("Bearer {token}"), format!("Bearer {token}")], 401),
            (vec!["Basic eDp5".to_owned(), format!("Bearer {token}")], 401),
            // The credentials of a proxy are no token.
            (vec!["Basic eDp5".to_owned()], 200),
        ] {
            let values: Vec<&str> = values.iter().map(String::as_str).collect();
            let response = send(&path, &values).await;
            let expected = if status == 200 && !is_valid { 422 } else { status };
            assert_eq!(response.status, expected, "{path} {values:?}");
        }
    }
    let response = ada.get("/posts").await.expect(200);
    assert!(!response.header("cache-control").contains("public"));
    assert_eq!(response.header("vary"), "authorization, origin");
}

#[tokio::test]
async fn document_says_that_the_token_of_reads_is_optional() {
    let app = open(Engine::Sqlite, Policy::default()).await;
    let document = app.anonymous().get("/openapi.json").await.expect(200).json();
    for path in ["/posts", "/posts/{id}"] {
        let operation = &document["paths"][path]["get"];
        assert_eq!(operation["security"], json!([{}, {"OAuth2PasswordBearer": []}]), "{path}");
    }
    let closed = TestApp::start().await;
    let document = closed.anonymous().get("/openapi.json").await.expect(200).json();
    for path in ["/posts", "/posts/{id}"] {
        let operation = &document["paths"][path]["get"];
        assert_eq!(operation["security"], json!([{"OAuth2PasswordBearer": []}]), "{path}");
        closed.anonymous().get(&path.replace("{id}", "1")).await.expect(401);
    }
}
