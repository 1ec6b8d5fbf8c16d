//! Streams whose account accepts the token no longer.

use serde_json::json;

use super::{listen, start};
use crate::support::{Engine, PASSWORD, TestApp};

#[tokio::test]
async fn stream_gets_nothing_after_the_sign_out_of_its_account() {
    for engine in Engine::ALL {
        let app = start(engine).await;
        let (ada, bob) = (app.signed_in("ada").await, app.signed_in("bob").await);
        let id = ada.write_post("post").await;
        let mut stream = listen(&app, &ada).await;
        let mut other = listen(&app, &bob).await;
        ada.post("/logout", &json!({})).await.expect(204);
        bob.vote(id, 1).await.expect(201);
        assert_eq!(stream.rest().await, []);
        assert_eq!(other.expect("votes").await, json!({"id": id, "votes": 1}));
    }
}

/// The replica learns of the sign-out only from the log.
#[tokio::test]
async fn stream_of_a_replica_gets_nothing_after_the_sign_out() {
    let app = start(Engine::Postgres).await;
    let replica = app.replica();
    let (ada, bob) = (app.signed_in("ada").await, app.signed_in("bob").await);
    let id = ada.write_post("post").await;
    for _ in 0..5 {
        let token = app.log_in("ada@example.com", PASSWORD).await.json()["access_token"].clone();
        let ada = app.with_token(token.as_str().unwrap());
        let mut stream = listen(&replica, &ada).await;
        let mut other = listen(&replica, &bob).await;
        bob.vote(id, 0).await;
        ada.post("/logout", &json!({})).await.expect(204);
        bob.vote(id, 1).await.expect(201);
        let seen = stream.rest().await;
        assert!(seen.iter().all(|event| event.data["votes"] != 1), "{seen:?}");
        loop {
            if other.expect("votes").await["votes"] == 1 {
                break;
            }
        }
    }
}

#[tokio::test]
async fn stream_ends_with_its_token() {
    let app = TestApp::start().await;
    let ada = app.signed_in("ada").await;
    let mut stream = listen(&app, &ada).await;
    app.clock.advance(30 * 60);
    let again = app.with_token(&app.token_for(ada.id));
    again.write_post("after the end").await;
    assert_eq!(stream.rest().await, []);
}

#[tokio::test]
async fn stream_of_a_deleted_account_ends() {
    for engine in Engine::ALL {
        let app = start(engine).await;
        let (ada, bob) = (app.signed_in("ada").await, app.signed_in("bob").await);
        let id = ada.write_post("post").await;
        let mut stream = listen(&app, &ada).await;
        let mut other = listen(&app, &bob).await;
        ada.delete("/users/me").await.expect(204);
        let seen = stream.rest().await;
        assert!(seen.iter().all(|event| event.name == "deleted"), "{seen:?}");
        other.until("deleted", id).await;
    }
}
