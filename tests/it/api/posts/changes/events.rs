//! The events of streams.

use post_api::domain::policy::{DraftVisibility, Policy};
use serde_json::{Value, json};

use super::{listen, open, replace, start};
use crate::support::{Engine, Setup, TestApp};

#[tokio::test]
async fn every_change_of_a_published_post_is_one_event() {
    for engine in Engine::ALL {
        let app = start(engine).await;
        let (ada, bob) = (app.signed_in("ada").await, app.signed_in("bob").await);
        let mut stream = listen(&app, &bob).await;
        let id = ada.write_post("one\n\"two\"").await;
        let shown = bob.get(&format!("/posts/{id}")).await.json();
        assert_eq!(stream.block().await.unwrap(), {
            let last_id = stream.last_id.clone();
            format!("event: created\nid: {last_id}\ndata: {{\"id\":{id},\"item\":{shown}}}")
        });
        replace(&ada, id, "changed", true).await;
        let item = stream.expect("updated").await["item"].clone();
        assert_eq!(item, bob.get(&format!("/posts/{id}")).await.json());
        bob.vote(id, 1).await.expect(201);
        assert_eq!(stream.expect("votes").await, json!({"id": id, "votes": 1}));
        bob.vote(id, -1).await.expect(201);
        assert_eq!(stream.expect("votes").await, json!({"id": id, "votes": -1}));
        ada.delete(&format!("/posts/{id}")).await.expect(204);
        assert_eq!(stream.expect("deleted").await, json!({"id": id}));
    }
}

#[tokio::test]
async fn published_draft_is_created_and_withdrawn_post_is_deleted() {
    for engine in Engine::ALL {
        let app = start(engine).await;
        let ada = app.signed_in("ada").await;
        let draft = ada.write_draft("secret-canary").await;
        let mut stream = listen(&app, &ada).await;
        replace(&ada, draft, "secret-canary again", false).await;
        ada.vote(draft, 1).await.expect(201);
        let other = ada.write_draft("secret-canary of another").await;
        ada.delete(&format!("/posts/{other}")).await.expect(204);
        replace(&ada, draft, "published", true).await;
        let created = stream.expect("created").await;
        assert_eq!(created["id"], draft);
        assert_eq!(created["item"]["votes"], 1);
        replace(&ada, draft, "secret-canary at last", false).await;
        assert_eq!(stream.expect("deleted").await, json!({"id": draft}));
        let end = ada.write_post("end").await;
        assert_eq!(stream.until("created", end).await, []);
        assert!(!stream.read.contains("canary"), "{}", stream.read);
        assert!(!stream.read.contains(&format!("\"id\":{other}")), "{}", stream.read);
    }
}

#[tokio::test]
async fn visible_drafts_are_posts_like_all_others() {
    for engine in Engine::ALL {
        let policy = Policy { draft_visibility: DraftVisibility::Visible, ..Policy::default() };
        let app = TestApp::set_up(Setup { engine, policy, ..Setup::default() }).await;
        let (ada, bob) = (app.signed_in("ada").await, app.signed_in("bob").await);
        let mut stream = listen(&app, &bob).await;
        let draft = ada.write_draft("draft").await;
        assert_eq!(stream.expect("created").await["item"]["Post"]["published"], false);
        replace(&ada, draft, "published", true).await;
        assert_eq!(stream.expect("updated").await["id"], draft);
        replace(&ada, draft, "draft", false).await;
        assert_eq!(stream.expect("updated").await["id"], draft);
        ada.delete(&format!("/posts/{draft}")).await.expect(204);
        assert_eq!(stream.expect("deleted").await["id"], draft);
    }
}

#[tokio::test]
async fn large_post_is_announced_without_its_text() {
    for engine in Engine::ALL {
        let app = start(engine).await;
        let ada = app.signed_in("ada").await;
        let mut stream = listen(&app, &ada).await;
        for content in ["x".repeat(5_000), "\u{1}".repeat(2_000)] {
            let post = json!({"title": "large", "content": content});
            let id = ada.post("/posts", &post).await.expect(201).json()["id"].clone();
            assert_eq!(stream.expect("created").await, json!({"id": id}));
        }
    }
}

#[tokio::test]
async fn stream_without_votes_has_only_texts() {
    for engine in Engine::ALL {
        let app = start(engine).await;
        let ada = app.signed_in("ada").await;
        let id = ada.write_post("post").await;
        let mut stream = open(&app, &ada, "?votes=false").await;
        stream.expect("hello").await;
        let mut other = listen(&app, &ada).await;
        ada.vote(id, 1).await.expect(201);
        other.expect("votes").await;
        let end = ada.write_post("end").await;
        assert_eq!(stream.until("created", end).await, []);
    }
}

/// Applies events to the list that was read after the greeting.
#[tokio::test]
async fn list_and_events_give_the_list_as_it_is() {
    for engine in Engine::ALL {
        let app = start(engine).await;
        let ada = app.signed_in("ada").await;
        let early = ada.write_post("early").await;
        let mut stream = listen(&app, &ada).await;
        let mut seen = vec![early, ada.write_post("late").await];
        ada.delete(&format!("/posts/{early}")).await.expect(204);
        let end = ada.write_post("end").await;
        for event in stream.until("created", end).await {
            match event.name.as_str() {
                "created" => seen.push(event.id()),
                "deleted" => seen.retain(|id| *id != event.id()),
                _ => {}
            }
        }
        seen.sort_unstable();
        seen.dedup();
        let list = ada.get("/posts").await.json();
        let mut ids: Vec<i64> = list
            .as_array()
            .unwrap()
            .iter()
            .map(|item: &Value| item["Post"]["id"].as_i64().unwrap())
            .filter(|id| *id != end)
            .collect();
        ids.sort_unstable();
        assert_eq!(seen, ids);
    }
}
