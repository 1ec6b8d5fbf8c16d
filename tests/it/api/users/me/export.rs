//! `GET /users/me/export`

use std::collections::BTreeSet;

use axum::body::Body;
use futures_util::StreamExt as _;
use post_api::domain::policy::{DraftVisibility, Policy};
use serde_json::{Value, json};
use tower::ServiceExt as _;

use crate::support::{Engine, Setup, TestApp, TestCaller};

const EXPORT: &str = "/users/me/export";

/// The largest text of a post that a request of 2 MiB can contain.
const LARGE: usize = 2_000_000;

async fn export(caller: &TestCaller<'_>) -> Vec<Value> {
    let response = caller.get(EXPORT).await.expect(200);
    response.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Returns the lines of one kind, without the name of the kind.
fn of_kind(lines: &[Value], kind: &str) -> Vec<Value> {
    lines.iter().filter_map(|line| line.get(kind)).cloned().collect()
}

#[tokio::test]
async fn export_tells_when_the_email_was_verified() {
    for engine in Engine::ALL {
        let app = TestApp::set_up(Setup { engine, ..Setup::default() }).await;
        let ada = app.signed_in("ada").await;
        let user = &export(&ada).await[0]["user"];
        assert!(user.get("email_verified_at").is_none(), "{engine:?}: {user}");
        let token = app.sent_mails().await[0].token("verify");
        app.clock.advance(60);
        app.anonymous().post("/email-verifications", &json!({ "token": token })).await.expect(204);
        let shown = ada.get("/users/me?include=verified").await.json();
        assert_eq!(export(&ada).await[0], json!({ "user": shown }), "{engine:?}");
        assert_eq!(shown["email_verified_at"], format!("{:.6}", app.now()));
    }
}

#[tokio::test]
async fn export_has_everything_of_the_account_and_nothing_of_others() {
    for engine in Engine::ALL {
        for draft_visibility in [DraftVisibility::Private, DraftVisibility::Visible] {
            let policy = Policy { draft_visibility, ..Policy::default() };
            let app = TestApp::set_up(Setup { engine, policy, ..Setup::default() }).await;
            let (ada, bob) = (app.signed_in("ada").await, app.signed_in("bob").await);
            let posts = [
                ada.write_post("one\n\"two\"").await,
                ada.write_draft("draft").await,
                ada.write_post("three").await,
            ];
            let other = bob.write_post("of bob").await;
            bob.write_draft("draft of bob").await;
            ada.vote(other, -1).await.expect(201);
            bob.vote(posts[0], 1).await.expect(201);
            app.start_session("ada@example.com").await;
            app.start_session("bob@example.com").await;

            let lines = export(&ada).await;
            assert_eq!(lines[0], json!({"user": ada.get("/users/me").await.json()}));
            let exported: Vec<i64> =
                of_kind(&lines, "post").iter().map(|post| post["id"].as_i64().unwrap()).collect();
            assert_eq!(exported, [posts[2], posts[1], posts[0]]);
            let shown = ada.get(&format!("/posts/{}", posts[0])).await.json()["Post"].clone();
            assert_eq!(of_kind(&lines, "post")[2], shown);
            assert_eq!(of_kind(&lines, "vote"), [json!({"post_id": other, "dir": -1})]);
            let list = |path: &'static str| {
                let ada = &ada;
                async move { ada.get(path).await.json().as_array().unwrap().clone() }
            };
            assert_eq!(of_kind(&lines, "session"), list("/users/me/sessions").await);
            assert_eq!(of_kind(&lines, "event"), list("/users/me/events").await);
            let (sessions, events) =
                (of_kind(&lines, "session").len(), of_kind(&lines, "event").len());
            assert!(sessions > 0 && events > 0);
            let end =
                json!({"end": {"posts": 3, "votes": 1, "sessions": sessions, "events": events}});
            assert_eq!(lines.last().unwrap(), &end);
        }
    }
}

/// A page of the store ends after 8 MiB of texts or 1,000 rows.
#[tokio::test]
async fn export_of_several_pages_has_every_post_and_vote_once() {
    for engine in Engine::ALL {
        let app = TestApp::set_up(Setup { engine, ..Setup::default() }).await;
        let ada = app.signed_in("ada").await;
        let mut large = BTreeSet::new();
        for _ in 0..6 {
            let post = json!({"title": "large", "content": "x".repeat(LARGE)});
            let written = ada.post("/posts", &post).await.expect(201).json();
            large.insert(written["id"].as_i64().unwrap());
        }
        let owner = ada.id;
        app.execute(&format!(
            "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 2500)
             INSERT INTO posts (title, content, published, owner_id, created_at)
             SELECT 'small', 'text', true, {owner}, (SELECT max(created_at) FROM posts) FROM n"
        ));
        app.execute(&format!(
            "INSERT INTO votes (post_id, user_id, dir) SELECT id, {owner}, 1 FROM posts"
        ));
        let lines = export(&ada).await;
        let posts: Vec<i64> =
            of_kind(&lines, "post").iter().map(|post| post["id"].as_i64().unwrap()).collect();
        assert!(posts.is_sorted_by(|a, b| a > b));
        assert_eq!(posts.len(), 2506);
        assert!(large.iter().all(|id| posts.contains(id)));
        let votes = of_kind(&lines, "vote");
        assert!(votes.is_sorted_by(|a, b| a["post_id"].as_i64() > b["post_id"].as_i64()));
        assert_eq!(votes.len(), 2506);
        assert_eq!(lines.last().unwrap()["end"]["posts"], 2506);
        assert_eq!(lines.last().unwrap()["end"]["votes"], 2506);
    }
}

#[tokio::test]
async fn export_is_a_file_that_no_cache_keeps() {
    let app = TestApp::start().await;
    let ada = app.signed_in("ada").await;
    let response = ada.get(EXPORT).await.expect(200);
    assert_eq!(response.header("content-type"), "application/jsonl");
    assert_eq!(
        response.header("content-disposition"),
        "attachment; filename=\"post-api-export.jsonl\""
    );
    assert_eq!(response.header("cache-control"), "no-store");
    assert!(response.text().ends_with("}\n"));
    ada.head(EXPORT).await.expect(200);
}

/// The status is sent before the last page is read.
#[tokio::test]
async fn export_of_account_that_ends_meanwhile_is_cut_off() {
    for engine in Engine::ALL {
        let app = TestApp::set_up(Setup { engine, ..Setup::default() }).await;
        let ada = app.signed_in("ada").await;
        ada.write_post("post").await;
        let request = ada.request("GET", EXPORT).body(Body::empty()).unwrap();
        let response = app.routes().oneshot(request).await.unwrap();
        assert_eq!(response.status(), 200);
        let mut lines = response.into_body().into_data_stream();
        let first = lines.next().await.unwrap().unwrap();
        assert!(first.starts_with(b"{\"user\":"));
        assert!(String::from_utf8_lossy(&first).contains("\n{\"post\":"));
        ada.post("/logout", &json!({})).await.expect(204);
        assert!(lines.next().await.unwrap().is_err());
        assert!(lines.next().await.is_none());
        ada.get(EXPORT).await.expect(401);
    }
}
