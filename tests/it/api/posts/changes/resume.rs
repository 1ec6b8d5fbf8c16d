//! Streams that continue after an event.

use axum::body::Body;
use serde_json::json;

use super::{CHANGES, listen, open, reopen, replace, start};
use crate::support::{Engine, EventStream, TestApp};

#[tokio::test]
async fn resumed_stream_has_everything_since_the_last_event() {
    for engine in Engine::ALL {
        let app = start(engine).await;
        let (ada, bob) = (app.signed_in("ada").await, app.signed_in("bob").await);
        let kept = ada.write_post("kept").await;
        let doomed = ada.write_post("doomed").await;
        let mut stream = listen(&app, &bob).await;
        let first = ada.write_post("first").await;
        stream.until("created", first).await;
        let id = stream.last_id.clone();
        drop(stream);
        let second = ada.write_post("second").await;
        replace(&ada, kept, "changed", true).await;
        bob.vote(first, 1).await.expect(201);
        ada.delete(&format!("/posts/{doomed}")).await.expect(204);
        let draft = ada.write_draft("secret-canary").await;
        for query in [false, true] {
            let mut stream = if query {
                open(&app, &bob, &format!("?last_event_id={id}")).await
            } else {
                reopen(&app, &bob, &id).await
            };
            assert_eq!(stream.expect("hello").await, json!({"resumed": true}));
            // A client that loses the stream here continues from the same position.
            assert_eq!(stream.last_id, id);
            let end = ada.write_post("end").await;
            let events = stream.until("created", end).await;
            let find = |id: i64| events.iter().find(|event| event.id() == id).unwrap();
            assert_eq!(find(second).name, "created");
            assert_eq!(find(kept).data["item"]["Post"]["title"], "changed");
            assert_eq!(find(first).data["votes"], 1);
            assert_eq!(find(doomed).name, "deleted");
            assert!(events.iter().all(|event| event.id() != draft), "{events:?}");
        }
    }
}

/// A client may have the first events of a frame whose last one has the ID.
#[tokio::test]
async fn post_in_a_torn_frame_is_deleted_after_the_resumption() {
    for engine in Engine::ALL {
        let app = start(engine).await;
        let ada = app.signed_in("ada").await;
        let mut stream = listen(&app, &ada).await;
        let before = stream.last_id.clone();
        let id = ada.write_post("seen for a moment").await;
        stream.until("created", id).await;
        drop(stream);
        ada.delete(&format!("/posts/{id}")).await.expect(204);
        let mut stream = reopen(&app, &ada, &before).await;
        assert_eq!(stream.expect("hello").await, json!({"resumed": true}));
        assert_eq!(stream.expect("deleted").await, json!({"id": id}));
    }
}

#[tokio::test]
async fn unknown_event_id_begins_a_new_stream() {
    let app = TestApp::start().await;
    let ada = app.signed_in("ada").await;
    let other = TestApp::start().await;
    let eve = other.signed_in("eve").await;
    let of_other = listen(&other, &eve).await.last_id;
    let own = listen(&app, &ada).await.last_id;
    let first = if own.starts_with('A') { 'B' } else { 'A' };
    let changed = format!("{first}{}", &own[1..]);
    for id in ["x", "é", "0", &"A".repeat(5_000), &of_other, &changed] {
        let id = form_urlencoded::byte_serialize(id.as_bytes()).collect::<String>();
        let mut stream = open(&app, &ada, &format!("?last_event_id={id}")).await;
        assert_eq!(stream.expect("hello").await, json!({"resumed": false}), "{id}");
    }
    // The header has precedence.
    let request = ada.request("GET", &format!("{CHANGES}?last_event_id=x"));
    let request = request.header("last-event-id", &own).body(Body::empty()).unwrap();
    let mut stream = EventStream::open(app.routes(), request).await;
    assert_eq!(stream.expect("hello").await, json!({"resumed": true}));
}

#[tokio::test]
async fn client_that_missed_too_much_reads_the_list_again() {
    let app = TestApp::start().await;
    let ada = app.signed_in("ada").await;
    let mut stream = listen(&app, &ada).await;
    let before = stream.last_id.clone();
    app.execute(&format!(
        "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 5001)
         INSERT INTO posts (title, content, published, owner_id, created_at)
         SELECT 'small', 'text', true, {}, {} FROM n",
        ada.id, "(SELECT created_at FROM users LIMIT 1)"
    ));
    for _ in 0..5001 {
        stream.expect("created").await;
    }
    drop(stream);
    let mut stream = reopen(&app, &ada, &before).await;
    assert_eq!(stream.expect("hello").await, json!({"resumed": false}));
}
