//! The memory limit of all large request bodies together, from their first chunk to the response.
//!
//! Small bodies and unread bodies do not count.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use axum::response::Response;
use axum::routing::post;
use bytes::Bytes;
use futures_util::StreamExt as _;
use http_body_util::BodyExt as _;
use post_api::api::LargeResponses;
use post_api::server::{
    AllowedOrigins, BodyMemory, MiddlewareConfig, TrustedProxies, with_middleware,
};
use serde_json::json;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinHandle;
use tower::ServiceExt as _;

use crate::support::{Setup, TestApp, TestCaller, TestResponse};

const KIB: usize = 1024;

async fn start(limit: usize) -> TestApp {
    let body_memory = BodyMemory::new(limit);
    TestApp::set_up(Setup { body_memory, ..Setup::default() }).await
}

async fn publish(author: &TestCaller<'_>, length: usize) -> TestResponse {
    author.post("/posts", &json!({"title": "title", "content": "x".repeat(length)})).await
}

/// Returns a body, and the sender of its chunks.
fn body() -> (mpsc::Sender<Bytes>, Body) {
    let (sender, receiver) = mpsc::channel(1);
    let chunks = futures_util::stream::unfold(receiver, async |mut receiver| {
        Some((receiver.recv().await?, receiver))
    });
    (sender, Body::from_stream(chunks.map(Ok::<_, std::convert::Infallible>)))
}

/// Starts to create a post: the service has read `chunk` and waits for the rest.
async fn start_upload(
    app: &TestApp,
    author: &TestCaller<'_>,
    chunk: Vec<u8>,
) -> (mpsc::Sender<Bytes>, JoinHandle<Response>) {
    let (sender, body) = body();
    let request = author.request("POST", "/posts").header("content-type", "application/json");
    let response = tokio::spawn(app.routes().oneshot(request.body(body).unwrap()));
    let response = tokio::spawn(async { response.await.unwrap().unwrap() });
    sender.send(chunk.into()).await.unwrap();
    // The channel holds one chunk, so it accepts this one after the service has read the first.
    sender.send(Bytes::new()).await.unwrap();
    (sender, response)
}

#[tokio::test]
async fn large_bodies_share_one_memory_limit() {
    let app = start(200 * KIB).await;
    let ada = app.signed_in("ada").await;
    let beginning = format!(r#"{{"title": "title", "content": "{}"#, "x".repeat(150 * KIB));
    let (sender, upload) = start_upload(&app, &ada, beginning.into()).await;

    let refusal = publish(&ada, 100 * KIB).await.expect(503);
    assert_eq!(refusal.detail(), "the service is overloaded, try again later");
    assert_eq!(refusal.header("retry-after"), "2");
    publish(&ada, 50 * KIB).await.expect(201);
    publish(&ada, KIB).await.expect(201);
    // Without a token the body is not read, so it needs no memory.
    publish(&app.anonymous(), 100 * KIB).await.expect(401);

    sender.send(Bytes::from_static(b"\"}")).await.unwrap();
    drop(sender);
    assert_eq!(upload.await.unwrap().status(), 201);
    publish(&ada, 100 * KIB).await.expect(201);
}

#[tokio::test]
async fn body_of_disconnected_client_releases_its_memory() {
    let app = start(200 * KIB).await;
    let ada = app.signed_in("ada").await;
    let (sender, upload) = start_upload(&app, &ada, vec![b' '; 150 * KIB]).await;
    publish(&ada, 100 * KIB).await.expect(503);
    drop(sender);
    assert_eq!(upload.await.unwrap().status(), 422, "the body is incomplete");
    publish(&ada, 100 * KIB).await.expect(201);
}

#[tokio::test]
async fn small_bodies_need_no_memory_permit() {
    let app = start(0).await;
    let ada = app.signed_in("ada").await;
    publish(&ada, 15 * KIB).await.expect(201);
    publish(&ada, 17 * KIB).await.expect(503);
    let many_small_ones = (0..100).map(|_| publish(&ada, 15 * KIB));
    for response in futures_util::future::join_all(many_small_ones).await {
        response.expect(201);
    }
}

/// The handler still uses the body after it has read it.
#[tokio::test]
async fn body_memory_is_held_until_the_response() {
    let responses = Arc::new(Semaphore::new(0));
    let may_respond = Arc::clone(&responses);
    let handler = move |body: Body| async move {
        let Ok(read) = body.collect().await else { return StatusCode::SERVICE_UNAVAILABLE };
        drop(read);
        may_respond.acquire().await.unwrap().forget();
        StatusCode::OK
    };
    let middleware = MiddlewareConfig {
        origins: AllowedOrigins::Any,
        access_log: false,
        body_memory: BodyMemory::new(200 * KIB),
        trusted_proxies: TrustedProxies::default(),
    };
    let routes = with_middleware(
        Router::new().route("/", post(handler)),
        middleware,
        LargeResponses::default(),
    );
    let send = |length| {
        let request = Request::post("/").body(Body::from(vec![b' '; length])).unwrap();
        tokio::spawn(routes.clone().oneshot(request))
    };
    let first = send(150 * KIB);
    // On one thread each task gets its turn, so the first request now waits in its handler.
    tokio::task::yield_now().await;
    assert_eq!(send(100 * KIB).await.unwrap().unwrap().status(), 503);
    responses.add_permits(2);
    assert_eq!(first.await.unwrap().unwrap().status(), 200);
    assert_eq!(send(100 * KIB).await.unwrap().unwrap().status(), 200);
}
