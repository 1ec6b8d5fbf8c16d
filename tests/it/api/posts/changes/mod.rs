//! `/posts/changes`

/// `GET /posts/changes`: the events
mod events;

/// `GET /posts/changes`: statuses, headers and limits
mod requests;

/// `GET /posts/changes` with `Last-Event-ID`
mod resume;

/// `GET /posts/changes`: the end of the token
mod revocation;

/// `POST /posts/changes/tickets`
mod tickets;

use axum::body::Body;
use serde_json::json;

use crate::support::{Engine, EventStream, Setup, TestApp, TestCaller};

const CHANGES: &str = "/posts/changes";
const TICKETS: &str = "/posts/changes/tickets";

async fn start(engine: Engine) -> TestApp {
    TestApp::set_up(Setup { engine, ..Setup::default() }).await
}

async fn open(app: &TestApp, caller: &TestCaller<'_>, query: &str) -> EventStream {
    let request = caller.request("GET", &format!("{CHANGES}{query}"));
    EventStream::open(app.routes(), request.body(Body::empty()).unwrap()).await
}

/// Opens a stream that continues after this ID.
async fn reopen(app: &TestApp, caller: &TestCaller<'_>, id: &str) -> EventStream {
    let request = caller.request("GET", CHANGES).header("last-event-id", id);
    EventStream::open(app.routes(), request.body(Body::empty()).unwrap()).await
}

/// Opens a stream and reads its greeting.
async fn listen(app: &TestApp, caller: &TestCaller<'_>) -> EventStream {
    let mut stream = open(app, caller, "").await;
    assert_eq!(stream.expect("hello").await, json!({"resumed": false}));
    stream
}

async fn replace(caller: &TestCaller<'_>, id: i64, title: &str, published: bool) {
    let post = json!({"title": title, "content": "text", "published": published});
    caller.put(&format!("/posts/{id}"), &post).await.expect(200);
}
